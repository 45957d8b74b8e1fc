/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The B+ tree against a sorted array: random changes, and fills in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "iotlb/btree.h"

#define KEYS_MAX 4000u
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The tree, and what should be in it. */
struct desk {
	struct arena arena;
	struct btree tree;
	uint64_t key[KEYS_MAX];
	uint32_t id[KEYS_MAX];
	unsigned n;
	uint64_t seed;
};

static struct desk desk;

static int start(void **state)
{
	memset(&desk, 0, sizeof(desk));
	desk.seed = 0x9e3779b97f4a7c15u;
	assert_int_equal(arena_init(&desk.arena, btree_size(KEYS_MAX)), 0);
	btree_init(&desk.tree, &desk.arena, KEYS_MAX);
	return 0;
}

static int end(void **state)
{
	arena_done(&desk.arena);
	return 0;
}

static uint64_t random_next(void)
{
	desk.seed ^= desk.seed << 13;
	desk.seed ^= desk.seed >> 7;
	desk.seed ^= desk.seed << 17;
	return desk.seed;
}

/* How many keys are at or below @key. */
static unsigned rank(uint64_t key)
{
	unsigned low = 0, high = desk.n;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (desk.key[middle] <= key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void check_place(struct btree_place place, unsigned i)
{
	assert_true(btree_key(&desk.tree, place) == desk.key[i]);
	assert_int_equal(btree_id(&desk.tree, place), desk.id[i]);
}

/* The floor of @key, and what comes next. */
static void check_floor(uint64_t key)
{
	unsigned at = rank(key);
	struct btree_path path;

	assert_int_equal(btree_floor(&desk.tree, key, &path), at > 0);
	if (at > 0)
		check_place(path.at[0], at - 1);
	assert_int_equal(btree_next(&desk.tree, &path.at[0]), at < desk.n);
	if (at < desk.n)
		check_place(path.at[0], at);
}

/* From the first key to the last. */
static void check_all(void)
{
	struct btree_path path;
	unsigned i = 0;
	bool more;

	assert_true(btree_check(&desk.tree));
	assert_int_equal(desk.tree.n, desk.n);
	more = btree_floor(&desk.tree, 0, &path) || btree_next(&desk.tree, &path.at[0]);
	for (; more; more = btree_next(&desk.tree, &path.at[0])) {
		assert_true(i < desk.n);
		check_place(path.at[0], i++);
	}
	assert_int_equal(i, desk.n);
}

/* Nothing if it is there already. */
static void insert(uint64_t key)
{
	unsigned at = rank(key);
	struct btree_path path;
	uint32_t id = (uint32_t)random_next();

	if (desk.n == KEYS_MAX || (at > 0 && desk.key[at - 1] == key))
		return;
	btree_floor(&desk.tree, key, &path);
	btree_insert(&desk.tree, &path, key, id);
	memmove(&desk.key[at + 1], &desk.key[at], (desk.n - at) * sizeof(desk.key[0]));
	memmove(&desk.id[at + 1], &desk.id[at], (desk.n - at) * sizeof(desk.id[0]));
	desk.key[at] = key;
	desk.id[at] = id;
	desk.n++;
}

static void remove_at(unsigned at)
{
	struct btree_path path;

	assert_true(btree_floor(&desk.tree, desk.key[at], &path));
	btree_remove(&desk.tree, &path);
	desk.n--;
	memmove(&desk.key[at], &desk.key[at + 1], (desk.n - at) * sizeof(desk.key[0]));
	memmove(&desk.id[at], &desk.id[at + 1], (desk.n - at) * sizeof(desk.id[0]));
}

/* Up, to below the next key or to the very top. */
static void rekey_at(unsigned at)
{
	uint64_t most = at + 1 < desk.n ? desk.key[at + 1] - 1 : UINT64_MAX;
	uint64_t room = most - desk.key[at];
	struct btree_path path;

	if (!room)
		return;
	assert_true(btree_floor(&desk.tree, desk.key[at], &path));
	desk.key[at] += 1 + random_next() % room;
	btree_rekey(&desk.tree, &path, desk.key[at]);
}

/* @inserts, @removes: of 16 operations; the rest are rekeys. */
struct mood {
	unsigned inserts, removes, rounds;
};

static void random_op(const struct mood *mood, uint64_t mask)
{
	unsigned dice = random_next() % 16;

	if (dice < mood->inserts)
		insert(random_next() & mask);
	else if (!desk.n)
		return;
	else if (dice < mood->inserts + mood->removes)
		remove_at(random_next() % desk.n);
	else
		rekey_at(random_next() % desk.n);
	check_floor(random_next() & mask);
	if (desk.n)
		check_floor(desk.key[random_next() % desk.n]);
}

static void random_changes(uint64_t mask)
{
	/* It grows, is churned, shrinks to little, grows and goes. */
	static const struct mood moods[] = {
		{ 12, 2, 6000 }, { 6, 7, 8000 }, { 2, 11, 6000 }, { 10, 3, 4000 }, { 0, 15, 8000 },
	};

	for (size_t m = 0; m < COUNT(moods); m++) {
		for (unsigned i = 0; i < moods[m].rounds; i++) {
			random_op(&moods[m], mask);
			if (i % 64 == 0 || desk.n < 24)
				check_all();
		}
		check_all();
	}
	assert_int_equal(desk.n, 0);
	/* The root may be left, empty. */
	assert_in_range(desk.tree.n_nodes, 0, 1);
}

static void random_changes_in_a_dense_space(void **state)
{
	random_changes(0x1fff);
}

static void random_changes_in_the_whole_space(void **state)
{
	random_changes(UINT64_MAX);
}

static void an_empty_tree_has_nothing(void **state)
{
	check_all();
	check_floor(0);
	check_floor(UINT64_MAX);
}

static void the_ends_of_the_space_are_keys(void **state)
{
	insert(UINT64_MAX);
	check_floor(0);
	check_floor(UINT64_MAX - 1);
	check_floor(UINT64_MAX);
	insert(0);
	for (unsigned i = 1; i < 200; i++) {
		insert(UINT64_MAX - i);
		insert(i);
		check_floor(UINT64_MAX);
		check_floor(UINT64_MAX - 1);
	}
	check_all();
	while (desk.n) {
		remove_at(desk.n - 1);
		check_floor(UINT64_MAX);
		check_all();
	}
}

/* As many nodes as keys in order need: full leaves, and half-full nodes above. */
static unsigned nodes_of_full_leaves(unsigned keys)
{
	unsigned leaves = keys / BTREE_KEYS + 1;

	return leaves + leaves / (BTREE_KEYS / 2 - 1) + BTREE_LEVELS / 4;
}

static void a_fill_upwards_leaves_full_leaves(void **state)
{
	for (unsigned i = 0; i < KEYS_MAX; i++) {
		insert(i * UINT64_C(4096));
		assert_true(desk.tree.n_nodes <= nodes_of_full_leaves(desk.n));
	}
	check_all();
}

static void a_fill_downwards_leaves_full_leaves(void **state)
{
	for (unsigned i = KEYS_MAX; i > 0; i--) {
		insert(i * UINT64_C(4096));
		assert_true(desk.tree.n_nodes <= nodes_of_full_leaves(desk.n));
	}
	check_all();
}

/* There is something below already. */
static void a_fill_downwards_in_the_middle_leaves_full_leaves(void **state)
{
	for (unsigned i = 0; i < BTREE_KEYS; i++)
		insert(i);
	for (unsigned i = KEYS_MAX - BTREE_KEYS; i > 0; i--) {
		insert(i * UINT64_C(4096));
		assert_true(desk.tree.n_nodes <= nodes_of_full_leaves(desk.n) + 1);
	}
	check_all();
}

static void what_remains_of_a_great_tree_takes_few_nodes(void **state)
{
	for (unsigned i = 0; i < KEYS_MAX; i++)
		insert(i * UINT64_C(7919) % KEYS_MAX);
	for (unsigned at = 0; desk.n > KEYS_MAX / 40; at = (at + 1) % desk.n)
		remove_at(at);
	check_all();
	assert_true(desk.tree.n_nodes <= desk.n / (BTREE_KEYS / 4) * 5 / 4 + 2);
}

static void as_many_keys_as_promised_fit_always(void **state)
{
	for (unsigned round = 0; round < 3; round++) {
		while (desk.n < KEYS_MAX)
			insert(random_next() % 100000);
		check_all();
		while (desk.n > KEYS_MAX / 4)
			remove_at(random_next() % desk.n);
		check_all();
	}
}

static void after_a_reset_it_is_empty_and_works(void **state)
{
	for (unsigned round = 0; round < 3; round++) {
		while (desk.n < KEYS_MAX)
			insert(random_next());
		btree_reset(&desk.tree);
		desk.n = 0;
		check_all();
		check_floor(UINT64_MAX);
		assert_int_equal(btree_bytes(&desk.tree), 0);
	}
	for (unsigned i = 0; i < 1000; i++)
		insert(random_next());
	check_all();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_tree_has_nothing),
		TEST(the_ends_of_the_space_are_keys),
		TEST(random_changes_in_a_dense_space),
		TEST(random_changes_in_the_whole_space),
		TEST(a_fill_upwards_leaves_full_leaves),
		TEST(a_fill_downwards_leaves_full_leaves),
		TEST(a_fill_downwards_in_the_middle_leaves_full_leaves),
		TEST(what_remains_of_a_great_tree_takes_few_nodes),
		TEST(as_many_keys_as_promised_fit_always),
		TEST(after_a_reset_it_is_empty_and_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
