/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who waits for which miss, what is asked, and what answers mean: rules S1, S3
 * and S4, and what happens when the table is full. Long random histories are in
 * test_pending_model.c.
 */
#include "desk.h"

static void S1_one_miss_per_page_however_many_want_it(void **state)
{
	struct desk *desk = *state;

	for (unsigned ring = 0; ring < RINGS; ring++)
		for (unsigned slot = 0; slot < 8; slot++)
			want(desk, 0x5000 + slot, 1, PERM_READ, ring, slot);
	expect_miss(desk, 0x5000, 1, PERM_READ);
	expect_no_miss(desk);
	/* Also while it is under way, and once it was answered but not judged. */
	want(desk, 0x5800, 8, PERM_READ, 0, 9);
	expect_no_miss(desk);
	reply(desk, false, PENDING_ANSWERED);
	want(desk, 0x5800, 8, PERM_READ, 0, 10);
	expect_no_miss(desk);
	update(desk, 0x5000, PAGE, PERM_RW);
	for (unsigned ring = 0; ring < RINGS; ring++)
		expect_heard(desk, ring, 7, (struct heard){ .filled = 1 });
	expect_heard(desk, 0, 9, (struct heard){ .filled = 1 });
	expect_heard(desk, 0, 10, (struct heard){ .filled = 1 });
}

static void S1_each_permission_is_asked_for_apart(void **state)
{
	struct desk *desk = *state;

	for (uint8_t perm = 1; perm <= 3; perm++)
		want(desk, 0x5000, 16, perm, 0, perm);
	for (uint8_t perm = 1; perm <= 3; perm++)
		expect_miss(desk, 0x5000, 16, perm);
	expect_no_miss(desk);
	/* Reading was given: that is nothing for who wants to write. */
	update(desk, 0x5000, PAGE, PERM_READ);
	expect_heard(desk, 0, 1, (struct heard){ .filled = 1 });
	expect_heard(desk, 0, 2, (struct heard){ .waiting = 1 });
	expect_heard(desk, 0, 3, (struct heard){ .waiting = 1 });
	update(desk, 0x5000, PAGE, PERM_RW);
	expect_heard(desk, 0, 2, (struct heard){ .filled = 1 });
	expect_heard(desk, 0, 3, (struct heard){ .filled = 1 });
}

static void S1_a_waiter_waits_once_for_a_page(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5000, 16, PERM_READ, 1, 1);
	want(desk, 0x5100, 16, PERM_READ, 1, 1);
	expect_heard(desk, 1, 1, (struct heard){ .waiting = 1 });
	update(desk, 0x5000, PAGE, PERM_READ);
	expect_heard(desk, 1, 1, (struct heard){ .filled = 1 });
}

static void S3_a_hole_is_asked_for_page_by_page(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5f00, 2 * PAGE, PERM_WRITE, 0, 0);
	expect_heard(desk, 0, 0, (struct heard){ .waiting = 3 });
	/* The first asks for all, so that one answer may do. */
	expect_miss(desk, 0x5f00, 2 * PAGE, PERM_WRITE);
	expect_miss(desk, 0x6000, PAGE, PERM_WRITE);
	expect_miss(desk, 0x7000, 0xf00, PERM_WRITE);
	expect_no_miss(desk);
}

static void S3_the_size_can_be_left_out(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5f00, 2 * PAGE, PERM_READ, 0, 0);
	expect_miss(desk, 0x5f00, 0, PERM_READ);
	expect_miss(desk, 0x6000, 0, PERM_READ);
	/* Without having been asked an update that covers all teaches nothing. */
	update(desk, 0x5000, 4 * PAGE, PERM_READ);
	want(desk, 0x10000, 2 * PAGE, PERM_READ, 0, 0);
	expect_miss(desk, 0x10000, 0, PERM_READ);
	expect_miss(desk, 0x11000, 0, PERM_READ);
}

static void S3_at_most_128_are_unanswered(void **state)
{
	struct desk *desk = *state;
	struct hole miss;

	want(desk, 0, 200 * PAGE, PERM_READ, 0, 0);
	for (unsigned i = 0; i < PENDING_WINDOW; i++)
		assert_true(pending_next(desk->table, false, &miss));
	expect_no_miss(desk);
	assert_int_equal(pending_unanswered(desk->table), PENDING_WINDOW);
	/* An orphan still holds its place. */
	update(desk, 0, 128 * PAGE, PERM_READ);
	expect_no_miss(desk);
	reply(desk, false, PENDING_ANSWER_VOID);
	expect_miss(desk, 128 * PAGE, PAGE, PERM_READ);
	expect_no_miss(desk);
}

static void learn(struct desk *desk)
{
	want(desk, 0x100000, 4 * PAGE, PERM_READ, 3, 0);
	expect_miss(desk, 0x100000, 4 * PAGE, PERM_READ);
	update(desk, 0x100000, 4 * PAGE, PERM_READ);
	expect_heard(desk, 3, 0, (struct heard){ .filled = 4 });
}

