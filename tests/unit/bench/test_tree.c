/* SPDX-License-Identifier: BSD-3-Clause */
/* The baselines that look translations up: they have to find them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pairs.h"
#include "sorted.h"
#include "tree.h"

#define PERM_READ 1
#define PERM_RW   3
#define PAGES     512u
#define ROUNDS    20000u
#define PAGE      UINT64_C(4096)

static struct range page_range(uint64_t page)
{
	return (struct range){ page * PAGE, page * PAGE + PAGE - 1 };
}

static uint64_t page_uaddr(uint64_t page)
{
	return (page + 7) * 3 * PAGE;
}

static void tree_is_what_was_updated_and_not_invalidated(void **state)
{
	static bool there[PAGES];
	uint64_t seed = PAIRS_SEED;
	struct tree tree;

	tree_init(&tree);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t page = pairs_random(&seed) >> 20 & (PAGES - 1);

		if (there[page])
			tree_invalidate(&tree, page_range(page));
		else
			assert_true(
				tree_update(&tree, page_range(page), page_uaddr(page), PERM_RW));
		there[page] = !there[page];
		if (round % 64 == 0)
			assert_true(tree_check(&tree));
		page = pairs_random(&seed) >> 20 & (PAGES - 1);
		assert_int_equal(tree_find(&tree, page * PAGE + 5, PERM_READ),
		                 there[page] ? page_uaddr(page) + 5 : 0);
	}
	assert_true(tree_check(&tree));
	tree_done(&tree);
}

static void tree_finds_the_long_ones_too(void **state)
{
	struct tree tree;

	tree_init(&tree);
	for (uint64_t i = 0; i < 64; i++)
		assert_true(tree_update(&tree, page_range(2 * i), page_uaddr(i), PERM_RW));
	/* It begins below all others and ends above them. */
	tree_invalidate(&tree, page_range(0));
	assert_true(tree_update(&tree, (struct range){ 1, 1000 * PAGE }, 0x10000, PERM_READ));
	assert_true(tree_check(&tree));
	assert_int_equal(tree_find(&tree, 999 * PAGE, PERM_READ), 0x10000 + 999 * PAGE - 1);
	assert_int_equal(tree_find(&tree, 999 * PAGE, PERM_RW), 0);
	tree_done(&tree);
}

static void tree_invalidates_all_that_meets(void **state)
{
	struct tree tree;

	tree_init(&tree);
	for (uint64_t i = 0; i < 64; i++)
		assert_true(tree_update(&tree, page_range(i), page_uaddr(i), PERM_RW));
	tree_invalidate(&tree, (struct range){ 10 * PAGE + 5, 20 * PAGE });
	assert_int_equal(tree.n, 64 - 11);
	assert_true(tree_check(&tree));
	assert_int_equal(tree_find(&tree, 10 * PAGE, PERM_RW), 0);
	assert_int_equal(tree_find(&tree, 20 * PAGE, PERM_RW), 0);
	assert_int_equal(tree_find(&tree, 21 * PAGE, PERM_RW), page_uaddr(21));
	tree_invalidate(&tree, RANGE_ALL);
	assert_int_equal(tree.n, 0);
	assert_true(tree_check(&tree));
	tree_done(&tree);
}

static void sorted_list_finds_what_was_inserted(void **state)
{
	struct sorted list;

	assert_true(sorted_init(&list, PAGES));
	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t page = i * 77 & (PAGES - 1);

		sorted_insert(&list, 2 * page * PAGE, page_uaddr(page), PAGE, PERM_READ);
	}
	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(sorted_find(&list, 2 * page * PAGE + 9, PERM_READ),
		                 page_uaddr(page) + 9);
		assert_int_equal(sorted_find(&list, 2 * page * PAGE, PERM_RW), 0);
		assert_int_equal(sorted_find(&list, (2 * page + 1) * PAGE, PERM_READ), 0);
	}
	sorted_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_is_what_was_updated_and_not_invalidated),
		cmocka_unit_test(tree_finds_the_long_ones_too),
		cmocka_unit_test(tree_invalidates_all_that_meets),
		cmocka_unit_test(sorted_list_finds_what_was_inserted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
