/* SPDX-License-Identifier: BSD-3-Clause */
#include "iommu/pagetable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

#define LAST UINT64_MAX

enum verb { MAP, GIVE, HIDE, RELEASE, EXPOSE, FORGET, WALK, HOLE };

/* The holder of the scenarios. */
#define HIM UINT64_C(4)

struct step {
	enum verb verb;
	struct range range; /* WALK, HOLE: start only */
	uint64_t uva;       /* WALK: expected at start; HIDE: holders; EXPOSE: bytes */
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
	  1 },
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
	    { WALK, { 12 }, 112, 0 },
	    { HOLE, { 13 }, 0, 0 },
	    { WALK, { 16 }, 116, 0 },
	    { MAP, { 13, 15 }, 500, 0 },
	    { WALK, { 14 }, 501, 0 } },
	  7,
	  3 },
	{ "what is held keeps its place until it is released",
	  8,
	  { { MAP, { 10, 19 }, 110, 0 },
	    { GIVE, { 10, 19 }, 0, 0 },
	    { HIDE, { 0, 100 }, 4, 0 },
	    { HOLE, { 12 }, 0, 0 },
	    { MAP, { 12, 12 }, 0, -EBUSY },
	    { RELEASE, { 0, 100 }, 0, 0 },
	    { MAP, { 12, 12 }, 7, 0 } },
	  7,
	  1 },
	{ "what is exposed does so until it is forgotten",
	  8,
	  { { MAP, { 10, 19 }, 110, 0 },
	    { GIVE, { 14, 15 }, 0, 0 },
	    { HIDE, { 0, 100 }, 4, 0 },
	    { EXPOSE, { 0, 100 }, 2, 0 },
	    { MAP, { 14, 14 }, 0, -EEXIST },
	    { MAP, { 13, 13 }, 0, 0 },
	    { FORGET, { 0, 0 }, 0, 0 },
	    { MAP, { 14, 14 }, 0, 0 } },
	  8,
	  2 },
	{ "no mapping beyond the bound, and no cut",
	  2,
	  { { MAP, { 0, 9 }, 0, 0 },
	    { MAP, { 20, 29 }, 20, 0 },
	    { MAP, { 40, 49 }, 40, -ENOSPC },
	    { HIDE, { 3, 5 }, 0, -ENOSPC },
	    { WALK, { 4 }, 4, 0 },
	    { HIDE, { 5, 9 }, 0, 0 },
	    { HIDE, { 20, 29 }, 0, 0 } },
	  7,
	  1 },
	{ "parts that were given are one mapping, and don't count",
	  1,
	  { { MAP, { 0, 99 }, 1000, 0 },
	    { GIVE, { 20, 29 }, 0, 0 },
	    { WALK, { 25 }, 1025, 0 },
	    { GIVE, { 0, 99 }, 0, 0 },
	    { HIDE, { 40, 50 }, 0, -ENOSPC },
	    { HIDE, { 0, 99 }, 4, 0 },
	    { RELEASE, { 0, 99 }, 0, 0 } },
	  7,
	  0 },
};

static uint64_t now; /* the stamp of what is hidden next */

static void run_step(struct pagetable *table, const struct step *step)
{
	struct mapping mapping;
	struct hidden hidden;

	switch (step->verb) {
	case MAP:
		assert_int_equal(pagetable_map(table, step->range, step->uva, 3), step->result);
		break;
	case GIVE: pagetable_grant(table, step->range, HIM); break;
	case HIDE:
		assert_int_equal(pagetable_hide(table, step->range, ++now, &hidden), step->result);
		assert_int_equal(hidden.holders, step->uva);
		break;
	case RELEASE: pagetable_release(table, step->range, HIM, now); break;
	case EXPOSE:
		pagetable_expose(table, step->range, HIM, now);
		assert_int_equal(pagetable_exposed_bytes(table), step->uva);
		break;
	case FORGET: pagetable_forget_exposed(table); break;
	case WALK:
		assert_true(pagetable_walk(table, step->range.start, RANGE_ALL, false, &mapping));
		assert_int_equal(mapping.uva + (step->range.start - mapping.iova.start), step->uva);
		break;
	case HOLE:
		assert_false(pagetable_walk(table, step->range.start, RANGE_ALL, false, &mapping));
		break;
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
		assert_int_equal(pagetable_count(&table), scenario->count);
		pagetable_done(&table);
	}
}

static void expect_hull(const struct pagetable *table, struct range in, uint64_t holder,
                        struct range want)
{
	struct range hull;

	assert_true(pagetable_hull(table, in, holder, &hull));
	assert_int_equal(hull.start, want.start);
	assert_int_equal(hull.last, want.last);
}

