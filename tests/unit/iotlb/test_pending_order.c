/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of replies, orphans, tickets and the ends of a channel: rules S6, S9,
 * S10 and S11 of the table of pending misses.
 */
#include "desk.h"

static void S9_an_update_makes_an_orphan_that_keeps_its_place(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5000, 16, PERM_READ, 0, 0);
	want(desk, 0x6000, 16, PERM_READ, 0, 1);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	expect_miss(desk, 0x6000, 16, PERM_READ);
	update(desk, 0x5000, PAGE, PERM_READ);
	assert_int_equal(pending_unanswered(desk->table), 2);
	/* Invalidated meanwhile and wanted anew: nobody joins the orphan. */
	want(desk, 0x5000, 16, PERM_READ, 0, 2);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	/* Refused, but whom would that concern? */
	reply(desk, true, PENDING_ANSWER_VOID);
	expect_heard(desk, 0, 0, (struct heard){ .filled = 1 });
	expect_heard(desk, 0, 1, (struct heard){ .waiting = 1 });
	expect_heard(desk, 0, 2, (struct heard){ .waiting = 1 });
	reply(desk, true, PENDING_ANSWER_NACK);
	expect_heard(desk, 0, 1, (struct heard){ .refused = 1 });
	expect_heard(desk, 0, 2, (struct heard){ .waiting = 1 });
	reply(desk, true, PENDING_ANSWER_NACK);
	expect_heard(desk, 0, 2, (struct heard){ .refused = 1 });
}

static void S9_an_invalidation_makes_no_orphan(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5000, 16, PERM_READ, 0, 0);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	pending_disturb(desk->table, RANGE_ALL);
	want(desk, 0x5000, 16, PERM_READ, 0, 1);
	expect_no_miss(desk);
	reply(desk, true, PENDING_ANSWER_NACK);
	expect_heard(desk, 0, 0, (struct heard){ .refused = 1 });
}

static void S9_a_stop_makes_orphans_of_what_nobody_else_wants(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5000, 16, PERM_READ, 1, 0);
	want(desk, 0x6000, 16, PERM_READ, 1, 0);
	want(desk, 0x6000, 16, PERM_READ, 2, 0);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	expect_miss(desk, 0x6000, 16, PERM_READ);
	want(desk, 0x7000, 16, PERM_READ, 1, 1); /* not sent: gone at once */
	reply(desk, false, PENDING_ANSWERED);    /* nor is this one of use now */
	pending_drop_ring(desk->table, 1);
	expect_no_miss(desk);
	assert_false(pending_has_answered(desk->table));
	assert_int_equal(pending_unanswered(desk->table), 1);
	reply(desk, true, PENDING_ANSWER_NACK);
	expect_heard(desk, 2, 0, (struct heard){ .refused = 1 });
	expect_heard(desk, 1, 0, (struct heard){ .waiting = 2 }); /* was told nothing more */
}

/* What the last run asked is answered in the next, and must not be taken for its. */
static void S9_late_answers_do_not_concern_the_next_run(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5000, 16, PERM_READ, 1, 0);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	pending_drop_ring(desk->table, 1);
	want(desk, 0x5000, 16, PERM_READ, 1, 5);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	reply(desk, true, PENDING_ANSWER_VOID);
	expect_heard(desk, 1, 5, (struct heard){ .waiting = 1 });
	reply(desk, false, PENDING_ANSWERED);
	update(desk, 0x5000, PAGE, PERM_READ);
	expect_heard(desk, 1, 5, (struct heard){ .filled = 1 });
}

static void S9_a_reply_to_nothing_is_told(void **state)
{
	struct desk *desk = *state;

	reply(desk, false, PENDING_ANSWER_NONE);
	want(desk, 0x5000, 16, PERM_READ, 0, 0);
	reply(desk, false, PENDING_ANSWER_NONE); /* it has not been sent */
}

static void S9_a_new_channel_gets_what_is_live_in_order(void **state)
{
	struct desk *desk = *state;

	for (unsigned i = 0; i < 4; i++) {
		want(desk, i * PAGE, 16, PERM_READ, 0, i);
		expect_miss(desk, i * PAGE, 16, PERM_READ);
	}
	want(desk, 4 * PAGE, 16, PERM_READ, 0, 4);
	update(desk, PAGE, PAGE, PERM_READ); /* an orphan, which goes */
	pending_restart(desk->table);
	assert_int_equal(pending_unanswered(desk->table), 0);
	expect_miss(desk, 0, 16, PERM_READ);
	expect_miss(desk, 2 * PAGE, 16, PERM_READ);
	expect_miss(desk, 3 * PAGE, 16, PERM_READ);
	expect_miss(desk, 4 * PAGE, 16, PERM_READ);
	expect_no_miss(desk);
	reply(desk, true, PENDING_ANSWER_NACK);
	expect_heard(desk, 0, 0, (struct heard){ .refused = 1 });
}

/* No answer told that these had arrived, so the new channel gets them, too. */
static void S9_a_new_channel_gets_what_a_mute_front_end_has_not_given(void **state)
{
	struct desk *desk = *state;
	struct hole miss;

	want(desk, 0x5000, 16, PERM_READ, 0, 0);
	assert_true(pending_next(desk->table, true, &miss));
	pending_restart(desk->table);
	assert_true(pending_next(desk->table, true, &miss));
	assert_int_equal(miss.addr, 0x5000);
	assert_false(pending_next(desk->table, true, &miss));
}

