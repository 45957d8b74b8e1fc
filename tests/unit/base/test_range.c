/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges, above all where they meet the ends of the address space. */
#include "base/range.h"

#include "support/check.h"

#define MAX UINT64_MAX

static void a_range_is_made_unless_empty_or_wrapping(void **state)
{
	static const struct {
		uint64_t start, size;
		bool made;
		uint64_t last;
	} cases[] = {
		{ 0, 0, false, 0 },
		{ 1, 0, false, 0 },
		{ MAX, 0, false, 0 },
		{ 0, 1, true, 0 },
		{ 0, MAX, true, MAX - 1 },
		{ 1, MAX, true, MAX },
		{ 2, MAX, false, 0 },
		{ MAX, 1, true, MAX },
		{ MAX, 2, false, 0 },
		{ MAX, MAX, false, 0 },
		{ MAX - 1, 2, true, MAX },
		{ MAX - 1, 3, false, 0 },
		{ 4096, 4096, true, 8191 },
		{ UINT64_C(1) << 63, UINT64_C(1) << 63, true, MAX },
		{ (UINT64_C(1) << 63) + 1, UINT64_C(1) << 63, false, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct range range = { 123, 456 };

		assert_int_equal(range_make(cases[i].start, cases[i].size, &range), cases[i].made);
		/* What can't be made changes nothing. */
		assert_true(range.start == (cases[i].made ? cases[i].start : 123));
		assert_true(range.last == (cases[i].made ? cases[i].last : 456));
		if (cases[i].made)
			assert_true(range_size(range) == cases[i].size);
	}
}

static void the_whole_space_has_size_0(void **state)
{
	(void)state;
	assert_true(range_size(RANGE_ALL) == 0);
	assert_true(range_has(RANGE_ALL, 0));
	assert_true(range_has(RANGE_ALL, MAX));
}

static void two_ranges_meet_or_not(void **state)
{
	static const struct {
		struct range a, b;
		bool overlap, a_in_b, b_in_a;
	} cases[] = {
		{ { 0, 0 }, { 0, 0 }, true, true, true },
		{ { 0, 0 }, { 1, 1 }, false, false, false },
		{ { 0, 0 }, { MAX, MAX }, false, false, false },
		{ { MAX, MAX }, { MAX, MAX }, true, true, true },
		{ { MAX, MAX }, { MAX - 1, MAX - 1 }, false, false, false },
		{ { MAX - 1, MAX }, { MAX, MAX }, true, false, true },
		{ { 0, MAX }, { 0, MAX }, true, true, true },
		{ { 0, MAX }, { 0, 0 }, true, false, true },
		{ { 0, MAX }, { MAX, MAX }, true, false, true },
		{ { 0, MAX - 1 }, { 1, MAX }, true, false, false },
		{ { 0, 4095 }, { 4096, 8191 }, false, false, false },
		{ { 0, 4096 }, { 4096, 8191 }, true, false, false },
		{ { 10, 20 }, { 10, 15 }, true, false, true },
		{ { 10, 20 }, { 15, 20 }, true, false, true },
		{ { 10, 20 }, { 12, 18 }, true, false, true },
		{ { 10, 20 }, { 5, 9 }, false, false, false },
		{ { 10, 20 }, { 21, 30 }, false, false, false },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct range a = cases[i].a, b = cases[i].b;

		assert_int_equal(range_overlaps(a, b), cases[i].overlap);
		assert_int_equal(range_overlaps(b, a), cases[i].overlap);
		assert_int_equal(range_contains(b, a), cases[i].a_in_b);
		assert_int_equal(range_contains(a, b), cases[i].b_in_a);
	}
}

static void a_range_has_its_ends(void **state)
{
	static const struct {
		struct range range;
		uint64_t addr;
		bool has;
	} cases[] = {
		{ { 0, 0 }, 0, true },          { { 0, 0 }, 1, false },
		{ { 0, 0 }, MAX, false },       { { MAX, MAX }, MAX, true },
		{ { MAX, MAX }, 0, false },     { { MAX, MAX }, MAX - 1, false },
		{ { 10, 20 }, 9, false },       { { 10, 20 }, 10, true },
		{ { 10, 20 }, 20, true },       { { 10, 20 }, 21, false },
		{ { 1, MAX - 1 }, 0, false },   { { 1, MAX - 1 }, MAX, false },
		{ { 1, MAX - 1 }, 1000, true },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(range_has(cases[i].range, cases[i].addr), cases[i].has);
}

/* The predicates say the same as sets of addresses, at both ends of the space. */
static void small_spaces_agree_with_sets(void **state)
{
	static const uint64_t bases[] = { 0, MAX - 5 };
	enum { N = 6 };

	(void)state;
	for (unsigned at = 0; at < ARRAY_SIZE(bases); at++)
		for (unsigned code = 0; code < N * N * N * N; code++) {
			unsigned s1 = code % N, l1 = code / N % N;
			unsigned s2 = code / N / N % N, l2 = code / N / N / N;
			struct range a = { bases[at] + s1, bases[at] + l1 };
			struct range b = { bases[at] + s2, bases[at] + l2 };
			unsigned set_a = 0, set_b = 0;

			if (l1 < s1 || l2 < s2)
				continue;
			for (unsigned i = 0; i < N; i++) {
				set_a |= (unsigned)range_has(a, bases[at] + i) << i;
				set_b |= (unsigned)range_has(b, bases[at] + i) << i;
			}
			assert_int_equal(__builtin_popcount(set_a), range_size(a));
			assert_int_equal(range_overlaps(a, b), (set_a & set_b) != 0);
			assert_int_equal(range_contains(a, b), (set_b & ~set_a) == 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_is_made_unless_empty_or_wrapping),
		cmocka_unit_test(the_whole_space_has_size_0),
		cmocka_unit_test(two_ranges_meet_or_not),
		cmocka_unit_test(a_range_has_its_ends),
		cmocka_unit_test(small_spaces_agree_with_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