static void it_is_known_to_the_byte_who_holds_what(void **state)
{
	const uint64_t a = 1, b = 2;
	struct pagetable table;
	struct hidden hidden;

	pagetable_init(&table, 100);
	for (uint64_t at = 0; at < 100; at += 10)
		assert_int_equal(pagetable_map(&table, (struct range){ at, at + 9 }, at, 1), 0);
	pagetable_grant(&table, (struct range){ 35, 36 }, a);
	pagetable_grant(&table, (struct range){ 58, 62 }, a);
	pagetable_grant(&table, (struct range){ 60, 69 }, b);
	assert_true(pagetable_is_free_of(&table, (struct range){ 37, 57 }, a));
	assert_false(pagetable_is_free_of(&table, (struct range){ 36, 57 }, a));
	assert_int_equal(pagetable_hide(&table, (struct range){ 0, 14 }, 1, &hidden), 0);
	assert_int_equal(hidden.holders, 0);
	assert_int_equal(pagetable_hide(&table, (struct range){ 15, 99 }, 2, &hidden), 0);
	assert_int_equal(hidden.holders, a | b);
	assert_int_equal(hidden.hull.start, 35);
	assert_int_equal(hidden.hull.last, 69);
	expect_hull(&table, RANGE_ALL, a, (struct range){ 35, 62 });
	expect_hull(&table, RANGE_ALL, b, (struct range){ 60, 69 });
	expect_hull(&table, (struct range){ 36, 60 }, a, (struct range){ 36, 60 });

	/* What both hold stays until both have let go of it. */
	pagetable_release(&table, RANGE_ALL, a, 2);
	assert_int_equal(pagetable_map(&table, (struct range){ 58, 59 }, 0, 1), 0);
	assert_int_equal(pagetable_map(&table, (struct range){ 60, 60 }, 0, 1), -EBUSY);
	pagetable_release(&table, RANGE_ALL, b, 1);
	assert_int_equal(pagetable_map(&table, (struct range){ 60, 60 }, 0, 1), -EBUSY);
	pagetable_release(&table, RANGE_ALL, b, 2);
	assert_int_equal(pagetable_map(&table, (struct range){ 60, 60 }, 0, 1), 0);
	assert_true(pagetable_check(&table));
	pagetable_done(&table);
}

/* An acknowledgement of an old unmap says nothing of what was given since. */
static void an_old_release_frees_nothing_new(void **state)
{
	const struct range page = { 0, 4095 };
	struct pagetable table;
	struct hidden hidden;

	pagetable_init(&table, 100);
	assert_int_equal(pagetable_map(&table, page, 0, 3), 0);
	pagetable_grant(&table, page, HIM);
	assert_int_equal(pagetable_hide(&table, page, 7, &hidden), 0);
	pagetable_release(&table, page, HIM, 6);
	assert_int_equal(pagetable_map(&table, page, 0, 3), -EBUSY);
	pagetable_expose(&table, page, HIM, 6);
	assert_int_equal(pagetable_exposed_bytes(&table), 0);
	pagetable_release(&table, page, HIM, 8);
	assert_int_equal(pagetable_map(&table, page, 0, 3), 0);
	pagetable_done(&table);
}

static void parts_are_one_again_when_they_hold_alike(void **state)
{
	struct mapping mapping;
	struct pagetable table;

	pagetable_init(&table, 2);
	assert_int_equal(pagetable_map(&table, (struct range){ 0, 99 }, 1000, 3), 0);
	assert_int_equal(pagetable_map(&table, (struct range){ 100, 199 }, 1100, 3), 0);
	for (uint64_t at = 0; at < 200; at += 7)
		pagetable_grant(&table, (struct range){ at, at }, HIM);
	/* No more than twice as many as mappings are allowed. */
	assert_true(table.tree.count <= 5);
	pagetable_grant(&table, (struct range){ 0, 199 }, HIM);
	assert_int_equal(table.tree.count, 2);
	assert_true(pagetable_walk(&table, 50, RANGE_ALL, false, &mapping));
	assert_int_equal(mapping.iova.last, 99);
	assert_true(pagetable_walk(&table, 50, RANGE_ALL, true, &mapping));
	assert_int_equal(mapping.iova.last, 199);
	assert_true(pagetable_walk(&table, 150, (struct range){ 90, 160 }, true, &mapping));
	assert_int_equal(mapping.iova.start, 90);
	assert_int_equal(mapping.iova.last, 160);
	assert_int_equal(mapping.uva, 1090);
	assert_true(pagetable_check(&table));
	pagetable_done(&table);
}

static void a_holder_goes_with_what_it_holds_or_leaves_it_behind(void **state)
{
	for (unsigned dead = 0; dead < 2; dead++) {
		struct pagetable table;
		struct hidden hidden;

		pagetable_init(&table, 10);
		assert_int_equal(pagetable_map(&table, (struct range){ 0, 9 }, 0, 3), 0);
		assert_int_equal(pagetable_map(&table, (struct range){ 10, 19 }, 50, 3), 0);
		pagetable_grant(&table, (struct range){ 0, 19 }, HIM);
		assert_int_equal(pagetable_hide(&table, (struct range){ 0, 9 }, 1, &hidden), 0);
		pagetable_forget_holder(&table, HIM, dead);
		assert_int_equal(pagetable_holders(&table, RANGE_ALL), dead ? 0 : HOLDER_GONE);
		assert_int_equal(pagetable_map(&table, (struct range){ 0, 0 }, 0, 3),
		                 dead ? 0 : -EBUSY);
		assert_int_equal(pagetable_hide(&table, (struct range){ 10, 19 }, 2, &hidden), 0);
		assert_int_equal(hidden.holders, 0);
		assert_true(pagetable_check(&table));
		pagetable_done(&table);
	}
}

