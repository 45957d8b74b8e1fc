/* SPDX-License-Identifier: BSD-3-Clause */
#include "iommu/pagetable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

#define LAST UINT64_MAX

enum verb { MAP, HIDE, REMOVE, WALK, HOLE };

struct step {
	enum verb verb;
	struct range range; /* WALK, HOLE: start only */
	uint64_t uva;       /* WALK: expected at start */
	int result;
};

struct scenario {
	const char *name;
	uint64_t max;
	struct step steps[8];
	unsigned n;
	uint64_t count; /* at the end */
};

static const struct scenario scenarios[] = {
	{ "one byte",
	  8,
	  { { MAP, { 5, 5 }, 100, 0 },
	    { WALK, { 5 }, 100, 0 },
	    { HOLE, { 4 }, 0, 0 },
	    { HOLE, { 6 }, 0, 0 } },
	  4,
	  1 },
	{ "the whole space",
	  8,
	  { { MAP, { 0, LAST }, 0, 0 },
	    { WALK, { 0 }, 0, 0 },
	    { WALK, { LAST }, LAST, 0 },
	    { HIDE, { LAST, LAST }, 0, 0 },
	    { HOLE, { LAST }, 0, 0 },
	    { WALK, { LAST - 1 }, LAST - 1, 0 } },
	  6,
	  2 },
	{ "overlap is refused at each end and inside",
	  8,
	  { { MAP, { 10, 19 }, 110, 0 },
	    { MAP, { 0, 10 }, 0, -EEXIST },
	    { MAP, { 19, 30 }, 0, -EEXIST },
	    { MAP, { 12, 13 }, 0, -EEXIST },
	    { MAP, { 0, 100 }, 0, -EEXIST },
	    { MAP, { 0, 9 }, 50, 0 },
	    { MAP, { 20, 29 }, 70, 0 } },
	  7,
	  3 },
	{ "a hole in the middle cuts in two",
	  8,
	  { { MAP, { 10, 19 }, 110, 0 },
	    { HIDE, { 13, 15 }, 0, 0 },
	    { REMOVE, { 13, 15 }, 0, 0 },
	    { WALK, { 12 }, 112, 0 },
	    { HOLE, { 13 }, 0, 0 },
	    { WALK, { 16 }, 116, 0 },
	    { MAP, { 13, 15 }, 500, 0 },
	    { WALK, { 14 }, 501, 0 } },
	  8,
	  3 },
	{ "what is hidden keeps its place",
	  8,
	  { { MAP, { 10, 19 }, 110, 0 },
	    { HIDE, { 0, 100 }, 0, 0 },
	    { HOLE, { 12 }, 0, 0 },
	    { MAP, { 12, 12 }, 0, -EEXIST },
	    { REMOVE, { 0, 100 }, 0, 0 },
	    { MAP, { 12, 12 }, 7, 0 } },
	  6,
	  1 },
	{ "no mapping beyond the bound, and no cut",
	  2,
	  { { MAP, { 0, 9 }, 0, 0 },
	    { MAP, { 20, 29 }, 20, 0 },
	    { MAP, { 40, 49 }, 40, -ENOSPC },
	    { HIDE, { 3, 5 }, 0, -ENOSPC },
	    { WALK, { 4 }, 4, 0 },
	    { HIDE, { 20, 29 }, 0, 0 } },
	  6,
	  2 },
};

static void run_step(struct pagetable *table, const struct step *step)
{
	struct range given;
	struct mapping mapping;
	bool any;

	switch (step->verb) {
	case MAP:
		assert_int_equal(pagetable_map(table, step->range, step->uva, 3), step->result);
		break;
	case HIDE:
		assert_int_equal(pagetable_hide(table, step->range, &given, &any), step->result);
		break;
	case REMOVE: pagetable_remove_hidden(table, step->range, false); break;
	case WALK:
		assert_true(pagetable_walk(table, step->range.start, &mapping));
		assert_int_equal(mapping.uva + (step->range.start - mapping.iova.start), step->uva);
		break;
	case HOLE: assert_false(pagetable_walk(table, step->range.start, &mapping)); break;
	}
	assert_true(pagetable_check(table));
}

static void ranges_are_exact_to_the_byte(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(scenarios); i++) {
		const struct scenario *scenario = &scenarios[i];
		struct pagetable table;

		print_message("  %s\n", scenario->name);
		pagetable_init(&table, scenario->max);
		for (unsigned j = 0; j < scenario->n; j++)
			run_step(&table, &scenario->steps[j]);
		assert_int_equal(table.count, scenario->count);
		pagetable_done(&table);
	}
}

