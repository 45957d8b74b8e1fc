/* SPDX-License-Identifier: BSD-3-Clause */
/* The ordered map against an array that is searched from end to end. */
#include "iommu/rangetree.h"

#include <stdlib.h>
#include <string.h>

#include "support/check.h"

#define SPACE 4096u

/* uva of the entry that starts there, plus one; 0: none does. */
struct oracle {
	uint64_t at[SPACE];
	uint64_t count;
};

static void insert(struct rangetree *tree, struct oracle *oracle, uint64_t start, uint64_t uva)
{
	const struct rangetree_value value = { .last = start, .uva = uva };
	struct rangetree_place below;

	assert_int_equal(rangetree_reserve(tree, 1), 0);
	if (uva % 2 && rangetree_find_below(tree, start, &below))
		rangetree_insert_behind(tree, &below, start, &value);
	else
		rangetree_insert(tree, start, &value);
	oracle->at[start] = uva + 1;
	oracle->count++;
}

static void take_out(struct rangetree *tree, struct oracle *oracle, uint64_t start)
{
	struct rangetree_place place, next;
	uint64_t expected;
	bool had_next;

	if (start % 2) {
		rangetree_remove(tree, start);
	} else {
		assert_true(rangetree_find_below(tree, start, &place));
		next = place;
		had_next = rangetree_next(&next);
		expected = had_next ? rangetree_start(&next) : 0;
		if (rangetree_remove_at(tree, &place)) {
			assert_true(had_next);
			assert_int_equal(rangetree_start(&place), expected);
		}
	}
	oracle->at[start] = 0;
	oracle->count--;
}

static void compare_one(const struct rangetree *tree, const struct oracle *oracle, uint64_t addr)
{
	int64_t below = (int64_t)addr, above = (int64_t)addr;
	struct rangetree_place place;
	bool found;

	while (below >= 0 && !oracle->at[below])
		below--;
	while (above < SPACE && !oracle->at[above])
		above++;
	found = rangetree_find_below(tree, addr, &place);
	assert_int_equal(found, below >= 0);
	if (found) {
		assert_int_equal(rangetree_start(&place), below);
		assert_int_equal(rangetree_value(&place)->uva + 1, oracle->at[below]);
	}
	found = rangetree_find_above(tree, addr, &place);
	assert_int_equal(found, above < SPACE);
	if (found)
		assert_int_equal(rangetree_start(&place), above);
}

static void compare_all(const struct rangetree *tree, const struct oracle *oracle)
{
	struct rangetree_place place;
	uint64_t n = 0;
	bool more = rangetree_find_above(tree, 0, &place);

	assert_true(rangetree_check(tree));
	assert_int_equal(tree->count, oracle->count);
	for (uint64_t i = 0; i < SPACE; i++) {
		if (!oracle->at[i])
			continue;
		assert_true(more);
		assert_int_equal(rangetree_start(&place), i);
		more = rangetree_next(&place);
		n++;
	}
	assert_false(more);
	while (n-- > 1)
		assert_true(rangetree_prev(&place));
	if (oracle->count)
		assert_false(rangetree_prev(&place));
}

enum order { ASCENDING, DESCENDING, MIXED };

static uint64_t nth(enum order order, uint64_t i)
{
	switch (order) {
	case ASCENDING: return i;
	case DESCENDING: return SPACE - 1 - i;
	default: return i * 2654435761u % SPACE;
	}
}

static void any_order_of_filling_and_emptying_will_do(void **state)
{
	for (unsigned orders = 0; orders < 9; orders++) {
		struct oracle *oracle = calloc(1, sizeof(*oracle));
		struct rangetree tree;

		assert_non_null(oracle);
		rangetree_init(&tree);
		for (uint64_t i = 0; i < SPACE; i++) {
			insert(&tree, oracle, nth(orders % 3, i), i);
			if (i % 97 == 0)
				compare_all(&tree, oracle);
		}
		compare_all(&tree, oracle);
		for (uint64_t i = 0; i < SPACE; i++) {
			take_out(&tree, oracle, nth(orders / 3, i));
			if (i % 97 == 0)
				compare_all(&tree, oracle);
		}
		compare_all(&tree, oracle);
		assert_int_equal(tree.height, 0);
		rangetree_done(&tree);
		free(oracle);
	}
}

