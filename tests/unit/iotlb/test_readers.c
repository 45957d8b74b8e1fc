/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups beside changes: each answer is one that was right at some moment of
 * the call. A generation counts changes and is part of the pointer that an update
 * gives; for each unit of the space the writer publishes, around every change,
 * what may be found from now on and what can't be any more.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "iotlb/iotlb.h"

#define UNIT       UINT64_C(1024)
#define PAGE_UNITS 4u
#define UNITS      (PAGE_UNITS * 1024u)
#define HOT_UNITS  (PAGE_UNITS * 16u)
#define BASE       (UINT64_C(1) << 40)

/* A pointer is {generation: 32, offset in the space: 22, 0: 10}. */
#define OFFSET_BITS 32
#define HISTORY     (1u << 16)
#define MS          UINT64_C(1000000)
#define READERS     2u

/*
 * Of a unit. @hole and @there count up to an odd number before there may be a hole
 * (a translation), and to an even one after there is none any more.
 */
struct unit {
	_Atomic uint64_t low;  /* no generation before this one is found */
	_Atomic uint64_t high; /* none after this one is found */
	_Atomic uint64_t hole;
	_Atomic uint64_t there;
};

struct stage {
	struct iotlb *tlb;
	uint64_t generation;
	uint64_t seed;
	bool evicts;
	struct unit unit[UNITS];
	_Atomic uint64_t given[HISTORY]; /* by generation: units {first: 32, last: 32} */
	atomic_bool stop;
	_Atomic uint64_t hits, misses, wrong;
};

static struct stage stage;

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct range space_of(unsigned first, unsigned last)
{
	return (struct range){ BASE + first * UNIT, BASE + (last + 1) * UNIT - 1 };
}

static uint8_t perm_of(uint64_t generation)
{
	return generation & 1 ? 3 : 1;
}

static void turn_odd(_Atomic uint64_t *counter)
{
	uint64_t n = atomic_load(counter);

	if (!(n & 1))
		atomic_store(counter, n + 1);
}

static void turn_even(_Atomic uint64_t *counter)
{
	uint64_t n = atomic_load(counter);

	if (n & 1)
		atomic_store(counter, n + 1);
}

static void before_change(unsigned first, unsigned last, uint64_t generation, bool update)
{
	for (unsigned u = first; u <= last; u++) {
		atomic_store(&stage.unit[u].high, generation);
		turn_odd(update ? &stage.unit[u].there : &stage.unit[u].hole);
	}
}

static void after_change(unsigned first, unsigned last, uint64_t generation, bool update)
{
	for (unsigned u = first; u <= last; u++) {
		atomic_store(&stage.unit[u].low, generation);
		turn_even(update ? &stage.unit[u].hole : &stage.unit[u].there);
	}
}

static void update(unsigned first, unsigned last)
{
	uint64_t g = ++stage.generation;
	unsigned middle = (first + last) / 2;

	atomic_store(&stage.given[g % HISTORY], (uint64_t)first << 32 | last);
	before_change(first, last, g, true);
	/* Some in two parts, which merge. */
	if (g % 4 || middle == last) {
		iotlb_update(stage.tlb, space_of(first, last),
		             (char *)(uintptr_t)(g << OFFSET_BITS | first * UNIT), perm_of(g));
	} else {
		iotlb_update(stage.tlb, space_of(middle + 1, last),
		             (char *)(uintptr_t)(g << OFFSET_BITS | (middle + 1) * UNIT),
		             perm_of(g));
		iotlb_update(stage.tlb, space_of(first, middle),
		             (char *)(uintptr_t)(g << OFFSET_BITS | first * UNIT), perm_of(g));
	}
	after_change(first, last, g, true);
}

static void invalidate(unsigned first, unsigned last)
{
	uint64_t g = ++stage.generation;

	before_change(first, last, g, false);
	if (first == 0 && last == UNITS - 1)
		iotlb_flush(stage.tlb);
	else
		iotlb_invalidate(stage.tlb, space_of(first, last));
	after_change(first, last, g, false);
}

/* Pages mostly, or what begins and ends within them, or what is larger. */
static void random_change(void)
{
	uint64_t r = random_next(&stage.seed);
	unsigned space = r & 1 ? HOT_UNITS : UNITS;
	unsigned first = (r >> 8) % space, last = first, shape = (r >> 32) % 16;

	if (shape < 9) {
		first -= first % PAGE_UNITS;
		last = first + PAGE_UNITS - 1;
	} else if (shape < 12) {
		last = first + (r >> 40) % PAGE_UNITS;
	} else if (shape < 15) {
		last = first + (r >> 40) % (5 * PAGE_UNITS);
	} else {
		last = first + (r >> 40) % (80 * PAGE_UNITS);
	}
	if (last >= UNITS)
		last = UNITS - 1;
	if ((r >> 56) % 8 < 5)
		update(first, last);
	else
		invalidate(first, last);
}

