/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that keeps requests until something happens elsewhere is told that
 * they are waited for: by a stop, an invalidation, a ring that loses a page. What
 * it returns undone is submitted again, or rewound.
 */
#include "stage.h"

#define N 4u

static void send_fd(struct rig *rig, uint32_t request, unsigned q, int fd)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = q;
	message.fds[0] = fd;
	message.n_fds = 1;
	assert_int_equal(rig_call(rig, &message), 0);
}

/* The same ring with all that is in it goes on from @base. */
static void go_on(struct rig *rig, uint32_t base)
{
	struct rig_ring_config config = stage_ring_config(0);

	assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_BASE, 0, base), 0);
	assert_int_equal(rig_update(rig, config.iova, rig_ring_bytes(&config), config.gpa, PERM_RW),
	                 0);
	stage_give(rig, 0, N, PERM_RW);
	send_fd(rig, VHU_FE_SET_VRING_CALL, 0, rig->rings[0].call);
	send_fd(rig, VHU_FE_SET_VRING_KICK, 0, rig->rings[0].kick);
}

/* Of N requests, each for a page, the device has all and does nothing. */
static struct rig *hold(void **state, enum rig_drain what)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 0, N, PERM_RW);
	rig_at_drain(rig, what);
	rig_hold(rig);
	for (unsigned i = 0; i < N; i++)
		stage_ask(rig, 0, DATA_IOVA(i), 64, i);
	rig_wait_submitted(rig, N);
	return rig;
}

static void I4_a_stop_has_completed_what_is_kept(void **state)
{
	struct rig *rig = hold(state, RIG_DRAIN_COMPLETE);

	assert_int_equal(rig_get_vring_base(rig, 0), N);
	assert_int_equal(rig_drains(rig), 1);
	for (unsigned i = 0; i < N; i++)
		stage_expect_used_quietly(rig, 0, i, 64);
	rig_free(rig);
}

static void I4_a_stop_rewinds_what_is_returned(void **state)
{
	struct rig *rig = hold(state, RIG_DRAIN_RETURN);

	for (unsigned run = 1; run < 4; run++) {
		assert_int_equal(rig_get_vring_base(rig, 0), 0);
		assert_int_equal(rig_drains(rig), run);
		go_on(rig, 0);
		rig_wait_submitted(rig, (run + 1) * N);
	}
	rig_release(rig);
	for (unsigned i = 0; i < N; i++)
		stage_expect_used_quietly(rig, 0, i, 64);
	assert_int_equal(rig_get_vring_base(rig, 0), N);
	rig_free(rig);
}

/* The ring can't go back over what was done behind it. */
static void I4_a_stop_gives_back_what_others_were_done_behind(void **state)
{
	struct rig *rig = hold(state, RIG_DRAIN_RETURN_FIRST);
	unsigned seen = 0;

	assert_int_equal(rig_get_vring_base(rig, 0), N);
	for (unsigned i = 0; i < N; i++) {
		uint32_t written;
		void *token;

		assert_true(rig_try_used(rig, 0, &token, &written));
		assert_int_equal(written, token == TOKEN(0) ? 0 : 64);
		seen |= 1u << (uintptr_t)token;
	}
	assert_int_equal(seen, (1u << N) - 1);
	rig_free(rig);
}

/* I2: it is not touched after the reply, and asked for again. */
static void I2_an_invalidation_has_back_what_is_kept(void **state)
{
	struct rig *rig = hold(state, RIG_DRAIN_RETURN);
	struct rig_miss miss;

	assert_int_equal(rig_invalidate(rig, DATA_IOVA(1), PAGE), 0);
	assert_int_equal(rig_drains(rig), 1);
	stage_clear(rig, DATA_GPA(1), PAGE);
	miss = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	/* What is before it is submitted again, what is behind it comes later, in ring order. */
	rig_wait_submitted(rig, N + 1);
	rig_expect_no_miss(rig);
	assert_int_equal(rig_submitted(rig), N + 1);
	stage_expect_clear(rig, DATA_GPA(1), PAGE);
	assert_int_equal(rig_update(rig, DATA_IOVA(1), PAGE, DATA_GPA(9), PERM_RW), 0);
	rig_answer(rig, &miss, 0);
	rig_wait_submitted(rig, 2 * N);
	rig_release(rig);
	/* Request 1 is held back until the answer to its miss was read (S10). */
	stage_expect_used_in_any_order(rig, 0, 0, N, 64);
	stage_expect_clear(rig, DATA_GPA(1), PAGE);
	stage_expect_filled(rig, DATA_GPA(9), 64);
	rig_free(rig);
}