static void random_steps_agree_with_an_array(void **state)
{
	for (unsigned seed = 1; seed <= 12; seed++) {
		struct oracle *oracle = calloc(1, sizeof(*oracle));
		struct rangetree tree;

		assert_non_null(oracle);
		srand(seed);
		rangetree_init(&tree);
		for (unsigned i = 0; i < 20000; i++) {
			/* Grows for a while, then shrinks. */
			bool grow = (unsigned)rand() % 100 < (i / 3000 % 2 ? 30u : 70u);
			uint64_t at = (unsigned)rand() % SPACE;

			if (grow && !oracle->at[at])
				insert(&tree, oracle, at, i);
			else if (!grow && oracle->at[at])
				take_out(&tree, oracle, at);
			compare_one(&tree, oracle, (unsigned)rand() % SPACE);
			if (i % 500 == 0)
				compare_all(&tree, oracle);
		}
		compare_all(&tree, oracle);
		rangetree_done(&tree);
		free(oracle);
	}
}

static unsigned count_leaves(const struct rangetree *tree)
{
	struct rangetree_place place;
	unsigned n = 1;

	assert_true(rangetree_find_above(tree, 0, &place));
	for (const struct rangetree_node *node = place.node; rangetree_next(&place);) {
		n += place.node != node;
		node = place.node;
	}
	return n;
}

static void memory_is_bounded_by_what_is_kept(void **state)
{
	/* In ascending and in descending order leaves are filled whole. */
	for (enum order order = ASCENDING; order <= DESCENDING; order++) {
		struct oracle *oracle = calloc(1, sizeof(*oracle));
		struct rangetree tree;

		assert_non_null(oracle);
		rangetree_init(&tree);
		for (uint64_t i = 0; i < SPACE; i++)
			insert(&tree, oracle, nth(order, i), i);
		assert_true(count_leaves(&tree) <= SPACE / RANGETREE_ORDER + 1);
		for (uint64_t i = 0; i < SPACE; i++)
			if (i % 16)
				take_out(&tree, oracle, i);
		assert_true(count_leaves(&tree) <= SPACE / 16 / (RANGETREE_ORDER / 4) + 1);
		compare_all(&tree, oracle);
		rangetree_done(&tree);
		free(oracle);
	}
}

/* So that inner nodes become fewer, too, and are moved to large pages. */
static void a_large_tree_keeps_its_order(void **state)
{
	const uint64_t most = 300000, kept = 48;
	struct rangetree_value value = { 0 };
	struct rangetree_place place;
	struct rangetree tree;

	rangetree_init(&tree);
	for (uint64_t i = 0; i < most; i++) {
		value.last = i;
		assert_int_equal(rangetree_reserve(&tree, 1), 0);
		rangetree_insert(&tree, i, &value);
	}
	assert_true(tree.inner.large);
	assert_true(rangetree_check(&tree));
	for (uint64_t i = 0; i < most; i++) {
		const uint64_t at = i * 7919 % most;

		if (at % kept)
			rangetree_remove(&tree, at);
		if (i % (most / 16) == 0)
			assert_true(rangetree_check(&tree));
	}
	assert_int_equal(tree.count, most / kept);
	for (uint64_t i = 0; i < most; i++) {
		assert_true(rangetree_find_below(&tree, i, &place));
		assert_int_equal(rangetree_start(&place), i - i % kept);
	}
	rangetree_done(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_of_filling_and_emptying_will_do),
		cmocka_unit_test(random_steps_agree_with_an_array),
		cmocka_unit_test(memory_is_bounded_by_what_is_kept),
		cmocka_unit_test(a_large_tree_keeps_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