#define SPACE   64u
#define HOLDERS 3u

/* What a byte stands for, and who has it. */
struct byte {
	uint64_t uva; /* plus one; 0: nothing */
	uint64_t holders;
	uint64_t stamp; /* when it was hidden; 0: it is live */
};

struct oracle {
	struct byte bytes[SPACE];
	uint64_t stamp;
};

/* What pagetable_map() should say. */
static int oracle_map(const struct oracle *oracle, struct range range)
{
	for (uint64_t i = range.last + 1; i-- > range.start;)
		if (oracle->bytes[i].uva)
			return oracle->bytes[i].stamp ? -EBUSY : -EEXIST;
	return 0;
}

static void compare(const struct pagetable *table, const struct oracle *oracle)
{
	struct mapping first;
	uint64_t next = SPACE;

	for (uint64_t i = SPACE; i-- > 0;) {
		const struct byte *byte = &oracle->bytes[i];
		const struct range one = { i, i };
		struct mapping mapping;
		bool live = byte->uva && !byte->stamp;

		assert_int_equal(pagetable_walk(table, i, RANGE_ALL, false, &mapping), live);
		if (live) {
			assert_int_equal(mapping.uva + (i - mapping.iova.start), byte->uva - 1);
			next = i;
		}
		assert_int_equal(pagetable_holders(table, one), byte->stamp ? byte->holders : 0);
		for (unsigned h = 0; h < HOLDERS; h++)
			assert_int_equal(pagetable_is_free_of(table, one, 1u << h),
			                 !(live && byte->holders & 1u << h));
	}
	assert_int_equal(pagetable_next(table, RANGE_ALL, &first), next < SPACE);
	if (next < SPACE) {
		assert_int_equal(first.iova.start, next);
		assert_int_equal(first.uva, oracle->bytes[next].uva - 1);
	}
	assert_true(pagetable_check(table));
}

static void random_map(struct pagetable *table, struct oracle *oracle, struct range range)
{
	uint64_t uva = (uint64_t)rand() * SPACE;
	int want;

	if (range.last > range.start + 7)
		range.last = range.start + 7;
	want = oracle_map(oracle, range);
	assert_int_equal(pagetable_map(table, range, uva, 3), want);
	for (uint64_t i = range.start; !want && i <= range.last; i++)
		oracle->bytes[i] = (struct byte){ .uva = 1 + uva + (i - range.start) };
}

static void random_hide(struct pagetable *table, struct oracle *oracle, struct range range)
{
	struct range hull = { UINT64_MAX, 0 };
	struct hidden hidden;
	uint64_t want = 0;

	assert_int_equal(pagetable_hide(table, range, ++oracle->stamp, &hidden), 0);
	for (uint64_t i = range.start; i <= range.last; i++) {
		struct byte *byte = &oracle->bytes[i];

		want |= byte->holders;
		if (byte->holders && i < hull.start)
			hull.start = i;
		if (byte->holders)
			hull.last = i;
		if (byte->uva && !byte->stamp)
			byte->stamp = oracle->stamp;
		if (!byte->holders)
			*byte = (struct byte){ 0 };
	}
	assert_int_equal(hidden.holders, want);
	assert_true(!want || hidden.hull.start == hull.start);
	assert_true(!want || hidden.hull.last == hull.last);
}

static void random_step(struct pagetable *table, struct oracle *oracle)
{
	const uint64_t holder = UINT64_C(1) << (unsigned)rand() % HOLDERS;
	struct range range;

	range.start = (unsigned)rand() % SPACE;
	range.last = range.start + (unsigned)rand() % (SPACE - range.start);
	switch (rand() % 6) {
	case 0:
	case 1: random_map(table, oracle, range); break;
	case 2: random_hide(table, oracle, range); break;
	case 3:
	case 4:
		pagetable_grant(table, range, holder);
		for (uint64_t i = range.start; i <= range.last; i++)
			if (oracle->bytes[i].uva && !oracle->bytes[i].stamp)
				oracle->bytes[i].holders |= holder;
		break;
	default:
		/* Of the whole: a release is never of less than what was hidden. */
		pagetable_release(table, RANGE_ALL, holder, oracle->stamp);
		for (uint64_t i = 0; i < SPACE; i++)
			if (oracle->bytes[i].stamp && !(oracle->bytes[i].holders &= ~holder))
				oracle->bytes[i] = (struct byte){ 0 };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_exact_to_the_byte),
		cmocka_unit_test(it_is_known_to_the_byte_who_holds_what),
		cmocka_unit_test(an_old_release_frees_nothing_new),
		cmocka_unit_test(parts_are_one_again_when_they_hold_alike),
		cmocka_unit_test(a_holder_goes_with_what_it_holds_or_leaves_it_behind),
		cmocka_unit_test(random_steps_agree_with_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
