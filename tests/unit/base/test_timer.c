/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/timer.h"

#include <sys/timerfd.h>

#include "support/census.h"
#include "support/check.h"

struct clockwork {
	struct loop loop;
	struct timer timer;
	unsigned due;
};

static void count(struct timer *timer)
{
	container_of(timer, struct clockwork, timer)->due++;
}

static void begin(struct clockwork *clockwork)
{
	clockwork->due = 0;
	assert_int_equal(loop_init(&clockwork->loop), 0);
	assert_int_equal(timer_init(&clockwork->timer, &clockwork->loop, count), 0);
}

static void end(struct clockwork *clockwork)
{
	timer_done(&clockwork->timer);
	loop_done(&clockwork->loop);
}

/* So many times the loop waits for something, and sees nothing more. */
static void expect_due(struct clockwork *clockwork, unsigned n)
{
	for (unsigned i = 0; clockwork->due < n && i < 100; i++)
		assert_int_equal(loop_run(&clockwork->loop, 100), 0);
	assert_int_equal(loop_run(&clockwork->loop, 30), 0);
	assert_int_equal(clockwork->due, n);
}

static void it_is_due_once(void **state)
{
	struct clockwork clockwork;

	(void)state;
	begin(&clockwork);
	expect_due(&clockwork, 0);
	timer_arm(&clockwork.timer, 5);
	expect_due(&clockwork, 1);
	timer_arm(&clockwork.timer, 5);
	expect_due(&clockwork, 2);
	end(&clockwork);
}

static void whole_seconds_and_less_add_up(void **state)
{
	struct itimerspec left;
	struct clockwork clockwork;

	(void)state;
	begin(&clockwork);
	timer_arm(&clockwork.timer, 61500);
	assert_int_equal(timerfd_gettime(clockwork.timer.source.fd, &left), 0);
	assert_int_equal(left.it_value.tv_sec, 61);
	assert_in_range(left.it_value.tv_nsec, 1, 500000000);
	end(&clockwork);
}

static void it_can_be_disarmed_and_armed_anew(void **state)
{
	struct clockwork clockwork;

	(void)state;
	begin(&clockwork);
	timer_arm(&clockwork.timer, 5);
	timer_disarm(&clockwork.timer);
	expect_due(&clockwork, 0);
	timer_arm(&clockwork.timer, 1);
	timer_arm(&clockwork.timer, 60000);
	expect_due(&clockwork, 0);
	end(&clockwork);
}

static void nothing_is_left_of_it(void **state)
{
	struct census before = census_take();
	struct clockwork clockwork;

	(void)state;
	begin(&clockwork);
	timer_arm(&clockwork.timer, 5);
	timer_done(&clockwork.timer);
	timer_done(&clockwork.timer);
	loop_done(&clockwork.loop);
	census_check(before);
	assert_int_equal(clockwork.due, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_due_once),
		cmocka_unit_test(whole_seconds_and_less_add_up),
		cmocka_unit_test(it_can_be_disarmed_and_armed_anew),
		cmocka_unit_test(nothing_is_left_of_it),
	};

	return cmocka_run_group_tests_name("base/timer", tests, NULL, NULL);
}
