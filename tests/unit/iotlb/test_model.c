/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOTLB against a plain map: every short sequence of operations in a small
 * space, and long random ones, with bounds small enough to evict, of bytes, pages
 * and larger units up to the whole space.
 */
#include "world.h"

/* One thread has no races, and each atomic costs the thread sanitizer a call. */
#ifdef THREAD_SANITIZER
#define STRIDE 31u
#define FEWER  16u
#else
#define STRIDE 1u
#define FEWER  1u
#endif

struct menu {
	unsigned space;
	unsigned deltas;
	uint8_t perms[3];
	unsigned n_perms;
};

static struct op ops[1024];

static unsigned menu_ops(const struct menu *menu)
{
	unsigned n = 0;

	for (unsigned first = 0; first < menu->space; first++) {
		for (unsigned last = first; last < menu->space; last++) {
			ops[n++] = (struct op){ INVALIDATE, first, last, 0, 0 };
			for (unsigned d = 0; d < menu->deltas; d++)
				for (unsigned p = 0; p < menu->n_perms; p++)
					ops[n++] = (struct op){ UPDATE, first, last, d,
						                menu->perms[p] };
		}
	}
	assert_true(n <= sizeof(ops) / sizeof(ops[0]));
	return n;
}

static void all_sequences(const struct menu *menu, uint64_t base, unsigned length)
{
	struct world w = { .tlb = iotlb_new(2 * SPACE_MAX) };
	unsigned n = menu_ops(menu);
	uint64_t sequences = 1;

	assert_non_null(w.tlb);
	for (unsigned i = 0; i < length; i++)
		sequences *= n;
	for (uint64_t s = 0; s < sequences; s += STRIDE) {
		uint64_t rest = s;

		world_start(&w, base, menu->space);
		for (unsigned i = 0; i < length; i++, rest /= n)
			world_apply(&w, &ops[rest % n]);
		/* Shorter ones have been checked by a shorter round. */
		world_check(&w);
	}
	iotlb_free(w.tlb);
}

static const struct menu everything = { 8, 3, { 1, 2, 3 }, 3 };

static void every_sequence_of_one_and_two(void **state)
{
	static const uint64_t bases[] = { 0, UINT64_MAX - 7 };

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		all_sequences(&everything, bases[i], 1);
		all_sequences(&everything, bases[i], 2);
	}
}

static void every_sequence_of_three(void **state)
{
	static const struct menu menu = { 8, 1, { 1, 3 }, 2 };

	all_sequences(&menu, UINT64_MAX - 7, 3);
}

static void every_sequence_of_three_with_other_memory(void **state)
{
	static const struct menu menu = { 5, 2, { 1, 3 }, 2 };

	all_sequences(&menu, 0, 3);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct op random_op(uint64_t *seed, unsigned space)
{
	uint64_t r = random_next(seed);
	unsigned a = r % space, b = (r >> 8) % space;
	unsigned dice = (r >> 16) % 16;
	struct op op = {
		.kind = dice < 11   ? UPDATE
		        : dice < 15 ? INVALIDATE
		                    : DROP,
		.first = a < b ? a : b,
		.last = a < b ? b : a,
		.delta = (r >> 24) % DELTAS,
		.perm = 1 + (r >> 32) % 3,
	};

	/* Short ranges, so that there are many entries. */
	if ((r >> 40) % 4 && op.last > op.first + 3)
		op.last = op.first + (r >> 44) % 4;
	return op;
}

/* A space, and what is done in it. */
struct course {
	uint64_t bound;
	uint64_t base;
	unsigned shift, space, rounds;
};

static void random_rounds(const struct course *course)
{
	bool evicts = course->bound < course->space;
	struct world w = {
		.tlb = iotlb_new(course->bound),
		.evicts = evicts,
		.shift = course->shift,
	};
	uint64_t seed = 0x9e3779b97f4a7c15u + course->bound;
	struct iotlb_stats stats;

	assert_non_null(w.tlb);
	world_start(&w, course->base, course->space);
	for (unsigned i = 0; i < course->rounds / FEWER; i++) {
		struct op op = random_op(&seed, course->space);

		/* No size of memory is that of the whole space. */
		if (op.kind == DROP && units(&w, op.last - op.first + 1) == 0)
			op.kind = INVALIDATE;
		/* There is one offset in the whole space: it has no room for two. */
		if (units(&w, course->space) == 0)
			op.delta = 0;
		world_apply(&w, &op);
		world_check(&w);
		iotlb_stats(w.tlb, &stats);
		assert_true(stats.entries <= course->bound);
		/* Where nothing merged, what was inserted last is there. */
		if (op.kind == UPDATE)
			assert_true(
				iotlb_covers(w.tlb, world_range(&w, op.first, op.last), op.perm));
	}
	assert_int_equal(evicts, stats.evicted > 0);
	iotlb_free(w.tlb);
}

static const uint64_t no_bound = UINT64_C(2) * SPACE_MAX;

static void random_without_bound(void **state)
{
	random_rounds(
		&(struct course){ no_bound, UINT64_MAX - SPACE_MAX + 1, 0, SPACE_MAX, 15000 });
}

static void F2_random_with_bounds(void **state)
{
	static const uint64_t bounds[] = { 1, 2, 3, 5 };

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		random_rounds(&(struct course){ bounds[i], 0, 0, SPACE_MAX, 6000 });
		random_rounds(&(struct course){ bounds[i], UINT64_MAX - SPACE_MAX + 1, 0, SPACE_MAX,
		                                6000 });
	}
}

/* By units that have slots of all kinds in the hash of pages. */
static void random_in_units(uint64_t bound)
{
	static const struct {
		uint64_t base;
		unsigned shift, space;
	} table[] = {
		{ 0, 12, SPACE_MAX },                               /* pages */
		{ -((uint64_t)SPACE_MAX << 12), 12, SPACE_MAX },    /* the last ones */
		{ (UINT64_C(1) << 54) - (8 << 12), 12, SPACE_MAX }, /* around 2^54 */
		{ 0x10800, 12, SPACE_MAX },                         /* unaligned */
		{ 0, 11, SPACE_MAX },                               /* halves of a page */
		{ 0x7fff0000, 13, SPACE_MAX },                      /* two pages */
		{ UINT64_C(1) << 32, 30, SPACE_MAX },               /* GiB */
		{ (UINT64_C(5) << 30) + 4096, 30, SPACE_MAX },      /* not at a multiple */
		{ -((uint64_t)SPACE_MAX << 30), 30, SPACE_MAX },    /* up to the end */
		{ 0, 60, 16 },                                      /* the whole space */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		random_rounds(&(struct course){ bound, table[i].base, table[i].shift,
		                                table[i].space, 800 });
}

static void random_from_pages_to_the_whole_space(void **state)
{
	random_in_units(no_bound);
}

static void F2_random_with_bounds_from_pages_to_the_whole_space(void **state)
{
	for (uint64_t bound = 1; bound <= 3; bound++)
		random_in_units(bound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sequence_of_one_and_two),
		cmocka_unit_test(every_sequence_of_three),
		cmocka_unit_test(every_sequence_of_three_with_other_memory),
		cmocka_unit_test(random_without_bound),
		cmocka_unit_test(F2_random_with_bounds),
		cmocka_unit_test(random_from_pages_to_the_whole_space),
		cmocka_unit_test(F2_random_with_bounds_from_pages_to_the_whole_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
