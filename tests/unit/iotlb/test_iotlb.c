/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "iotlb/iotlb.h"
#include "support/check.h"

/* One thread has no races, and each atomic costs the thread sanitizer a call. */
#ifdef THREAD_SANITIZER
#define IDENTITY (UINT64_C(1) << 16)
#else
#define IDENTITY (UINT64_C(1) << 20)
#endif

#define PAGE     UINT64_C(4096)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Never touched: addresses are all that matters. */
static char *at(uint64_t address)
{
	return (char *)(uintptr_t)address;
}

static struct range span(uint64_t start, uint64_t size)
{
	struct range range;

	assert_true(range_make(start, size, &range));
	return range;
}

/* start, size, ptr, perm; perm 0 removes; size 0 ends a list */
struct step {
	uint64_t start, size, ptr;
	uint8_t perm;
};

static bool run(struct iotlb *tlb, const struct step *step)
{
	bool ret = step->perm ? iotlb_update(tlb, span(step->start, step->size), at(step->ptr),
	                                     step->perm)
	                      : iotlb_invalidate(tlb, span(step->start, step->size));

	assert_true(iotlb_check(tlb));
	return ret;
}

static uint64_t entries(const struct iotlb *tlb)
{
	struct iotlb_stats stats;

	iotlb_stats(tlb, &stats);
	return stats.entries;
}

/* Where @addr leads for @perm; 0: nowhere. */
static uint64_t where(const struct iotlb *tlb, uint64_t addr, uint8_t perm)
{
	struct walk walk;

	return iotlb_lookup(tlb, addr, perm, &walk) ? (uint64_t)(uintptr_t)walk.ptr : 0;
}

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

	for (size_t i = 0; i < COUNT(table); i++) {
		struct iotlb *tlb = iotlb_new(100);

		for (size_t s = 0; s < COUNT(table[i].steps) && table[i].steps[s].size; s++)
			run(tlb, &table[i].steps[s]);
		for (size_t p = 0; p < COUNT(table[i].points) && table[i].points[p].perm; p++)
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

	for (size_t i = 0; i < COUNT(table); i++) {
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

	for (size_t i = 0; i < COUNT(table); i++) {
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

	for (size_t s = 0; s < COUNT(strides); s++) {
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

	for (size_t i = 0; i < COUNT(table); i++) {
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

	for (size_t i = 0; i < COUNT(table); i++) {
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

/* Pages that can't merge. */
static void fill(struct iotlb *tlb, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++)
		iotlb_update(tlb, span(i * PAGE, PAGE), at(0x10000000 + 2 * i * PAGE), 3);
}

static void F2_never_beyond_the_bound_and_the_newest_stays(void **state)
{
	static const uint64_t bounds[] = { 1, 2, 3, 10, 1000, 1500 };

	for (size_t b = 0; b < COUNT(bounds); b++) {
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
		cmocka_unit_test(I1_exactly_the_range_goes),
		cmocka_unit_test(I1_flush_by_two_ranges_around_the_interrupts),
		cmocka_unit_test(F1_flush_says_whether_there_was_anything),
		cmocka_unit_test(F1_what_points_into_memory_goes),
		cmocka_unit_test(F2_never_beyond_the_bound_and_the_newest_stays),
		cmocka_unit_test(F2_a_split_at_the_bound_evicts),
		cmocka_unit_test(F2_what_is_used_outlives_what_is_not),
		cmocka_unit_test(F2_what_was_evicted_may_be_in_use),
		cmocka_unit_test(lookups_see_whole_updates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
