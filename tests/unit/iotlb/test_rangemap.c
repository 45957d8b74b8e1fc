/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iotlb/rangemap.h"

#define N 512u

static struct rangemap_node nodes[N];

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Node i is [10 i, 10 i + 4]. */
static void put(struct rangemap *map, unsigned i)
{
	nodes[i].range = (struct range){ 10 * i, 10 * i + 4 };
	rangemap_insert(map, &nodes[i]);
}

static void empty_map_has_nothing(void **state)
{
	struct rangemap map = { 0 };

	assert_null(rangemap_floor(&map, UINT64_MAX));
	assert_null(rangemap_from(&map, 0));
	assert_true(rangemap_check(&map));
}

static void floor_and_from_find_the_nearest(void **state)
{
	static const struct {
		uint64_t addr;
		int floor, from; /* node, or -1 */
	} table[] = {
		{ 0, -1, 1 }, { 9, -1, 1 },  { 10, 1, 1 },  { 14, 1, 1 },   { 15, 1, 2 },
		{ 20, 2, 2 }, { 24, 2, 2 },  { 25, 2, 5 },  { 49, 2, 5 },   { 50, 5, 5 },
		{ 54, 5, 5 }, { 55, 5, -1 }, { 99, 5, -1 }, { 200, 5, -1 }, { UINT64_MAX, 5, -1 },
	};
	struct rangemap map = { 0 };

	put(&map, 5);
	put(&map, 1);
	put(&map, 2);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int f = table[i].floor, g = table[i].from;

		assert_ptr_equal(rangemap_floor(&map, table[i].addr), f < 0 ? NULL : &nodes[f]);
		assert_ptr_equal(rangemap_from(&map, table[i].addr), g < 0 ? NULL : &nodes[g]);
	}
}

/* In order, against it, from the middle: each makes the tree turn otherwise. */
static void stays_balanced_in_any_order(void **state)
{
	for (unsigned stride = 1; stride < N; stride += 74) {
		struct rangemap map = { 0 };
		unsigned at = 0;

		for (unsigned i = 0; i < N; i++, at = (at + stride) % N)
			put(&map, at);
		assert_int_equal(map.n, N);
		assert_true(rangemap_check(&map));
		assert_true(map.root->height <= 13); /* 1.44 log2(N) */
		at = 0;
		for (unsigned i = 0; i < N; i++, at = (at + 2 * stride + 1) % N) {
			if (!nodes[at].height)
				continue;
			rangemap_remove(&map, &nodes[at]);
			nodes[at].height = 0;
			assert_true(rangemap_check(&map));
		}
	}
}

static void random_changes_match_a_set(void **state)
{
	struct rangemap map = { 0 };
	bool in[N] = { false };
	uint64_t seed = 88172645463325252u;
	unsigned count = 0;

	for (unsigned round = 0; round < 20000; round++) {
		unsigned i = random_next(&seed) % N;
		unsigned next = i + 1;

		if (in[i]) {
			rangemap_remove(&map, &nodes[i]);
			count--;
		} else {
			put(&map, i);
			count++;
		}
		in[i] = !in[i];
		assert_int_equal(map.n, count);
		while (next < N && !in[next])
			next++;
		assert_ptr_equal(rangemap_from(&map, 10 * i + 5), next < N ? &nodes[next] : NULL);
		if (round % 16 == 0)
			assert_true(rangemap_check(&map));
	}
}

static void next_and_prev_walk_in_order(void **state)
{
	struct rangemap map = { 0 };
	const struct rangemap_node *node;
	unsigned i;

	for (i = 0; i < N; i++)
		put(&map, (i * 37) % N);
	node = rangemap_from(&map, 0);
	for (i = 0; i < N; i++, node = rangemap_next(node))
		assert_ptr_equal(node, &nodes[i]);
	assert_null(node);
	node = rangemap_floor(&map, UINT64_MAX);
	for (i = N; i > 0; i--, node = rangemap_prev(node))
		assert_ptr_equal(node, &nodes[i - 1]);
	assert_null(node);
}

/* The test of the check itself. */
static void check_sees_what_is_wrong(void **state)
{
	struct rangemap map = { 0 };

	for (unsigned i = 0; i < 7; i++)
		put(&map, i);
	assert_true(rangemap_check(&map));
	nodes[3].range.last = 30 + 10;
	assert_false(rangemap_check(&map)); /* meets the next one */
	nodes[3].range.last = 29;
	assert_false(rangemap_check(&map)); /* ends before it starts */
	nodes[3].range.last = 34;
	map.n++;
	assert_false(rangemap_check(&map));
	map.n--;
	nodes[3].height++;
	assert_false(rangemap_check(&map));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_map_has_nothing),
		cmocka_unit_test(floor_and_from_find_the_nearest),
		cmocka_unit_test(stays_balanced_in_any_order),
		cmocka_unit_test(random_changes_match_a_set),
		cmocka_unit_test(next_and_prev_walk_in_order),
		cmocka_unit_test(check_sees_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