/* Only for what overlaps: the device is left in peace otherwise. */
static void what_touches_nothing_is_not_told(void **state)
{
	struct rig *rig = hold(state, RIG_DRAIN_RETURN);

	stage_give(rig, 20, 1, PERM_RW);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(20), PAGE), 0);
	assert_int_equal(rig_drains(rig), 0);
	assert_int_equal(rig_submitted(rig), N);
	rig_release(rig);
	for (unsigned i = 0; i < N; i++)
		stage_expect_used_quietly(rig, 0, i, 64);
	/* Nothing is kept: the stop tells nobody either. */
	assert_int_equal(rig_get_vring_base(rig, 0), N);
	assert_int_equal(rig_drains(rig), 0);
	rig_free(rig);
}

/* I4: a page of the ring goes, and with it all that was issued comes back. */
static void I4_a_ring_that_loses_a_page_has_back_what_is_kept(void **state)
{
	static const enum rig_drain ways[] = { RIG_DRAIN_RETURN, RIG_DRAIN_RETURN_FIRST };

	for (unsigned way = 0; way < ARRAY_SIZE(ways); way++) {
		struct rig *rig = hold(state, ways[way]);
		struct rig_ring_config config = stage_ring_config(0);

		assert_int_equal(rig_invalidate(rig, RING_IOVA(0), PAGE), 0);
		assert_int_equal(rig_drains(rig), 1);
		rig_release(rig);
		rig_map(rig, config.iova, rig_ring_bytes(&config), config.gpa, PERM_RW);
		stage_expect_used_in_any_order(rig, 0, 0, N, 64);
		assert_int_equal(rig_get_vring_base(rig, 0), N);
		rig_free(rig);
	}
}

/* Without the ring there is no way to give it back: the stop does not wait for that. */
static void I4_a_ring_that_is_gone_takes_nothing_back(void **state)
{
	struct rig *rig = hold(state, RIG_DRAIN_RETURN_FIRST);

	assert_int_equal(rig_invalidate(rig, RING_IOVA(0), PAGE), 0);
	stage_expect_miss(rig, RING_IOVA(0), PERM_READ);
	for (unsigned i = 1; i < N; i++)
		stage_expect_used_quietly(rig, 0, i, 64);
	assert_int_equal(rig_get_vring_base(rig, 0), N);
	rig_free(rig);
}

/* Returned, and not yet submitted again, when the ring stops. */
static void I4_what_was_returned_before_is_rewound(void **state)
{
	struct rig *rig = hold(state, RIG_DRAIN_RETURN);
	struct rig_miss miss;

	assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	assert_int_equal(rig_get_vring_base(rig, 0), 0);
	rig_answer(rig, &miss, 1);
	go_on(rig, 0);
	rig_release(rig);
	stage_expect_used_in_any_order(rig, 0, 0, N, 64);
	rig_free(rig);
}

static void a_session_ends_with_requests_kept(void **state)
{
	struct rig *rig = hold(state, RIG_DRAIN_RETURN);

	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(I4_a_stop_has_completed_what_is_kept),
		EACH(I4_a_stop_rewinds_what_is_returned),
		EACH(I4_a_stop_gives_back_what_others_were_done_behind),
		EACH(I2_an_invalidation_has_back_what_is_kept),
		EACH(what_touches_nothing_is_not_told),
		EACH(I4_a_ring_that_loses_a_page_has_back_what_is_kept),
		EACH(I4_a_ring_that_is_gone_takes_nothing_back),
		EACH(I4_what_was_returned_before_is_rewound),
		EACH(a_session_ends_with_requests_kept),
	};

	return cmocka_run_group_tests_name("session/device_drain", tests, NULL, NULL);
}
