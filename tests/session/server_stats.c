/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters of a session: what each counts, to the last one, and when it starts anew. */
#include <linux/virtio_config.h>

#include "support/rig.h"

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define PAGE     UINT64_C(4096)
#define RING     UINT64_C(0x100000)
#define DATA     UINT64_C(0x200000)
#define REQUESTS 10u

/* Ring and data are mapped page by page; nothing else is. */
static struct rig *open_rig(const struct rig_config *config)
{
	struct rig_config listening = *config;
	struct rig *rig;

	listening.listen = true;
	rig = rig_new(&listening);
	rig_map(rig, RING, 0x10000, RING, PERM_RW);
	rig_map(rig, DATA, 64 * PAGE, DATA, PERM_RW);
	return rig;
}

static void start(struct rig *rig)
{
	rig_open(rig, PLATFORM);
	rig->misses = 0;
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING, .iova = RING });
}

/* Reads a page and writes two others and a status byte in the second of them. */
static void do_request(struct rig *rig, unsigned n)
{
	uint64_t at = DATA + n * 3 * PAGE;
	const struct vring_buffer buffers[] = { { at, PAGE, false },
		                                { at + PAGE, PAGE, true },
		                                { at + 2 * PAGE, 1, true } };
	uint32_t written;

	rig_add(rig, 0, buffers, ARRAY_SIZE(buffers), rig);
	rig_kick(rig, 0);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(written, PAGE + 1);
}

static void refused_request(struct rig *rig)
{
	const struct vring_buffer buffers[] = { { 0x7000000, 16, true }, { DATA, 1, true } };
	uint32_t written;

	rig_add(rig, 0, buffers, ARRAY_SIZE(buffers), rig);
	rig_kick(rig, 0);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(*(char *)rig_ptr(rig, DATA, 1), RIG_REFUSED);
}

/* A worker counts a call after it has called: it has done so when it has done something else. */
static struct vhu_stats settled_stats(struct rig *rig)
{
	rig_ring_enable(rig, 0, true);
	return rig_stats(rig);
}

static void each_counter_counts_what_it_says(void **state)
{
	struct rig *rig = open_rig(*state);
	struct vhu_stats stats;

	start(rig);
	for (unsigned i = 0; i < REQUESTS; i++)
		do_request(rig, i);
	stats = settled_stats(rig);
	assert_int_equal(stats.requests, REQUESTS);
	assert_int_equal(stats.refused_requests, 0);
	assert_int_equal(stats.kicks, REQUESTS);
	assert_int_equal(stats.calls, REQUESTS);
	assert_int_equal(stats.ring_errors, 0);
	assert_int_equal(stats.pages_needed, 3 * REQUESTS);
	/* two pages of the ring, three of each request, all of them given when asked for */
	assert_int_equal(stats.misses, 2 + 3 * REQUESTS);
	assert_int_equal(stats.misses, rig->misses);
	assert_int_equal(stats.updates, rig->misses);
	assert_int_equal(stats.refused, 0);
	assert_int_equal(stats.unsatisfied, 0);
	assert_int_equal(stats.evicted, 0);
	assert_int_equal(stats.invalidations, 0);
	assert_int_equal(stats.flushes, 0);
	/* the pages of a kind are neighbours and become one entry */
	assert_int_equal(stats.iotlb_entries, 2);
	rig_free(rig);
}

/* What is known costs no miss, and is needed all the same. */
static void a_page_that_is_known_is_needed_and_not_missed(void **state)
{
	struct rig *rig = open_rig(*state);
	struct vhu_stats stats;

	start(rig);
	for (unsigned i = 0; i < REQUESTS; i++)
		do_request(rig, 0);
	stats = rig_stats(rig);
	assert_int_equal(stats.pages_needed, 3 * REQUESTS);
	assert_int_equal(stats.misses, 5);
	assert_true(stats.iotlb_hits >= 3 * (REQUESTS - 1));
	assert_true(stats.iotlb_walks > 0);
	rig_free(rig);
}

static void what_goes_wrong_is_counted(void **state)
{
	struct rig *rig = open_rig(*state);
	struct vhu_stats stats;

	start(rig);
	do_request(rig, 0);
	refused_request(rig);
	assert_int_equal(rig_invalidate(rig, DATA, PAGE), 0);
	assert_int_equal(rig_invalidate(rig, DATA, PAGE), 0);
	/* refused ones don't count */
	assert_int_not_equal(rig_invalidate(rig, DATA, 0), 0);
	assert_int_not_equal(rig_update(rig, DATA, 0, DATA, PERM_RW), 0);
	*(uint16_t *)rig_ptr(rig, RING + 16 * 16 + 2, 2) = 0x8000;
	rig_kick(rig, 0);
	rig_expect_ring_error(rig, 0);
	stats = rig_stats(rig);
	assert_int_equal(stats.refused_requests, 1);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.invalidations, 2);
	assert_int_equal(stats.updates, 5);
	assert_int_equal(stats.misses, 6);
	assert_int_equal(stats.ring_errors, 1);
	assert_int_equal(stats.flushes, 0);
	rig_ring_stop(rig, 0);
	assert_int_equal(rig_stats(rig).flushes, 1);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	rig_free(rig);
}

static void at_its_end_a_sessions_numbers_are_complete(void **state)
{
	struct rig *rig = open_rig(*state);
	struct vhu_stats during, after;

	for (unsigned i = 0; i < 3; i++) {
		start(rig);
		assert_int_equal(rig_stats(rig).requests, 0);
		for (unsigned n = 0; n <= i; n++)
			do_request(rig, n);
		during = settled_stats(rig);
		rig_reconnect(rig);
		rig_wait_sessions(rig, i + 1);
		after = rig_last_stats(rig);
		assert_int_equal(after.requests, i + 1);
		assert_int_equal(after.pages_needed, during.pages_needed);
		assert_int_equal(after.misses, during.misses);
		assert_int_equal(after.kicks, during.kicks);
		assert_int_equal(after.calls, during.calls);
		assert_int_equal(after.iotlb_entries, 0);
		assert_int_equal(after.flushes, 1);
	}
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(each_counter_counts_what_it_says),
		RIG_TEST_BOTH(a_page_that_is_known_is_needed_and_not_missed),
		RIG_TEST_BOTH(what_goes_wrong_is_counted),
		RIG_TEST_BOTH(at_its_end_a_sessions_numbers_are_complete),
	};

	return cmocka_run_group_tests_name("session/server_stats", tests, NULL, NULL);
}
