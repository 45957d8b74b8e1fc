/* SPDX-License-Identifier: BSD-3-Clause */
/* The map at its bound: rule F2. */
#include "steps.h"

/* Pages that can't merge. */
static void fill(struct iotlb *tlb, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++)
		iotlb_update(tlb, span(i * PAGE, PAGE), at(0x10000000 + 2 * i * PAGE), 3);
}

static void F2_never_beyond_the_bound_and_the_newest_stays(void **state)
{
	static const uint64_t bounds[] = { 1, 2, 3, 10, 1000, 1500 };

	for (size_t b = 0; b < ARRAY_SIZE(bounds); b++) {
		struct iotlb *tlb = iotlb_new(bounds[b]);

		for (uint64_t i = 0; i < 3000; i++) {
			fill(tlb, i, 1);
			assert_true(entries(tlb) <= bounds[b]);
			assert_int_not_equal(where(tlb, i * PAGE, 3), 0);
		}
		assert_int_equal(entries(tlb), bounds[b]);
		assert_true(iotlb_check(tlb));
		iotlb_free(tlb);
	}
}

static void F2_a_split_at_the_bound_evicts(void **state)
{
	struct iotlb_stats stats;
	struct iotlb *tlb = iotlb_new(1);

	run(tlb, &(struct step){ 0, 0x3000, 0x100000, 3 });
	assert_true(run(tlb, &(struct step){ 0x1000, 0x1000, 0, 0 }));
	iotlb_stats(tlb, &stats);
	assert_int_equal(stats.entries, 1);
	assert_int_equal(stats.evicted, 1);
	assert_int_equal(where(tlb, 0x1000, 3), 0);

	run(tlb, &(struct step){ 0, 0x3000, 0x100000, 3 });
	run(tlb, &(struct step){ 0x1000, 0x1000, 0x900000, 3 });
	assert_int_equal(where(tlb, 0x1000, 3), 0x900000);
	assert_int_equal(entries(tlb), 1);
	iotlb_free(tlb);
}

static void F2_what_is_used_outlives_what_is_not(void **state)
{
	struct iotlb *tlb = iotlb_new(100);
	uint64_t alive = 0;

	fill(tlb, 0, 100);
	for (uint64_t i = 100; i < 2000; i++) {
		fill(tlb, i, 1);
		for (uint64_t hot = 0; hot < 10; hot++)
			alive += where(tlb, hot * PAGE, 3) != 0;
	}
	/* The marks of the first fill are all set: the first round is blind. */
	assert_true(alive > 1900 * 8);
	iotlb_free(tlb);
}

/* A worker's front cache may hold what the map has evicted. */
static void F2_what_was_evicted_may_be_in_use(void **state)
{
	struct iotlb *tlb = iotlb_new(2);
	struct range gone;

	fill(tlb, 100, 4);
	assert_true(iotlb_invalidate(tlb, span(100 * PAGE, PAGE)));
	assert_false(iotlb_invalidate(tlb, span(100 * PAGE, PAGE)));
	assert_true(iotlb_update(tlb, span(101 * PAGE, PAGE), at(0x900000), 3));
	assert_false(iotlb_update(tlb, span(101 * PAGE, PAGE), at(0x900000), 3));

	iotlb_flush(tlb);
	assert_false(iotlb_invalidate(tlb, RANGE_ALL));
	fill(tlb, 200, 3);
	assert_false(iotlb_invalidate(tlb, span(0, 200 * PAGE)));
	assert_true(iotlb_drop_memory(tlb, at(0x10), 1, &gone));
	assert_true(range_contains(gone, span(200 * PAGE, PAGE)));
	assert_false(iotlb_drop_memory(tlb, at(0x10), 1, &gone));
	iotlb_free(tlb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F2_never_beyond_the_bound_and_the_newest_stays),
		cmocka_unit_test(F2_a_split_at_the_bound_evicts),
		cmocka_unit_test(F2_what_is_used_outlives_what_is_not),
		cmocka_unit_test(F2_what_was_evicted_may_be_in_use),
	};

	return cmocka_run_group_tests_name("iotlb/bound", tests, NULL, NULL);
}
