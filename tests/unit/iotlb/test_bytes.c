/* SPDX-License-Identifier: BSD-3-Clause */
/* What an IOTLB costs: rules U3 and F2 in bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "iotlb/iotlb.h"
#include "support/check.h"

/* One thread has no races, and each atomic costs the thread sanitizer a call. */
#ifdef THREAD_SANITIZER
#define ENTRIES (1u << 16)
#define FILL    (1u << 12)
#else
#define ENTRIES IOTLB_ENTRIES_DEFAULT
#define FILL    (1u << 15)
#endif

#define PAGE     UINT64_C(4096)
#define MEMORY   (UINT64_C(1) << 44)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* For each entry, and once: 256 rows, a leaf and what is above it. */
#define BYTES_ENTRY 96u
#define BYTES_ONCE  (17u << 10)

/* What a flush may leave in use. */
#define BYTES_FLUSHED (UINT64_C(512) << 10)

/* Never touched: addresses are all that matters. */
static char *at(uint64_t address)
{
	return (char *)(uintptr_t)address;
}

static struct iotlb_stats stats_of(const struct iotlb *tlb)
{
	struct iotlb_stats stats;

	iotlb_stats(tlb, &stats);
	return stats;
}

/* Entries of @size, @step apart, from @start on; their neighbours lead elsewhere. */
struct shape {
	const char *name;
	uint64_t start, step, size;
};

static const struct shape pages = { "pages", 0, PAGE, PAGE };

static void put(struct iotlb *tlb, const struct shape *shape, uint64_t i)
{
	struct range range;

	assert_true(range_make(shape->start + i * shape->step, shape->size, &range));
	iotlb_update(tlb, range, at(MEMORY + (i ^ 1) * shape->step + shape->start % PAGE), 3);
}

static void check_cost(const struct iotlb *tlb, const struct shape *shape, uint64_t n)
{
	struct iotlb_stats stats = stats_of(tlb);

	if (stats.entries == n && stats.bytes <= n * BYTES_ENTRY + BYTES_ONCE)
		return;
	print_error("%s: %lu entries (%lu) in %lu bytes\n", shape->name,
	            (unsigned long)stats.entries, (unsigned long)n, (unsigned long)stats.bytes);
	fail();
}

/* The @i-th of @n numbers below @n, each once. */
typedef uint64_t order_fn(uint64_t i, uint64_t n);

static uint64_t upwards(uint64_t i, uint64_t n)
{
	return i;
}

static uint64_t downwards(uint64_t i, uint64_t n)
{
	return n - 1 - i;
}

/* @n is a power of two. */
static uint64_t scattered(uint64_t i, uint64_t n)
{
	i = i * UINT64_C(0x9e3779b1) & (n - 1);
	i ^= i >> 7;
	return i * UINT64_C(0x2545f491) & (n - 1);
}

/* After each single one, so that no growth goes unseen. */
static void check_fill(const struct shape *shape, order_fn *order, uint64_t n)
{
	struct iotlb *tlb = iotlb_new(n);

	assert_non_null(tlb);
	for (uint64_t i = 0; i < n; i++) {
		put(tlb, shape, order(i, n));
		check_cost(tlb, shape, i + 1);
	}
	assert_true(iotlb_check(tlb));
	iotlb_free(tlb);
}

static void F2_a_million_pages_cost_96_bytes_each(void **state)
{
	check_fill(&pages, upwards, ENTRIES);
}

static void F2_in_any_order_and_of_any_shape_an_entry_costs_96_bytes(void **state)
{
	static const struct shape shapes[] = {
		{ "pages", 0, PAGE, PAGE },
		{ "pages far apart", 0, PAGE << 20, PAGE },
		{ "pages beyond 2^54", UINT64_C(3) << 62, PAGE, PAGE },
		{ "unaligned pages", 0x200, PAGE, PAGE },
		{ "five hundred bytes", 0x7, 500, 500 },
		{ "two pages, two granules", PAGE, 2 * PAGE, 2 * PAGE },
		{ "large, odd", 0x12345, 0x40123, 0x30001 },
	};
	static order_fn *const orders[] = { upwards, downwards, scattered };

	for (size_t s = 0; s < COUNT(shapes); s++)
		for (size_t o = 0; o < COUNT(orders); o++)
			check_fill(&shapes[s], orders[o], FILL);
}