static void hide_tells_what_was_given(void **state)
{
	struct pagetable table;
	struct mapping mapping;
	struct range given;
	bool any;

	pagetable_init(&table, 100);
	for (uint64_t at = 0; at < 100; at += 10)
		assert_int_equal(pagetable_map(&table, (struct range){ at, at + 9 }, at, 1), 0);
	assert_int_equal(pagetable_hide(&table, (struct range){ 0, 14 }, &given, &any), 0);
	assert_false(any);
	assert_true(pagetable_walk_given(&table, 35, &mapping));
	assert_true(pagetable_walk_given(&table, 62, &mapping));
	assert_int_equal(pagetable_hide(&table, (struct range){ 0, 99 }, &given, &any), 0);
	assert_true(any);
	assert_int_equal(given.start, 30);
	assert_int_equal(given.last, 69);

	pagetable_remove_hidden(&table, RANGE_ALL, true);
	assert_int_equal(pagetable_hidden_bytes(&table), 20);
	assert_int_equal(pagetable_hide(&table, (struct range){ 33, 33 }, &given, &any), 0);
	assert_true(any);
	assert_int_equal(given.start, 33);
	assert_int_equal(given.last, 33);
	pagetable_remove_hidden(&table, RANGE_ALL, false);
	assert_int_equal(table.count, 0);
	pagetable_done(&table);
}

#define SPACE 64u

/* What each byte stands for: 0 none, else 1 + uva; and whether it is hidden. */
struct oracle {
	uint64_t byte[SPACE];
	bool hidden[SPACE];
};

static bool oracle_free(const struct oracle *oracle, struct range range)
{
	for (uint64_t i = range.start; i <= range.last; i++)
		if (oracle->byte[i])
			return false;
	return true;
}

static void compare(const struct pagetable *table, const struct oracle *oracle)
{
	uint64_t hidden = 0;

	for (uint64_t i = 0; i < SPACE; i++) {
		struct mapping mapping;
		bool found = pagetable_walk(table, i, &mapping);

		assert_int_equal(found, oracle->byte[i] && !oracle->hidden[i]);
		if (found)
			assert_int_equal(mapping.uva + (i - mapping.iova.start),
			                 oracle->byte[i] - 1);
		hidden += oracle->byte[i] && oracle->hidden[i];
	}
	assert_int_equal(pagetable_hidden_bytes(table), hidden);
	assert_true(pagetable_check(table));
}

static void random_step(struct pagetable *table, struct oracle *oracle)
{
	struct range range, given;
	uint64_t uva = (uint64_t)rand() * SPACE;
	unsigned verb = (unsigned)rand() % 4;
	bool any;

	range.start = (unsigned)rand() % SPACE;
	range.last = range.start + (unsigned)rand() % (SPACE - range.start);
	if (verb < 2 && range.last > range.start + 7)
		range.last = range.start + 7;
	if (verb < 2) {
		bool vacant = oracle_free(oracle, range);

		assert_int_equal(pagetable_map(table, range, uva, 3), vacant ? 0 : -EEXIST);
		for (uint64_t i = range.start; vacant && i <= range.last; i++) {
			oracle->byte[i] = 1 + uva + (i - range.start);
			oracle->hidden[i] = false;
		}
		return;
	}
	assert_int_equal(pagetable_hide(table, range, &given, &any), 0);
	if (verb == 3)
		pagetable_remove_hidden(table, range, false);
	for (uint64_t i = range.start; i <= range.last; i++) {
		oracle->hidden[i] = true;
		if (verb == 3)
			oracle->byte[i] = 0;
	}
}

static void random_steps_agree_with_bytes(void **state)
{
	for (unsigned seed = 1; seed <= 40; seed++) {
		struct oracle oracle = { 0 };
		struct pagetable table;

		srand(seed);
		pagetable_init(&table, 1000);
		for (unsigned i = 0; i < 1000; i++) {
			random_step(&table, &oracle);
			compare(&table, &oracle);
		}
		pagetable_done(&table);
	}
}

/* A list in the tree's clothes would take minutes. */
static void ascending_addresses_make_no_deep_tree(void **state)
{
	struct pagetable table;
	struct mapping mapping;

	pagetable_init(&table, 200000);
	for (uint64_t i = 0; i < 200000; i++)
		assert_int_equal(pagetable_map(&table, (struct range){ i * 2, i * 2 }, i, 3), 0);
	for (uint64_t i = 0; i < 200000; i++)
		assert_true(pagetable_walk(&table, i * 2, &mapping) && mapping.uva == i);
	pagetable_done(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_exact_to_the_byte),
		cmocka_unit_test(hide_tells_what_was_given),
		cmocka_unit_test(random_steps_agree_with_bytes),
		cmocka_unit_test(ascending_addresses_make_no_deep_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
