/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines that are let through, counted, and accounted for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "quota.h"

/* Tries @n lines; how many went out. */
static unsigned try(struct quota *quota, const char *subject, unsigned n, uint64_t now)
{
	unsigned said = 0;

	while (n-- > 0)
		said += quota_take(quota, VHU_LOG_WARNING, subject, now);
	return said;
}

static void a_few_lines_a_period_go_out(void **state)
{
	struct quota quota = { .n = 0 };

	for (uint64_t now = 5000; now < 50000; now += QUOTA_PERIOD_MS) {
		uint64_t n;

		assert_int_equal(try(&quota, "blk", QUOTA_LINES, now), QUOTA_LINES);
		assert_int_equal(try(&quota, "blk", 100, now + 1), 0);
		assert_int_equal(try(&quota, "blk", 23, now + QUOTA_PERIOD_MS - 1), 0);
		assert_true(quota_owes(&quota));
		assert_null(quota_settle(&quota, now + QUOTA_PERIOD_MS - 1, &n));
		assert_string_equal(quota_settle(&quota, now + QUOTA_PERIOD_MS, &n)->name, "blk");
		assert_int_equal(n, 123);
		assert_null(quota_settle(&quota, now + QUOTA_PERIOD_MS, &n));
		assert_false(quota_owes(&quota));
	}
}

static void who_is_slow_is_never_cut_short(void **state)
{
	struct quota quota = { .n = 0 };

	for (uint64_t now = 0; now < 100000; now += QUOTA_PERIOD_MS / QUOTA_LINES)
		assert_int_equal(try(&quota, "blk", 1, now), 1);
	assert_false(quota_owes(&quota));
}

/* What was suppressed must be told before there is more. */
static void nothing_is_said_behind_a_gap_that_was_not_told(void **state)
{
	struct quota quota = { .n = 0 };
	uint64_t n;

	assert_int_equal(try(&quota, "blk", QUOTA_LINES + 1, 0), QUOTA_LINES);
	assert_int_equal(try(&quota, "blk", 1, 10 * QUOTA_PERIOD_MS), 0);
	assert_non_null(quota_settle(&quota, 10 * QUOTA_PERIOD_MS, &n));
	assert_int_equal(n, 2);
	assert_int_equal(try(&quota, "blk", 1, 10 * QUOTA_PERIOD_MS), 1);
}

static void queues_and_levels_have_their_own(void **state)
{
	struct quota quota = { .n = 0 };

	assert_int_equal(try(&quota, "blk/s1/q0", 100, 0), QUOTA_LINES);
	assert_int_equal(try(&quota, "blk/s1/q1", 100, 0), QUOTA_LINES);
	assert_int_equal(try(&quota, "blk/s1", 100, 0), QUOTA_LINES);
	assert_true(quota_take(&quota, VHU_LOG_ERROR, "blk/s1/q0", 0));
	assert_false(quota_take(&quota, VHU_LOG_WARNING, "blk/s1/q0", 0));
}

static void a_new_session_brings_no_new_lines(void **state)
{
	struct quota quota = { .n = 0 };
	unsigned said = 0;

	for (unsigned i = 0; i < 1000; i++) {
		char subject[32];

		snprintf(subject, sizeof(subject), "blk/s%u%s", i, i % 2 ? "/q7" : "");
		said += try(&quota, subject, 1, 0);
	}
	assert_int_equal(said, 2 * QUOTA_LINES);
	assert_int_equal(quota.n, 2);
}

static void any_number_of_subjects_is_bounded(void **state)
{
	struct quota quota = { .n = 0 };
	unsigned said = 0;

	for (unsigned i = 0; i < 100000; i++) {
		char subject[64];

		snprintf(subject, sizeof(subject), "a subject of a great length, number %u", i);
		memmove(subject, subject + 20, strlen(subject) - 19);
		said += try(&quota, subject, 1, 0);
	}
	assert_int_equal(quota.n, QUOTA_SUBJECTS);
	assert_true(said <= QUOTA_SUBJECTS * QUOTA_LINES);
}

static void debug_lines_are_not_counted(void **state)
{
	struct quota quota = { .n = 0 };

	for (unsigned i = 0; i < 1000; i++)
		assert_true(quota_take(&quota, VHU_LOG_DEBUG, "blk", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_lines_a_period_go_out),
		cmocka_unit_test(who_is_slow_is_never_cut_short),
		cmocka_unit_test(nothing_is_said_behind_a_gap_that_was_not_told),
		cmocka_unit_test(queues_and_levels_have_their_own),
		cmocka_unit_test(a_new_session_brings_no_new_lines),
		cmocka_unit_test(any_number_of_subjects_is_bounded),
		cmocka_unit_test(debug_lines_are_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
