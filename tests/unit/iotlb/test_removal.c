/* SPDX-License-Identifier: BSD-3-Clause */
/* What invalidations, flushes and changes of memory take out of the map: rules I1 and F1. */
#include "steps.h"

static void I1_exactly_the_range_goes(void **state)
{
	/* Of [0x1000, 0x2fff] and [0x4000, 0x4fff]. */
	static const struct {
		uint64_t start, last;
		bool removed;
		uint64_t entries;
		uint64_t gone[2], stays[2];
	} table[] = {
		{ 0x1800, 0x1800, true, 3, { 0x1800, 0x1800 }, { 0x17ff, 0x1801 } },
		{ 0x0, 0x1000, true, 2, { 0x1000, 0x1000 }, { 0x1001, 0x4000 } },
		{ 0x2fff, 0x4000, true, 2, { 0x2fff, 0x4000 }, { 0x2ffe, 0x4001 } },
		{ 0x0, UINT64_MAX, true, 0, { 0x1000, 0x4fff }, { 0, 0 } },
		{ 0x3000, 0x3fff, false, 2, { 0x3000, 0x3fff }, { 0x2fff, 0x4000 } },
		{ 0x0, 0xfff, false, 2, { 0, 0xfff }, { 0x1000, 0x1000 } },
		{ 0x5000, UINT64_MAX, false, 2, { 0x5000, 0x5000 }, { 0x4fff, 0x4fff } },
		{ 0x4fff, UINT64_MAX, true, 2, { 0x4fff, 0x4fff }, { 0x4ffe, 0x4000 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct iotlb *tlb = iotlb_new(100);
		struct range range = { table[i].start, table[i].last };

		run(tlb, &(struct step){ 0x1000, 0x2000, 0x101000, 3 });
		run(tlb, &(struct step){ 0x4000, 0x1000, 0x204000, 3 });
		assert_int_equal(iotlb_invalidate(tlb, range), table[i].removed);
		assert_true(iotlb_check(tlb));
		assert_int_equal(entries(tlb), table[i].entries);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(where(tlb, table[i].gone[k], 1), 0);
			if (table[i].stays[k])
				assert_int_not_equal(where(tlb, table[i].stays[k], 3), 0);
		}
		assert_false(iotlb_invalidate(tlb, range));
		iotlb_free(tlb);
	}
}

/* QEMU's full flush leaves the interrupt range out. */
static void I1_flush_by_two_ranges_around_the_interrupts(void **state)
{
	struct iotlb *tlb = iotlb_new(1000);

	for (uint64_t page = 0; page < 500; page++)
		run(tlb, &(struct step){ page * 0x1000000, PAGE, 0x10000000 + page * PAGE, 3 });
	assert_true(iotlb_invalidate(tlb, (struct range){ 0, 0xfedfffff }));
	assert_true(iotlb_invalidate(tlb, (struct range){ 0xfef00000, UINT64_MAX }));
	assert_int_equal(entries(tlb), 0);
	iotlb_free(tlb);
}

static void F1_flush_says_whether_there_was_anything(void **state)
{
	struct iotlb *tlb = iotlb_new(100);

	assert_false(iotlb_flush(tlb));
	run(tlb, &(struct step){ 0x1000, 0x1000, 0x101000, 3 });
	assert_true(iotlb_flush(tlb));
	assert_int_equal(entries(tlb), 0);
	assert_int_equal(where(tlb, 0x1000, 1), 0);
	assert_true(iotlb_check(tlb));
	assert_false(iotlb_flush(tlb));
	iotlb_free(tlb);
}

static void F1_what_points_into_memory_goes(void **state)
{
	static const struct {
		uint64_t ptr, size;
		bool removed;
		struct range hull;
		uint64_t entries;
	} table[] = {
		/* Of 0x0 -> 0x100000 (8 KiB), 0x5000 -> 0x900000, 0x9000 -> 0x101000. */
		{ 0x100000, 0x2000, true, { 0x0, 0x9fff }, 1 },
		{ 0x101000, 0x1000, true, { 0x1000, 0x9fff }, 2 },
		{ 0x100800, 0x10, true, { 0x800, 0x80f }, 4 },
		{ 0x900fff, 0x1000, true, { 0x5fff, 0x5fff }, 3 },
		{ 0x800000, 0x100000, false, { 0, 0 }, 3 },
		{ 0x901000, UINT64_MAX - 0x901000, false, { 0, 0 }, 3 },
		{ 0x0, UINT64_MAX, true, { 0x0, 0x9fff }, 0 },
		{ 0x100000, 0, false, { 0, 0 }, 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct iotlb *tlb = iotlb_new(100);
		struct range hull = { 0, 0 };

		run(tlb, &(struct step){ 0x0, 0x2000, 0x100000, 3 });
		run(tlb, &(struct step){ 0x5000, 0x1000, 0x900000, 3 });
		run(tlb, &(struct step){ 0x9000, 0x1000, 0x101000, 1 });
		assert_int_equal(iotlb_drop_memory(tlb, at(table[i].ptr), table[i].size, &hull),
		                 table[i].removed);
		assert_int_equal(hull.start, table[i].hull.start);
		assert_int_equal(hull.last, table[i].hull.last);
		assert_int_equal(entries(tlb), table[i].entries);
		assert_true(iotlb_check(tlb));
		iotlb_free(tlb);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(I1_exactly_the_range_goes),
		cmocka_unit_test(I1_flush_by_two_ranges_around_the_interrupts),
		cmocka_unit_test(F1_flush_says_whether_there_was_anything),
		cmocka_unit_test(F1_what_points_into_memory_goes),
	};

	return cmocka_run_group_tests_name("iotlb/removal", tests, NULL, NULL);
}