static void S3_a_front_end_that_honours_hints_is_asked_once(void **state)
{
	struct desk *desk = *state;

	learn(desk);
	want(desk, 0x5f00, 3 * PAGE, PERM_WRITE, 0, 0);
	expect_miss(desk, 0x5f00, 3 * PAGE, PERM_WRITE);
	expect_no_miss(desk);
	/* Who wants a part of it waits for it. */
	want(desk, 0x7000, 16, PERM_WRITE, 0, 1);
	expect_no_miss(desk);
	update(desk, 0x5000, 5 * PAGE, PERM_RW);
	expect_heard(desk, 0, 0, (struct heard){ .filled = 1 });
	expect_heard(desk, 0, 1, (struct heard){ .filled = 1 });
}

static void S3_hints_that_are_ignored_again_are_unlearned(void **state)
{
	struct desk *desk = *state;

	learn(desk);
	want(desk, 0x5000, 3 * PAGE, PERM_READ, 0, 0);
	expect_miss(desk, 0x5000, 3 * PAGE, PERM_READ);
	update(desk, 0x5000, PAGE, PERM_READ);
	expect_heard(desk, 0, 0, (struct heard){ .filled = 1 });
	want(desk, 0x6000, 2 * PAGE, PERM_READ, 0, 0);
	expect_miss(desk, 0x6000, 2 * PAGE, PERM_READ);
	expect_miss(desk, 0x7000, PAGE, PERM_READ);
	expect_no_miss(desk);
}

static void S3_what_was_not_asked_for_teaches_nothing(void **state)
{
	static const struct {
		uint64_t addr, len;
		bool sent;
	} cases[] = {
		{ 0x5000, PAGE, true },      /* one page says nothing of hints */
		{ 0x5f00, 2 * PAGE, false }, /* not sent: nobody has seen the hint */
	};
	struct desk *desk = *state;
	struct hole miss;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		want(desk, cases[i].addr, cases[i].len, PERM_READ, 0, 0);
		while (cases[i].sent && pending_next(desk->table, false, &miss))
			;
		update(desk, 0, 16 * PAGE, PERM_READ);
		want(desk, 0x100000, 2 * PAGE, PERM_READ, 1, i);
		expect_heard(desk, 1, i, (struct heard){ .waiting = 2 });
		update(desk, 0x100000, 2 * PAGE, PERM_READ);
	}
}

/* One page in the middle is under way: the rest is asked for around it. */
static void S1_a_long_miss_ends_where_another_begins(void **state)
{
	struct desk *desk = *state;

	learn(desk);
	want(desk, 0x7000, 16, PERM_READ, 0, 0);
	want(desk, 0x5000, 5 * PAGE, PERM_READ, 0, 1);
	expect_heard(desk, 0, 1, (struct heard){ .waiting = 3 });
	expect_miss(desk, 0x7000, 16, PERM_READ);
	expect_miss(desk, 0x5000, 5 * PAGE, PERM_READ);
	expect_miss(desk, 0x8000, 2 * PAGE, PERM_READ);
	expect_no_miss(desk);
}

static void S3_a_hole_at_the_end_of_the_space(void **state)
{
	struct desk *desk = *state;

	want(desk, UINT64_MAX - PAGE, PAGE + 1, PERM_READ, 0, 0);
	expect_miss(desk, UINT64_MAX - PAGE, PAGE + 1, PERM_READ);
	expect_miss(desk, UINT64_MAX - PAGE + 1, PAGE, PERM_READ);
	update(desk, UINT64_MAX - 2 * PAGE + 1, 2 * PAGE, PERM_READ);
	expect_heard(desk, 0, 0, (struct heard){ .filled = 2 });
	/* And now as one. */
	want(desk, UINT64_MAX - PAGE, PAGE + 1, PERM_WRITE, 0, 0);
	expect_miss(desk, UINT64_MAX - PAGE, PAGE + 1, PERM_WRITE);
	expect_no_miss(desk);
}

static void S4_a_refusal_fails_who_wanted_that_byte(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5010, 16, PERM_READ, 0, 0);
	want(desk, 0x5010, 64, PERM_READ, 0, 1);
	want(desk, 0x5020, 16, PERM_READ, 0, 2); /* another byte of the page */
	expect_miss(desk, 0x5010, 16, PERM_READ);
	want(desk, 0x5010, 16, PERM_READ, 0, 3); /* after the question */
	reply(desk, true, PENDING_ANSWER_NACK);
	expect_heard(desk, 0, 0, (struct heard){ .refused = 1 });
	expect_heard(desk, 0, 1, (struct heard){ .refused = 1 });
	expect_heard(desk, 0, 2, (struct heard){ .filled = 1 });
	expect_heard(desk, 0, 3, (struct heard){ .filled = 1 });
	/* They ask for themselves. */
	want(desk, 0x5020, 16, PERM_READ, 0, 2);
	want(desk, 0x5010, 16, PERM_READ, 0, 3);
	expect_miss(desk, 0x5020, 16, PERM_READ);
	reply(desk, true, PENDING_ANSWER_NACK);
	expect_heard(desk, 0, 2, (struct heard){ .filled = 1, .refused = 1 });
	expect_heard(desk, 0, 3, (struct heard){ .filled = 2 });
}