static void S6_what_was_dropped_unsent_is_as_if_never_taken(void **state)
{
	struct desk *desk = *state;

	for (unsigned i = 0; i < 5; i++) {
		want(desk, i * PAGE, 16, PERM_READ, 0, i);
		expect_miss(desk, i * PAGE, 16, PERM_READ);
	}
	update(desk, 3 * PAGE, PAGE, PERM_READ);
	pending_unsend(desk->table, 3);
	assert_int_equal(pending_unanswered(desk->table), 2);
	expect_miss(desk, 2 * PAGE, 16, PERM_READ);
	expect_miss(desk, 4 * PAGE, 16, PERM_READ);
	expect_no_miss(desk);
}

static void S10_a_ticket_names_the_last_miss_sent_for_it(void **state)
{
	struct desk *desk = *state;
	uint64_t first;

	want(desk, 0x5000, 2 * PAGE, PERM_READ, 0, 0);
	assert_int_equal(desk->heard[0][0].ticket, 0);
	expect_miss(desk, 0x5000, 2 * PAGE, PERM_READ);
	first = desk->heard[0][0].ticket;
	assert_true(first > pending_answered(desk->table));
	expect_miss(desk, 0x6000, PAGE, PERM_READ);
	assert_true(desk->heard[0][0].ticket > first);
	/* Who joins what was sent has its number. */
	want(desk, 0x5000, 16, PERM_READ, 0, 1);
	assert_int_equal(desk->heard[0][1].ticket, first);
	/* One update for both: they look, but the second is still unanswered. */
	update(desk, 0x5000, 2 * PAGE, PERM_READ);
	reply(desk, false, PENDING_ANSWER_VOID);
	assert_true(pending_answered(desk->table) >= first);
	assert_true(pending_answered(desk->table) < desk->heard[0][0].ticket);
	reply(desk, false, PENDING_ANSWER_VOID);
	assert_true(pending_answered(desk->table) >= desk->heard[0][0].ticket);
}

static void S10_a_new_channel_lets_old_tickets_go(void **state)
{
	struct desk *desk = *state;

	want(desk, 0x5000, 16, PERM_READ, 0, 0);
	want(desk, 0x6000, 16, PERM_READ, 0, 1);
	expect_miss(desk, 0x5000, 16, PERM_READ);
	expect_miss(desk, 0x6000, 16, PERM_READ);
	update(desk, 0x5000, PAGE, PERM_READ);
	pending_restart(desk->table);
	assert_true(pending_answered(desk->table) >= desk->heard[0][0].ticket);
	expect_miss(desk, 0x6000, 16, PERM_READ);
	assert_true(pending_answered(desk->table) < desk->heard[0][1].ticket);
}

static void S11_an_update_alone_completes_in_every_state(void **state)
{
	struct desk *desk = *state;
	struct hole miss;

	want(desk, 0x5000, 16, PERM_READ, 0, 0);
	update(desk, 0x5000, PAGE, PERM_READ); /* not sent: need not be any more */
	expect_heard(desk, 0, 0, (struct heard){ .filled = 1 });
	expect_no_miss(desk);
	/* A mute front-end: nothing is awaited, nothing judged. */
	want(desk, 0x6000, 16, PERM_READ, 0, 1);
	assert_true(pending_next(desk->table, true, &miss));
	assert_int_equal(pending_unanswered(desk->table), 0);
	assert_int_equal(desk->heard[0][1].ticket, 0);
	assert_int_equal(judge(desk), 0);
	expect_heard(desk, 0, 1, (struct heard){ .waiting = 1 });
	update(desk, 0x6000, PAGE, PERM_READ);
	expect_heard(desk, 0, 1, (struct heard){ .filled = 1 });
}

static void S11_the_end_of_the_channel_refuses_everybody(void **state)
{
	struct desk *desk = *state;
	struct hole miss;

	for (unsigned slot = 0; slot < 5; slot++)
		want(desk, slot * PAGE, 16, PERM_READ, 0, slot);
	for (unsigned slot = 0; slot < 3; slot++)
		expect_miss(desk, slot * PAGE, 16, PERM_READ);
	reply(desk, false, PENDING_ANSWERED);
	want(desk, PAGE + 100, 16, PERM_READ, 1, 0); /* late, and another byte */
	assert_true(pending_next(desk->table, true, &miss));
	pending_fail(desk->table);
	assert_true(pending_check(desk->table));
	for (unsigned slot = 0; slot < 5; slot++)
		expect_heard(desk, 0, slot, (struct heard){ .refused = 1 });
	expect_heard(desk, 1, 0, (struct heard){ .refused = 1 });
	expect_no_miss(desk);
	assert_int_equal(pending_unanswered(desk->table), 0);
	assert_false(pending_has_answered(desk->table));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HINTS(S6_what_was_dropped_unsent_is_as_if_never_taken),
		HINTS(S9_an_update_makes_an_orphan_that_keeps_its_place),
		HINTS(S9_an_invalidation_makes_no_orphan),
		HINTS(S9_a_stop_makes_orphans_of_what_nobody_else_wants),
		HINTS(S9_late_answers_do_not_concern_the_next_run),
		HINTS(S9_a_reply_to_nothing_is_told),
		HINTS(S9_a_new_channel_gets_what_is_live_in_order),
		HINTS(S9_a_new_channel_gets_what_a_mute_front_end_has_not_given),
		HINTS(S10_a_ticket_names_the_last_miss_sent_for_it),
		HINTS(S10_a_new_channel_lets_old_tickets_go),
		HINTS(S11_an_update_alone_completes_in_every_state),
		HINTS(S11_the_end_of_the_channel_refuses_everybody),
	};

	return cmocka_run_group_tests_name("pending_order", tests, NULL, NULL);
}
