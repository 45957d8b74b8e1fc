/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end has granted and not taken back. */
#include "support/check.h"

#include "held.h"

/* Of a page; 0: it is not held. */
static uint64_t uva_of(const struct held *held, uint64_t iova)
{
	const struct held_range *range = held_find(held, iova);

	return range ? held_uva(range, iova) : 0;
}

static void the_newest_grant_counts_where_grants_overlap(void **state)
{
	struct held held;

	(void)state;
	assert_int_equal(held_init(&held), 0);
	held_set(&held, 0x1000, 0x4000, 0x100000, 3);
	held_set(&held, 0x2000, 0x1000, 0x900000, 1);
	assert_int_equal(held.n, 3);
	assert_int_equal(uva_of(&held, 0x1fff), 0x100fff);
	assert_int_equal(uva_of(&held, 0x2000), 0x900000);
	assert_int_equal(uva_of(&held, 0x3000), 0x102000);
	assert_int_equal(held_find(&held, 0x2fff)->perm, 1);
	assert_int_equal(held_find(&held, 0x3000)->perm, 3);
	assert_null(held_find(&held, 0xfff));
	assert_null(held_find(&held, 0x5000));
	assert_int_equal(held_next(&held, 0)->first, 0x1000);
	assert_null(held_next(&held, 0x5000));
	/* No permission is no grant. */
	held_set(&held, 0x1800, 0x1000, 0x700000, 0);
	assert_int_equal(uva_of(&held, 0x17ff), 0x1007ff);
	assert_null(held_find(&held, 0x1800));
	assert_null(held_find(&held, 0x27ff));
	assert_int_equal(uva_of(&held, 0x2800), 0x900800);
	held_done(&held);
}

static void what_is_taken_back_is_not_held(void **state)
{
	static const struct {
		uint64_t iova, size;
		bool first, middle, last; /* held afterwards: 0x1000, 0x2000, 0x3fff */
	} table[] = {
		{ 0x1000, 0x1000, false, true, true },
		{ 0x2000, 0x1000, true, false, true },
		{ 0x3fff, 1, true, true, false },
		{ 0, UINT64_MAX, false, false, false },
		{ 0, 0, false, false, false },              /* all */
		{ 0x2000, 0, true, true, true },            /* nothing */
		{ 0x2000, UINT64_MAX, true, false, false }, /* to the end */
		{ 0, 0x1000, true, true, true },
		{ 0x4000, 0x1000, true, true, true },
		{ 0x1001, 0x2ffe, true, false, true },
	};
	struct held held;

	(void)state;
	assert_int_equal(held_init(&held), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		held_clear(&held);
		held_set(&held, 0x1000, 0x3000, 0x100000, 3);
		held_drop(&held, table[i].iova, table[i].size);
		assert_int_equal(!!held_find(&held, 0x1000), table[i].first);
		assert_int_equal(!!held_find(&held, 0x2000), table[i].middle);
		assert_int_equal(!!held_find(&held, 0x3fff), table[i].last);
		if (table[i].last)
			assert_int_equal(uva_of(&held, 0x3fff), 0x102fff);
	}
	held_done(&held);
}

static void the_ends_of_the_space_are_held_like_all(void **state)
{
	struct held held;

	(void)state;
	assert_int_equal(held_init(&held), 0);
	held_set(&held, UINT64_MAX - 0xfff, 0x1000, 0x5000, 1);
	held_set(&held, 0, 1, 0x8000, 2);
	assert_int_equal(uva_of(&held, UINT64_MAX), 0x5fff);
	assert_int_equal(uva_of(&held, 0), 0x8000);
	assert_null(held_find(&held, 1));
	/* No byte, and a range that wraps: neither changes anything. */
	held_set(&held, 0x1000, 0, 0x9000, 3);
	held_set(&held, UINT64_MAX, 2, 0x9000, 3);
	assert_int_equal(held.n, 2);
	held_drop(&held, UINT64_MAX, 1);
	assert_null(held_find(&held, UINT64_MAX));
	assert_int_equal(uva_of(&held, UINT64_MAX - 1), 0x5ffe);
	held_done(&held);
}

static void neighbours_that_say_the_same_are_one(void **state)
{
	struct held held;

	(void)state;
	assert_int_equal(held_init(&held), 0);
	held_set(&held, 0x1000, 0x1000, 0x101000, 3);
	held_set(&held, 0x3000, 0x1000, 0x103000, 3);
	held_set(&held, 0x2000, 0x1000, 0x102000, 3);
	assert_int_equal(held.n, 1);
	held_set(&held, 0x4000, 0x1000, 0x104000, 1); /* another permission */
	held_set(&held, 0x5000, 0x1000, 0x205000, 1); /* other memory */
	assert_int_equal(held.n, 3);
	held_set(&held, 0x4000, 0x1000, 0x204000, 1);
	assert_int_equal(held.n, 2);
	assert_int_equal(uva_of(&held, 0x3fff), 0x103fff);
	assert_int_equal(uva_of(&held, 0x4000), 0x204000);
	held_done(&held);
}

static void what_there_is_no_room_for_is_told(void **state)
{
	struct held held;

	(void)state;
	assert_int_equal(held_init(&held), 0);
	for (uint64_t i = 0; i < HELD_MAX; i++)
		held_set(&held, i * 0x2000, 0x1000, i * 0x3000, 1);
	assert_int_equal(held.n, HELD_MAX);
	assert_false(held.full);
	held_set(&held, HELD_MAX * UINT64_C(0x2000), 0x1000, 1, 1);
	assert_true(held.full);
	assert_int_equal(held.n, HELD_MAX);
	held_clear(&held);
	assert_false(held.full);
	held_done(&held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_grant_counts_where_grants_overlap),
		cmocka_unit_test(what_is_taken_back_is_not_held),
		cmocka_unit_test(the_ends_of_the_space_are_held_like_all),
		cmocka_unit_test(neighbours_that_say_the_same_are_one),
		cmocka_unit_test(what_there_is_no_room_for_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