/* The hash grows by all pages, and is emptied. */
static void tide(void)
{
	for (unsigned u = 0; u < UNITS && !atomic_load(&stage.stop); u += PAGE_UNITS)
		update(u, u + PAGE_UNITS - 1);
	if (stage.seed & 1)
		invalidate(0, UNITS - 1);
	else
		for (unsigned u = 0; u < UNITS; u += PAGE_UNITS)
			invalidate(u, u + PAGE_UNITS - 1);
}

/* Whether what was found is all of one update, or a part of it, and that one is not too old. */
static bool piece_is_right(uint64_t addr, const struct walk *walk, uint64_t low, uint64_t high)
{
	uint64_t ptr = (uint64_t)(uintptr_t)walk->ptr, g = ptr >> OFFSET_BITS, given;
	uint64_t offset = addr - BASE;

	if ((ptr & UINT32_MAX) != offset || g < low || g > high || walk->perm != perm_of(g))
		return false;
	given = atomic_load(&stage.given[g % HISTORY]);
	/* Its place in the history may have another's by now. */
	if (high - g >= HISTORY / 2)
		return true;
	return walk->before <= offset - (given >> 32) * UNIT && walk->after >= 1 &&
	       walk->after <= ((given & UINT32_MAX) + 1) * UNIT - offset;
}

static bool lookup_is_right(uint64_t addr)
{
	struct unit *unit = &stage.unit[(addr - BASE) / UNIT];
	uint64_t low = atomic_load(&unit->low), hole = atomic_load(&unit->hole);
	uint64_t there = atomic_load(&unit->there);
	struct walk walk;

	if (iotlb_lookup(stage.tlb, addr, 1, &walk)) {
		atomic_fetch_add(&stage.hits, 1);
		return piece_is_right(addr, &walk, low, atomic_load(&unit->high)) &&
		       (there & 1 || atomic_load(&unit->there) != there);
	}
	atomic_fetch_add(&stage.misses, 1);
	return stage.evicts || hole & 1 || atomic_load(&unit->hole) != hole;
}

#define COVERED_MAX (3 * PAGE_UNITS)

/* True: each unit had something at some moment. False: not all had something all the time. */
static bool covers_is_right(unsigned first, unsigned last)
{
	uint64_t hole[COVERED_MAX], there[COVERED_MAX];
	bool covered, had_hole = false;

	for (unsigned i = 0; i <= last - first; i++) {
		hole[i] = atomic_load(&stage.unit[first + i].hole);
		there[i] = atomic_load(&stage.unit[first + i].there);
	}
	covered = iotlb_covers(stage.tlb, space_of(first, last), 1);
	for (unsigned i = 0; i <= last - first; i++) {
		if (covered && !(there[i] & 1) &&
		    atomic_load(&stage.unit[first + i].there) == there[i])
			return false;
		had_hole |= hole[i] & 1 || atomic_load(&stage.unit[first + i].hole) != hole[i];
	}
	return covered || had_hole || stage.evicts;
}

static void *read_loop(void *seed_of)
{
	uint64_t seed = *(uint64_t *)seed_of;

	while (!atomic_load(&stage.stop)) {
		uint64_t r = random_next(&seed);
		unsigned first = (r >> 8) % (r & 1 ? HOT_UNITS : UNITS);
		unsigned last = first + (r >> 40) % COVERED_MAX;
		bool right;

		if (r >> 56 < 32 && last < UNITS)
			right = covers_is_right(first, last);
		else
			right = lookup_is_right(BASE + first * UNIT + (r >> 40) % UNIT);
		if (!right)
			atomic_fetch_add(&stage.wrong, 1);
	}
	return NULL;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

static void start(uint64_t bound, bool evicts)
{
	memset(&stage, 0, sizeof(stage));
	stage.tlb = iotlb_new(bound);
	assert_non_null(stage.tlb);
	stage.evicts = evicts;
	stage.seed = 0x9e3779b97f4a7c15u;
	for (unsigned u = 0; u < UNITS; u++)
		atomic_store(&stage.unit[u].hole, 1);
}

static void churn(uint64_t bound, bool evicts, uint64_t ns)
{
	static uint64_t seeds[READERS] = { 0x2545f4914f6cdd1d, 0xd1342543de82ef95 };
	pthread_t threads[READERS];
	struct iotlb_stats stats;
	uint64_t until;

	start(bound, evicts);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_loop, &seeds[i]), 0);
	for (until = now() + ns; now() < until;) {
		for (unsigned i = 0; i < 2000; i++)
			random_change();
		tide();
	}
	atomic_store(&stage.stop, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stage.wrong, 0);
	assert_true(stage.hits > 0 && stage.misses > 0);
	assert_true(iotlb_check(stage.tlb));
	iotlb_stats(stage.tlb, &stats);
	assert_int_equal(stats.evicted > 0, evicts);
	iotlb_free(stage.tlb);
}

static void U2_each_answer_was_right_at_some_moment(void **state)
{
	churn(IOTLB_ENTRIES_DEFAULT, false, 1300 * MS);
}

static void F2_each_answer_was_right_where_entries_are_evicted(void **state)
{
	churn(100, true, 700 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U2_each_answer_was_right_at_some_moment),
		cmocka_unit_test(F2_each_answer_was_right_where_entries_are_evicted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