static void S4_zero_means_look_again_after_its_update(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5000, 16, PERM_READ, 0, 0);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	/* The reply is read first: the other socket has the update. */
	reply(desk, false, PENDING_ANSWERED);
	assert_true(pending_has_answered(desk->table));
	expect_heard(desk, 0, 0, (struct heard){ .waiting = 1 });
	update(desk, 0x5000, PAGE, PERM_READ);
	expect_heard(desk, 0, 0, (struct heard){ .filled = 1 });
	assert_false(pending_has_answered(desk->table));
	assert_int_equal(judge(desk), 0);
}

static void S4_zero_without_the_translation_is_unsatisfied(void **state)
{
	struct desk *desk = *state;
	struct hole miss;

	want(desk, 0x5010, 16, PERM_WRITE, 0, 0);
	expect_miss(desk, 0x5010, 16, PERM_WRITE);
	reply(desk, false, PENDING_ANSWERED);
	update(desk, 0x5000, PAGE, PERM_READ);                              /* too little */
	update(desk, 0x5000, 0x10, PERM_RW);                                /* not that byte */
	update(desk, 0x5011, PAGE, PERM_RW);                                /* nor that */
	pending_disturb(desk->table, (struct range){ 0x6000, UINT64_MAX }); /* elsewhere */
	pending_disturb(desk->table, (struct range){ 0, 0x4fff });
	assert_int_equal(pending_judge(desk->table, &miss), 1);
	assert_int_equal(miss.addr, 0x5010);
	assert_int_equal(miss.perm, PERM_WRITE);
	expect_heard(desk, 0, 0, (struct heard){ .refused = 1 });
}

static void S4_an_answer_that_may_have_been_undone_is_asked_for_again(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5000, 16, PERM_READ, 0, 0);
	want(desk, 0x9000, 16, PERM_READ, 0, 1);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	expect_miss(desk, 0x9000, 16, PERM_READ);
	pending_disturb(desk->table, (struct range){ 0x5fff, 0x8000 });
	reply(desk, false, PENDING_ANSWERED);
	reply(desk, false, PENDING_ANSWERED);
	assert_int_equal(judge(desk), 1);
	expect_heard(desk, 0, 0, (struct heard){ .retry = 1 });
	expect_heard(desk, 0, 1, (struct heard){ .refused = 1 });
}

/* Bounded: what finds no room is told so, and finds it later. */
static void a_full_table_says_so(void **state)
{
	struct desk *desk = *state;
	unsigned n = 0;

	while (n < SLOTS && try_want(desk, n * PAGE, 16, PERM_READ, 0, n))
		n++;
	assert_in_range(n, PENDING_WINDOW, SLOTS - 1);
	/* There is still room to join. */
	want(desk, 0, 16, PERM_READ, 1, 0);
	update(desk, 7 * PAGE, PAGE, PERM_READ);
	expect_heard(desk, 0, 7, (struct heard){ .filled = 1 });
	want(desk, n * PAGE, 16, PERM_READ, 0, n);
	assert_false(try_want(desk, (n + 1) * PAGE, 16, PERM_READ, 0, n + 1));
	expect_heard(desk, 0, n + 1, (struct heard){ 0 });
}

static void a_page_with_too_many_waiters_says_so(void **state)
{
	struct desk *desk = *state;
	unsigned n = 0;

	while (n < SLOTS && try_want(desk, 0x5000, 16, PERM_READ, 0, n))
		n++;
	assert_in_range(n, 1024, SLOTS - 1);
	assert_false(try_want(desk, 0x9000, 16, PERM_READ, 1, 0));
	expect_miss(desk, 0x5000, 16, PERM_READ);
	expect_no_miss(desk); /* no miss that nobody waits for */
	update(desk, 0x5000, PAGE, PERM_READ);
	expect_heard(desk, 0, n - 1, (struct heard){ .filled = 1 });
	want(desk, 0x9000, 16, PERM_READ, 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HINTS(S1_one_miss_per_page_however_many_want_it),
		HINTS(S1_each_permission_is_asked_for_apart),
		HINTS(S1_a_waiter_waits_once_for_a_page),
		HINTS(S1_a_long_miss_ends_where_another_begins),
		HINTS(S3_a_hole_is_asked_for_page_by_page),
		NOHINTS(S3_the_size_can_be_left_out),
		HINTS(S3_at_most_128_are_unanswered),
		HINTS(S3_a_front_end_that_honours_hints_is_asked_once),
		HINTS(S3_hints_that_are_ignored_again_are_unlearned),
		HINTS(S3_what_was_not_asked_for_teaches_nothing),
		HINTS(S3_a_hole_at_the_end_of_the_space),
		HINTS(S4_a_refusal_fails_who_wanted_that_byte),
		HINTS(S4_zero_means_look_again_after_its_update),
		HINTS(S4_zero_without_the_translation_is_unsatisfied),
		HINTS(S4_an_answer_that_may_have_been_undone_is_asked_for_again),
		HINTS(a_full_table_says_so),
		HINTS(a_page_with_too_many_waiters_says_so),
	};

	return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
