/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bound makes progress, and none is passed: rule F2. */
#include "stage.h"

#define PAGES 128u

/* Pages apart in memory, so that no two of them merge. */
static uint64_t place(unsigned page)
{
	return DATA_GPA((page * 5) % (2 * PAGES));
}

static void map_apart(struct rig *rig, unsigned from)
{
	for (unsigned i = 0; i < PAGES; i++)
		rig_map(rig, DATA_IOVA(from + i), PAGE, place(from + i), PERM_RW);
}

static void expect_apart_filled(struct rig *rig, unsigned n)
{
	for (unsigned i = 0; i + 1 < n; i++) {
		const unsigned char *bytes = rig_ptr(rig, place(i), PAGE);

		assert_int_equal(bytes[0], RIG_FILL);
		assert_int_equal(bytes[PAGE - 1], RIG_FILL);
	}
	assert_int_equal(*(char *)rig_ptr(rig, place(n - 1) + PAGE - 1, 1), RIG_OK);
}

/* The ring's pages and a chain of 128 go through a cache of a few. */
static void F2_a_long_chain_gets_through_a_small_cache(void **state)
{
	for (unsigned entries = 1; entries <= 4; entries++) {
		struct rig *rig = stage_new(state, (struct rig_config){ .iotlb_entries = entries });
		struct rig_ring_config config = stage_ring_config(0);

		map_apart(rig, 0);
		rig_map(rig, config.iova, PAGE, config.gpa, PERM_RW);
		rig_map(rig, config.iova + PAGE, PAGE, config.gpa + PAGE, PERM_RW);
		rig_ring_start(rig, 0, &config);
		for (unsigned i = 0; i < 2; i++) {
			stage_clear(rig, DATA_GPA(0), 2 * PAGES * PAGE);
			stage_ask(rig, 0, DATA_IOVA(0), (uint32_t)(PAGES * PAGE), i);
			stage_expect_used(rig, 0, i, (uint32_t)(PAGES * PAGE));
			expect_apart_filled(rig, PAGES);
		}
		assert_true(rig_stats(rig).iotlb_entries <= entries);
		assert_true(rig_stats(rig).evicted > PAGES);
		assert_int_equal(rig_refused(rig), 0);
		rig_free(rig);
	}
}

static void F2_two_queues_share_a_small_cache(void **state)
{
	for (unsigned entries = 1; entries <= 3; entries++) {
		struct rig *rig = stage_new(state, (struct rig_config){ .iotlb_entries = entries });

		for (unsigned q = 0; q < 2; q++) {
			struct rig_ring_config config = stage_ring_config(q);

			for (unsigned i = 0; i < 2; i++)
				rig_map(rig, config.iova + i * PAGE, PAGE, config.gpa + i * PAGE,
				        PERM_RW);
			rig_ring_start(rig, q, &config);
		}
		map_apart(rig, 0);
		for (unsigned i = 0; i < 3; i++) {
			for (unsigned q = 0; q < 2; q++)
				stage_ask_copy(rig, q, DATA_IOVA(8 * q), 16 * PAGE,
				               DATA_IOVA(40 + 8 * q), 3 * PAGE, i);
			for (unsigned q = 0; q < 2; q++)
				stage_expect_used(rig, q, i, 3 * PAGE);
		}
		assert_int_equal(rig_refused(rig), 0);
		assert_true(rig_stats(rig).iotlb_entries <= entries);
		rig_free(rig);
	}
}

/* What a chain keeps goes with an invalidation, as if it were in the cache. */
static void F2_what_a_chain_keeps_is_invalidated_too(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ .iotlb_entries = 1 });
	struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss miss[4];

	for (unsigned i = 0; i < 2; i++)
		rig_map(rig, config.iova + i * PAGE, PAGE, config.gpa + i * PAGE, PERM_RW);
	rig_ring_start(rig, 0, &config);
	rig_serve_misses(rig, PEER_QUIET);
	for (unsigned i = 0; i < 4; i++)
		rig_map(rig, DATA_IOVA(i), PAGE, DATA_GPA(2 * i), PERM_RW);
	stage_clear(rig, DATA_GPA(0), 20 * PAGE);
	stage_ask(rig, 0, DATA_IOVA(0), 4 * PAGE, 1);
	for (unsigned i = 0; i < 4; i++)
		miss[i] = stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
	for (unsigned i = 0; i < 3; i++)
		assert_true(rig_grant(rig, &miss[i]));
	/* Pages 0 and 1 are out of the cache; page 0 moves. */
	rig_unmap(rig, DATA_IOVA(0), PAGE);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	stage_trap(rig, DATA_GPA(0));
	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(15), PERM_RW);
	assert_true(rig_grant(rig, &miss[3]));
	stage_expect_used(rig, 0, 1, 4 * PAGE);
	stage_expect_clear(rig, DATA_GPA(0), PAGE);
	assert_int_equal(*(unsigned char *)rig_ptr(rig, DATA_GPA(15), 1), RIG_FILL);
	rig_free(rig);
}

/* It may have been given before, and gone for another: that is not the front-end's fault. */
static void S4_an_eviction_excuses_a_zero_reply(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ .iotlb_entries = 4 });
	struct rig_miss miss;

	stage_ring(rig, 0);
	stage_ask(rig, 0, DATA_IOVA(0), 64, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	for (unsigned i = 0; i < 8; i++)
		stage_give(rig, 10 + 2 * i, 1, PERM_RW);
	rig_answer(rig, &miss, 0);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	stage_give(rig, 0, 1, PERM_RW);
	rig_answer(rig, &miss, 0);
	stage_expect_used_quietly(rig, 0, 1, 64);
	assert_int_equal(rig_stats(rig).unsatisfied, 0);
	rig_free(rig);
}

static void F2_the_bound_holds_whatever_comes(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ .iotlb_entries = 16 });

	for (unsigned i = 0; i < 400; i++) {
		assert_int_equal(rig_update(rig, DATA_IOVA(2 * i), PAGE + 1 + i,
		                            DATA_GPA((i * 7) % 400), 1 + i % 3),
		                 0);
		if (i % 16 == 0)
			assert_true(rig_stats(rig).iotlb_entries <= 16);
	}
	/* Cutting a hole into one makes two. */
	assert_int_equal(rig_update(rig, DATA_IOVA(0), 400 * PAGE, DATA_GPA(0), PERM_RW), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(4 * i), 1), 0);
	assert_true(rig_stats(rig).iotlb_entries <= 16);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(F2_a_long_chain_gets_through_a_small_cache),
		EACH(F2_two_queues_share_a_small_cache),
		EACH(F2_what_a_chain_keeps_is_invalidated_too),
		EACH(S4_an_eviction_excuses_a_zero_reply),
		EACH(F2_the_bound_holds_whatever_comes),
	};

	return cmocka_run_group_tests_name("iotlb_bound", tests, NULL, NULL);
}
