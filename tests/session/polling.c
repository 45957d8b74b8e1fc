/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings that are looked at instead of kicked for: nobody kicks while that lasts,
 * and nothing is lost when it ends.
 */
#include "stage.h"

/* So long that it lasts as long as the test, and so short that it ends all the time. */
#define LONG_US   60000000u
#define SHORT_US  50u

#define EVENT_IDX VHU_BIT(29)

static const struct rig_config polling_thread = { .poll_us = LONG_US };
static const struct rig_config polling_worker = { .n_workers = 1, .poll_us = LONG_US };
static const struct rig_config brief_thread = { .poll_us = SHORT_US };
static const struct rig_config brief_worker = { .n_workers = 1, .poll_us = SHORT_US };

static struct rig *open_rig(void **state, bool event_idx)
{
	struct rig_config rig_config = *(const struct rig_config *)*state;
	struct rig_ring_config config = stage_ring_config(0);
	uint64_t bytes = rig_ring_bytes(&config);
	struct rig *rig = rig_new(&rig_config);

	rig_open(rig, PLATFORM | (event_idx ? EVENT_IDX : 0));
	config.event_idx = event_idx;
	assert_int_equal(rig_update(rig, config.iova, bytes, config.gpa, PERM_RW), 0);
	rig_ring_start(rig, 0, &config);
	stage_give(rig, 0, 1, PERM_RW);
	return rig;
}

/* Makes a request available; whether the device wants to be told. */
static bool show(struct rig *rig, unsigned n)
{
	const struct vring_buffer buffer = { DATA_IOVA(0), 64, true };

	rig_add(rig, 0, &buffer, 1, TOKEN(n));
	return vring_driver_kick_needed(rig->rings[0].driver);
}

/* It has been looked at, and the driver asked not to kick. */
static void begin(struct rig *rig)
{
	stage_ask(rig, 0, DATA_IOVA(0), 64, 0);
	stage_expect_used_quietly(rig, 0, 0, 64);
}

/* Every 10 ms or so whoever runs it has its turn, and kicks are asked for. */
static void expect_few_kicks(unsigned wanted, int64_t start)
{
	assert_in_range(wanted, 0, 2 + (stage_now_ms() - start) / 8);
}

static void nobody_kicks_while_it_is_looked_at(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		struct rig *rig = open_rig(state, event_idx);
		int64_t start = stage_now_ms();
		unsigned wanted = 0;
		uint64_t kicks;

		begin(rig);
		kicks = rig_stats(rig).kicks;
		for (unsigned i = 1; i < 500; i++) {
			wanted += show(rig, i);
			while (!rig_try_used(rig, 0, &(void *){ NULL }, &(uint32_t){ 0 }))
				assert_true(stage_now_ms() - start < 10 * PEER_PATIENCE);
		}
		expect_few_kicks(wanted, start);
		assert_int_equal(rig_stats(rig).kicks, kicks);
		rig_free(rig);
	}
}

static void nothing_is_lost_when_it_goes_to_sleep(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		struct rig *rig = open_rig(state, event_idx);
		unsigned kicks = 0, n = 3000;

		begin(rig);
		for (unsigned i = 1; i < n; i++) {
			struct timespec pause = { 0, i % 128 * 1000 };

			if (i % 8 == 0)
				nanosleep(&pause, NULL);
			if (show(rig, i)) {
				fd_signal(rig->rings[0].kick);
				kicks++;
			}
			for (unsigned ms = 0;; ms++) {
				uint32_t written;
				void *token;

				if (rig_try_used(rig, 0, &token, &written))
					break;
				if (ms >= 200)
					poll(NULL, 0, 1);
				assert_true(ms < 200 + PEER_PATIENCE);
				sched_yield();
			}
		}
		/* Both happened: it slept, and it was looked at. */
		poll(NULL, 0, PEER_QUIET);
		assert_true(show(rig, n));
		fd_signal(rig->rings[0].kick);
		stage_expect_used_quietly(rig, 0, n, 64);
		rig_free(rig);
	}
}

/* It was looked at and found idle: who takes its pages away may not be asked for them. */
static void S7_an_idle_ring_waits_for_its_next_kick(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		struct rig *rig = open_rig(state, event_idx);

		begin(rig);
		assert_int_equal(rig_invalidate(rig, RING_IOVA(0), PAGE), 0);
		rig_expect_no_miss(rig);
		/* The driver was told before the page went. */
		assert_true(show(rig, 1));
		rig_expect_no_miss(rig);
		fd_signal(rig->rings[0].kick);
		stage_expect_miss(rig, RING_IOVA(0), PERM_READ);
		rig_free(rig);
	}
}

static void a_ring_that_stops_wants_kicks_again(void **state)
{
	struct rig_ring_config config = stage_ring_config(0);
	struct rig *rig = open_rig(state, false);
	uint16_t *flags;

	flags = rig_ptr(rig, config.gpa + rig_ring_used_offset(&config), 2);
	begin(rig);
	assert_int_equal(*(volatile uint16_t *)flags, 1);
	assert_int_equal(rig_get_vring_base(rig, 0), 1);
	assert_int_equal(*(volatile uint16_t *)flags, 0);
	rig_free(rig);
}

static void messages_are_answered_meanwhile(void **state)
{
	struct rig *rig = open_rig(state, true);

	begin(rig);
	for (unsigned i = 1; i < 500; i++) {
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(1), PAGE), 0);
		stage_give(rig, 1, 1, PERM_RW);
		show(rig, i);
		stage_expect_used_quietly(rig, 0, i, 64);
	}
	rig_ring_enable(rig, 0, false);
	show(rig, 500);
	rig_expect_unused(rig, 0);
	rig_ring_enable(rig, 0, true);
	stage_expect_used_quietly(rig, 0, 500, 64);
	rig_free(rig);
}

#define LONG(test)  RIG_TEST_WITH(test, polling_thread), RIG_TEST_WITH(test, polling_worker)
#define SHORT(test) RIG_TEST_WITH(test, brief_thread), RIG_TEST_WITH(test, brief_worker)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LONG(nobody_kicks_while_it_is_looked_at),
		SHORT(nothing_is_lost_when_it_goes_to_sleep),
		LONG(S7_an_idle_ring_waits_for_its_next_kick),
		LONG(a_ring_that_stops_wants_kicks_again),
		LONG(messages_are_answered_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