static void F2_a_small_map_is_small(void **state)
{
	for (uint64_t n = 1; n <= 64; n *= 2)
		check_fill(&pages, upwards, n);
}

/* At the bound, one goes for each that comes. */
static void F2_at_the_bound_it_costs_no_more(void **state)
{
	const uint64_t bound = 3000;
	struct iotlb *tlb = iotlb_new(bound);

	assert_non_null(tlb);
	for (uint64_t i = 0; i < 20 * bound; i++) {
		put(tlb, &pages, i);
		assert_true(stats_of(tlb).entries <= bound);
		/* The two beyond the bound that an update may need for a moment. */
		assert_true(stats_of(tlb).bytes <= (bound + 2) * BYTES_ENTRY + BYTES_ONCE);
	}
	assert_true(iotlb_check(tlb));
	iotlb_free(tlb);
}

static void U3_a_million_identity_updates_are_one_entry(void **state)
{
	static order_fn *const orders[] = { upwards, downwards };

	for (size_t o = 0; o < COUNT(orders); o++) {
		struct iotlb *tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);
		const uint64_t n = 1 << 20;

		assert_non_null(tlb);
		for (uint64_t i = 0; i < n; i++) {
			uint64_t start = orders[o](i, n) * PAGE;

			iotlb_update(tlb, (struct range){ start, start + PAGE - 1 },
			             at(MEMORY + start), 3);
			check_cost(tlb, &pages, 1);
		}
		assert_true(iotlb_covers(tlb, (struct range){ 0, n * PAGE - 1 }, 3));
		assert_true(iotlb_check(tlb));
		iotlb_free(tlb);
	}
}

#ifndef THREAD_SANITIZER /* which keeps shadows of memory that was given back */
/* Pages of this process in memory. */
static uint64_t resident(void)
{
	unsigned long size = 0, pages_in = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &pages_in), 2);
	fclose(file);
	return pages_in * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void F2_a_flush_gives_memory_back(void **state)
{
	struct iotlb *tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);

	assert_non_null(tlb);
	for (unsigned round = 0; round < 2; round++) {
		const uint64_t n = 1 << 18;
		uint64_t full;

		for (uint64_t i = 0; i < n; i++)
			put(tlb, &pages, i);
		full = resident();
		assert_true(iotlb_flush(tlb));
		assert_true(stats_of(tlb).bytes <= BYTES_FLUSHED);
		/* Half of the rows, and what is counted to the page, may not have been used. */
		assert_true(resident() + n * BYTES_ENTRY / 2 <= full);
		assert_true(iotlb_check(tlb));
	}
	iotlb_free(tlb);
}
#endif

/* Entry by entry, the way to it goes with it; its own place awaits another one. */
static void F2_removals_give_back_most_of_the_hash(void **state)
{
	struct iotlb *tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);
	const uint64_t n = 1 << 17;
	uint64_t bytes;

	assert_non_null(tlb);
	for (uint64_t i = 0; i < n; i++)
		put(tlb, &pages, i);
	bytes = stats_of(tlb).bytes;
	for (uint64_t i = 0; i < n; i++)
		assert_true(iotlb_invalidate(tlb, (struct range){ i * PAGE, (i + 1) * PAGE - 1 }));
	assert_true(stats_of(tlb).bytes <= bytes - n * 32 + BYTES_FLUSHED);
	assert_true(iotlb_check(tlb));
	iotlb_free(tlb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F2_a_small_map_is_small),
		cmocka_unit_test(F2_a_million_pages_cost_96_bytes_each),
		cmocka_unit_test(F2_in_any_order_and_of_any_shape_an_entry_costs_96_bytes),
		cmocka_unit_test(F2_at_the_bound_it_costs_no_more),
		cmocka_unit_test(U3_a_million_identity_updates_are_one_entry),
#ifndef THREAD_SANITIZER
		cmocka_unit_test(F2_a_flush_gives_memory_back),
#endif
		cmocka_unit_test(F2_removals_give_back_most_of_the_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
