/* SPDX-License-Identifier: BSD-3-Clause */
/* What an update makes of the map: rules U2, U3 and U4. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "steps.h"

/* One thread has no races, and each atomic costs the thread sanitizer a call. */
#ifdef THREAD_SANITIZER
#define IDENTITY (UINT64_C(1) << 16)
#else
#define IDENTITY (UINT64_C(1) << 20)
#endif

static void U2_newest_update_wins(void **state)
{
	static const struct {
		struct step steps[3];
		struct {
			uint64_t addr, ptr;
			uint8_t perm;
		} points[6];
		uint64_t entries;
	} table[] = {
		/* in the middle */
		{ { { 0, 0x3000, 0x100000, 3 }, { 0x1000, 0x1000, 0x900000, 3 } },
		  { { 0xfff, 0x100fff, 3 },
		    { 0x1000, 0x900000, 3 },
		    { 0x1fff, 0x900fff, 3 },
		    { 0x2000, 0x102000, 3 } },
		  3 },
		/* over the end of one and the start of another */
		{ { { 0, 0x1000, 0x100000, 3 },
		    { 0x1000, 0x1000, 0x300000, 1 },
		    { 0x800, 0x1000, 0x900000, 2 } },
		  { { 0x7ff, 0x1007ff, 3 },
		    { 0x800, 0x900000, 2 },
		    { 0x17ff, 0x900fff, 2 },
		    { 0x800, 0, 1 },
		    { 0x1800, 0x300800, 1 } },
		  3 },
		/* over everything */
		{ { { 0x1000, 0x1000, 0x100000, 3 },
		    { 0x3000, 0x1000, 0x300000, 1 },
		    { 0, 0x10000, 0x900000, 1 } },
		  { { 0x1000, 0x901000, 1 }, { 0x3000, 0x903000, 1 }, { 0x1000, 0, 2 } },
		  1 },
		/* the same memory with less permission */
		{ { { 0, 0x3000, 0x100000, 3 }, { 0x1000, 0x1000, 0x101000, 1 } },
		  { { 0x1000, 0, 3 }, { 0x1000, 0x101000, 1 }, { 0, 0x100000, 3 } },
		  3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct iotlb *tlb = iotlb_new(100);

		for (size_t s = 0; s < ARRAY_SIZE(table[i].steps) && table[i].steps[s].size; s++)
			run(tlb, &table[i].steps[s]);
		for (size_t p = 0; p < ARRAY_SIZE(table[i].points) && table[i].points[p].perm; p++)
			assert_int_equal(
				where(tlb, table[i].points[p].addr, table[i].points[p].perm),
				table[i].points[p].ptr);
		assert_int_equal(entries(tlb), table[i].entries);
		iotlb_free(tlb);
	}
}

static void U2_update_says_whether_something_was_lost(void **state)
{
	/* Before: [0x1000, 0x2fff] -> 0x101000 RW, [0x5000, 0x5fff] -> 0x105000 R. */
	static const struct {
		const char *what;
		struct step step;
		bool lost;
	} table[] = {
		{ "a repetition", { 0x1000, 0x2000, 0x101000, 3 }, false },
		{ "a repetition of a part", { 0x1800, 0x100, 0x101800, 3 }, false },
		{ "new", { 0x8000, 0x1000, 0x900000, 3 }, false },
		{ "new between", { 0x3000, 0x2000, 0x900000, 1 }, false },
		{ "grown", { 0x0, 0x4000, 0x100000, 3 }, false },
		{ "permission widened", { 0x5000, 0x1000, 0x105000, 3 }, false },
		{ "permission lost", { 0x1000, 0x2000, 0x101000, 1 }, true },
		{ "permission lost at the last byte", { 0x2fff, 1, 0x102fff, 2 }, true },
		{ "permission exchanged", { 0x5000, 0x1000, 0x105000, 2 }, true },
		{ "other memory", { 0x1000, 0x1000, 0x900000, 3 }, true },
		{ "other memory for the last byte", { 0x5fff, 0x1000, 0x900000, 3 }, true },
		{ "all, in the same place, widened", { 0, 0x8000, 0x100000, 3 }, false },
		{ "all, in the same place, narrowed", { 0, 0x8000, 0x100000, 1 }, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct iotlb *tlb = iotlb_new(100);

		run(tlb, &(struct step){ 0x1000, 0x2000, 0x101000, 3 });
		run(tlb, &(struct step){ 0x5000, 0x1000, 0x105000, 1 });
		if (run(tlb, &table[i].step) != table[i].lost)
			fail_msg("%s", table[i].what);
		assert_false(run(tlb, &table[i].step));
		iotlb_free(tlb);
	}
}

static void U3_neighbours_merge_only_if_alike(void **state)
{
	/* Beside [0x1000, 0x1fff] -> 0x101000 RW. */
	static const struct {
		struct step step;
		uint64_t entries;
	} table[] = {
		{ { 0x2000, 0x1000, 0x102000, 3 }, 1 }, { { 0x0, 0x1000, 0x100000, 3 }, 1 },
		{ { 0x2000, 0x1000, 0x102000, 1 }, 2 }, { { 0x2000, 0x1000, 0x103000, 3 }, 2 },
		{ { 0x2001, 0x1000, 0x102001, 3 }, 2 }, { { 0x0, 0xfff, 0x100000, 3 }, 2 },
		{ { 0x1800, 0x1000, 0x101800, 3 }, 1 }, { { 0x0, 0x1000, 0x100000, 2 }, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct iotlb *tlb = iotlb_new(100);

		run(tlb, &(struct step){ 0x1000, 0x1000, 0x101000, 3 });
		run(tlb, &table[i].step);
		assert_int_equal(entries(tlb), table[i].entries);
		iotlb_free(tlb);
	}
}

static void U3_an_update_bridges_two_entries(void **state)
{
	struct iotlb *tlb = iotlb_new(100);
	struct walk walk;

	run(tlb, &(struct step){ 0x1000, 0x1000, 0x101000, 3 });
	run(tlb, &(struct step){ 0x3000, 0x1000, 0x103000, 3 });
	run(tlb, &(struct step){ 0x2000, 0x1000, 0x102000, 3 });
	assert_int_equal(entries(tlb), 1);
	assert_true(iotlb_lookup(tlb, 0x2800, 3, &walk));
	assert_int_equal(walk.before, 0x1800);
	assert_int_equal(walk.after, 0x1800);
	iotlb_free(tlb);
}

static void U3_a_million_identity_pages_are_one_entry(void **state)
{
	const uint64_t n = IDENTITY;

	/* In order, against it, and by strides that leave gaps to be bridged. */
	static const uint64_t strides[] = { 1, IDENTITY - 1, 363 };

	for (size_t s = 0; s < ARRAY_SIZE(strides); s++) {
		struct iotlb *tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);
		uint64_t page = 0;

		for (uint64_t i = 0; i < n; i++) {
			iotlb_update(tlb, span(page * PAGE, PAGE), at(page * PAGE), 3);
			page = (page + strides[s]) % n;
		}
		assert_int_equal(entries(tlb), 1);
		assert_true(iotlb_covers(tlb, span(0, n * PAGE), 3));
		assert_false(iotlb_covers(tlb, span(0, n * PAGE + 1), 1));
		assert_true(iotlb_check(tlb));
		iotlb_free(tlb);
	}
}

static void U3_from_one_byte_to_the_whole_space(void **state)
{
	struct iotlb *tlb = iotlb_new(100);
	struct walk walk;

	assert_false(iotlb_update(tlb, RANGE_ALL, NULL, 3));
	assert_true(iotlb_lookup(tlb, UINT64_MAX, 3, &walk));
	assert_ptr_equal(walk.ptr, at(UINT64_MAX));
	assert_int_equal(walk.before, UINT64_MAX);
	assert_int_equal(walk.after, 1);
	assert_true(iotlb_lookup(tlb, 0, 3, &walk));
	assert_int_equal(walk.after, UINT64_MAX);
	assert_true(iotlb_covers(tlb, RANGE_ALL, 3));

	assert_true(run(tlb, &(struct step){ UINT64_MAX, 1, 0x5000, 1 }));
	assert_true(run(tlb, &(struct step){ 0, 1, 0x7000, 1 }));
	assert_int_equal(entries(tlb), 3);
	assert_int_equal(where(tlb, UINT64_MAX, 1), 0x5000);
	assert_int_equal(where(tlb, UINT64_MAX - 1, 3), UINT64_MAX - 1);
	assert_int_equal(where(tlb, 0, 1), 0x7000);
	assert_int_equal(where(tlb, 1, 3), 1);
	assert_true(iotlb_covers(tlb, RANGE_ALL, 1));
	assert_false(iotlb_covers(tlb, RANGE_ALL, 2));

	assert_true(iotlb_invalidate(tlb, RANGE_ALL));
	assert_int_equal(entries(tlb), 0);
	iotlb_free(tlb);
}

/* The first byte and the last one are no neighbours. */
static void U3_the_space_does_not_close_to_a_ring(void **state)
{
	struct iotlb *tlb = iotlb_new(100);

	run(tlb, &(struct step){ UINT64_MAX, 1, 0x4fff, 3 });
	run(tlb, &(struct step){ 0, 1, 0x5000, 3 });
	assert_int_equal(entries(tlb), 2);
	iotlb_free(tlb);
}

static void U4_an_entry_gives_its_permission_and_no_more(void **state)
{
	for (uint8_t given = PERM_READ; given <= PERM_RW; given++) {
		struct iotlb *tlb = iotlb_new(100);

		run(tlb, &(struct step){ 0x1000, 0x1000, 0x101000, given });
		for (uint8_t wanted = PERM_READ; wanted <= PERM_RW; wanted++) {
			bool allowed = (given & wanted) == wanted;

			assert_int_equal(where(tlb, 0x1000, wanted) != 0, allowed);
			assert_int_equal(iotlb_covers(tlb, span(0x1000, 0x1000), wanted), allowed);
		}
		iotlb_free(tlb);
	}
}

static void U4_coverage_needs_the_permission_everywhere(void **state)
{
	struct iotlb *tlb = iotlb_new(100);

	run(tlb, &(struct step){ 0x1000, 0x1000, 0x101000, 3 });
	run(tlb, &(struct step){ 0x2000, 0x1000, 0x802000, 1 });
	run(tlb, &(struct step){ 0x4000, 0x1000, 0x104000, 3 });
	assert_true(iotlb_covers(tlb, span(0x1000, 0x2000), 1));
	assert_false(iotlb_covers(tlb, span(0x1000, 0x2000), 3));
	assert_false(iotlb_covers(tlb, span(0x1000, 0x2001), 1));
	assert_false(iotlb_covers(tlb, span(0xfff, 2), 1));
	assert_false(iotlb_covers(tlb, span(0x1000, 0x4000), 1));
	iotlb_free(tlb);
}

struct readers {
	struct iotlb *tlb;
	atomic_bool stop;
	atomic_uint wrong;
};

/* [0, 16 pages): page i leads to one of two places, or nowhere. */
static void *read_loop(void *opaque)
{
	struct readers *readers = opaque;
	struct walk walk;

	for (uint64_t i = 0; !atomic_load(&readers->stop); i++) {
		uint64_t addr = (i * 7 % 16) * PAGE + i % PAGE;

		if (!iotlb_lookup(readers->tlb, addr, 1, &walk))
			continue;
		if (walk.ptr != at(0x100000 + addr) && walk.ptr != at(0x900000 + addr))
			atomic_fetch_add(&readers->wrong, 1);
	}
	return NULL;
}

static void lookups_see_whole_updates(void **state)
{
	struct readers readers = { .tlb = iotlb_new(8) };
	struct timespec start, now;
	pthread_t threads[2];
	uint64_t n = 0;

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_loop, &readers), 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		for (int i = 0; i < 100; i++, n++) {
			uint64_t iova = n * 5 % 16 * PAGE;
			uint64_t to = n % 3 ? 0x100000 : 0x900000;

			iotlb_update(readers.tlb, span(iova, (1 + n % 3) * PAGE), at(to + iova),
			             1 + n % 3);
			if (n % 7 == 0)
				iotlb_invalidate(readers.tlb, span(n * 3 % 16 * PAGE, PAGE));
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
	         200);
	atomic_store(&readers.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&readers.wrong), 0);
	assert_true(iotlb_check(readers.tlb));
	iotlb_free(readers.tlb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U2_newest_update_wins),
		cmocka_unit_test(U2_update_says_whether_something_was_lost),
		cmocka_unit_test(U3_neighbours_merge_only_if_alike),
		cmocka_unit_test(U3_an_update_bridges_two_entries),
		cmocka_unit_test(U3_a_million_identity_pages_are_one_entry),
		cmocka_unit_test(U3_from_one_byte_to_the_whole_space),
		cmocka_unit_test(U3_the_space_does_not_close_to_a_ring),
		cmocka_unit_test(U4_an_entry_gives_its_permission_and_no_more),
		cmocka_unit_test(U4_coverage_needs_the_permission_everywhere),
		cmocka_unit_test(lookups_see_whole_updates),
	};

	return cmocka_run_group_tests_name("iotlb/update", tests, NULL, NULL);
}
