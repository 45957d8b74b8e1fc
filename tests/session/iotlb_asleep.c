/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rule I2 where workers sleep with nothing issued: they are not woken for what
 * is invalidated, and have forgotten it before they do anything else.
 */
#include "backend/forget.h"
#include "backend/worker.h"
#include "stage.h"

/* More than a lane keeps ranges of. */
#define PAGES (2 * FORGET_MAX + 3)

static const struct loop *worker_loop(struct rig *rig, unsigned worker)
{
	/* What the session did before is seen. */
	rig_stats(rig);
	return &rig->workers[worker]->loop;
}

/* Waits until the worker sleeps, and has done so for a while. */
static unsigned sleeping_turn(struct rig *rig, unsigned worker)
{
	const struct loop *loop = worker_loop(rig, worker);
	unsigned turn = loop_turn(loop);

	for (int ms = 0; ms < PEER_PATIENCE; ms += 10) {
		unsigned before = turn;

		poll(NULL, 0, 10);
		turn = loop_turn(loop);
		if (turn == before && loop_turn_is_asleep(turn))
			return turn;
	}
	fail_msg("the worker does not sleep");
	return 0;
}

/* A request for each page, so that its worker has it at hand. */
static void touch(struct rig *rig, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		stage_ask(rig, 0, DATA_IOVA(i), PAGE, i);
		stage_expect_used_quietly(rig, 0, i, PAGE);
	}
}

static void I2_a_sleeping_worker_is_not_woken(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;
	unsigned turn;

	stage_give(rig, 0, 2, PERM_RW);
	touch(rig, 0, 2);
	turn = sleeping_turn(rig, 0);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
		stage_give(rig, 0, 1, PERM_RW);
	}
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	assert_int_equal(loop_turn(worker_loop(rig, 0)), turn);
	/* Its next request is for what it had at hand. */
	stage_clear(rig, DATA_GPA(0), PAGE);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	stage_expect_clear(rig, DATA_GPA(0), PAGE);
	stage_give(rig, 0, 1, PERM_RW);
	rig_answer(rig, &miss, 0);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	rig_free(rig);
}

static void I2_a_sleeping_worker_takes_what_replaced_it(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	unsigned turn;

	stage_give(rig, 0, 1, PERM_RW);
	touch(rig, 0, 1);
	turn = sleeping_turn(rig, 0);
	assert_int_equal(rig_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(7), PERM_RW), 0);
	assert_int_equal(loop_turn(worker_loop(rig, 0)), turn);
	stage_clear(rig, DATA_GPA(0), PAGE);
	touch(rig, 0, 1);
	stage_expect_clear(rig, DATA_GPA(0), PAGE);
	stage_expect_filled(rig, DATA_GPA(7), PAGE);
	rig_free(rig);
}

/* However much it is to forget, one by one, and whatever it may keep. */
static void I2_a_sleeping_worker_forgets_all_of_it(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	unsigned turn;

	stage_give(rig, 0, PAGES, PERM_RW);
	touch(rig, 0, PAGES);
	turn = sleeping_turn(rig, 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(i), PAGE), 0);
	assert_int_equal(loop_turn(worker_loop(rig, 0)), turn);
	stage_clear(rig, DATA_GPA(0), PAGES * PAGE);
	for (unsigned i = 0; i < PAGES; i++) {
		struct rig_miss miss;

		stage_ask(rig, 0, DATA_IOVA(i), PAGE, i);
		miss = stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
		stage_expect_clear(rig, DATA_GPA(i), PAGE);
		stage_give(rig, i, 1, PERM_RW);
		rig_answer(rig, &miss, 0);
		stage_expect_used_quietly(rig, 0, i, PAGE);
	}
	rig_free(rig);
}

/* S7: its ring goes while it is idle, and is not looked at from then on. */
static void I2_the_ring_of_a_sleeping_worker_is_let_go(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	unsigned turn;

	stage_give(rig, 0, 1, PERM_RW);
	touch(rig, 0, 1);
	turn = sleeping_turn(rig, 0);
	assert_int_equal(rig_invalidate(rig, RING_IOVA(0), PAGE), 0);
	assert_int_equal(loop_turn(worker_loop(rig, 0)), turn);
	stage_trap(rig, RING_GPA(0));
	rig_expect_no_miss(rig);
	rig_kick(rig, 0);
	stage_expect_miss(rig, RING_IOVA(0), PERM_READ);
	rig_free(rig);
}

/* Only those that sleep with nothing issued: the others are asked. */
static void I2_a_worker_with_something_issued_is_asked(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	unsigned turn;

	stage_give(rig, 0, 2, PERM_RW);
	rig_hold(rig);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	rig_wait_submitted(rig, 1);
	turn = sleeping_turn(rig, 0);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(1), PAGE), 0);
	assert_int_not_equal(loop_turn(worker_loop(rig, 0)), turn);
	rig_send_invalidate(rig, DATA_IOVA(0), PAGE);
	rig_expect_silence(rig);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	rig_free(rig);
}

/* What the request still misses is granted, and it comes back. */
static void finish(struct rig *rig)
{
	struct rig_miss miss;
	uint32_t written;
	void *token;

	stage_give(rig, 0, 1, PERM_RW);
	for (int ms = 0; !rig_try_used(rig, 0, &token, &written); ms++) {
		assert_true(ms < PEER_PATIENCE);
		while (rig_try_miss(rig, &miss, 1))
			rig_answer(rig, &miss, 0);
	}
	assert_int_equal(written, PAGE);
	while (rig_try_miss(rig, &miss, 0))
		rig_answer(rig, &miss, 0);
}

/* Requests and invalidations as fast as they go, across falling asleep and waking. */
static void I2_nothing_is_written_behind_the_acknowledgement(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < 2000; i++) {
		stage_give(rig, 0, 1, PERM_RW);
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, i);
		for (unsigned n = 0; n < i % 37; n++)
			sched_yield();
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
		stage_clear(rig, DATA_GPA(0), PAGE);
		for (unsigned n = 0; n < i % 11; n++)
			sched_yield();
		stage_expect_clear(rig, DATA_GPA(0), PAGE);
		finish(rig);
	}
	rig_free(rig);
}

#define WORKERS(test) RIG_TEST_WITH(test, stage_one_worker), RIG_TEST_WITH(test, rig_own_threads)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKERS(I2_a_sleeping_worker_is_not_woken),
		WORKERS(I2_a_sleeping_worker_takes_what_replaced_it),
		WORKERS(I2_a_sleeping_worker_forgets_all_of_it),
		WORKERS(I2_the_ring_of_a_sleeping_worker_is_let_go),
		WORKERS(I2_a_worker_with_something_issued_is_asked),
		EACH(I2_nothing_is_written_behind_the_acknowledgement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
