/* SPDX-License-Identifier: BSD-3-Clause */
/* What is measured by turns is made up here: contenders that say how long they took. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "figures.h"
#include "results.h"

/* The figure that was reported last, as results.c would have got it. */
static struct result reported;
static struct spread reported_spread;

int result_add(const struct result *result)
{
	reported = *result;
	reported_spread = *result->spread;
	return 0;
}

/* Says by turns @ns and @other for a time; so many runs, calibration included. */
struct fake {
	uint64_t ns, other;
	unsigned runs;
	unsigned steady_after; /* runs from which on it is always @ns */
};

static uint64_t run_fake(void *opaque, uint64_t n)
{
	struct fake *fake = opaque;
	unsigned run = fake->runs++;

	return n * (run < fake->steady_after && run % 2 ? fake->other : fake->ns);
}

static int measure(struct fake *first, struct fake *second, const struct figure *figure)
{
	const struct contender contenders[] = {
		{ "first", run_fake, first, true },
		{ "second", run_fake, second, true },
	};

	return figures_measure("test", contenders, 2, figure, 1);
}

static int set_up(void **state)
{
	return setenv("VHU_BENCH_SECONDS", "0.000001", 1);
}

static void ratio_is_first_over_second(void **state)
{
	struct fake first = { .ns = 30 }, second = { .ns = 10 };
	const struct figure figure = { "case", 0, 1, { BAR_MOST, 4 } };

	assert_int_equal(measure(&first, &second, &figure), 0);
	assert_float_equal(reported_spread.median, 3, 1e-9);
	assert_float_equal(reported.value, 30, 1e-9);
	assert_string_equal(reported.against, "second");
	assert_int_equal(reported.repetitions, 0);
}

static void speed_is_second_over_first(void **state)
{
	struct fake first = { .ns = 10 }, second = { .ns = 30 };
	const struct figure figure = { "case", 0, 1, { BAR_LEAST, 2 }, .speed = true };

	assert_int_equal(measure(&first, &second, &figure), 0);
	assert_float_equal(reported_spread.median, 3, 1e-9);
	assert_int_equal(bar_judge(reported.bar, &reported_spread), VERDICT_HOLDS);
}

static void figure_alone_is_scaled(void **state)
{
	struct fake first = { .ns = 2000 }, second = { .ns = 1 };
	const struct figure figure = { "case", 0, FIGURE_ALONE, { BAR_MOST, 3 }, "us", 1e-3 };

	assert_int_equal(measure(&first, &second, &figure), 0);
	assert_null(reported.against);
	assert_float_equal(reported.value, 2, 1e-9);
	assert_float_equal(reported_spread.high, 2, 1e-9);
}

static void what_stays_noisy_is_repeated_three_times(void **state)
{
	struct fake first = { .ns = 10, .other = 30, .steady_after = UINT32_MAX };
	struct fake second = { .ns = 10 };
	const struct figure figure = { "case", 0, 1, { BAR_MOST, 2 } };

	assert_int_equal(measure(&first, &second, &figure), 0);
	assert_int_equal(reported.repetitions, 3);
	assert_int_equal(bar_judge(reported.bar, &reported_spread), VERDICT_NOISY);
}

static void repetition_that_is_quiet_decides(void **state)
{
	struct fake first = { .ns = 10, .other = 30 };
	struct fake second = { .ns = 10 };
	const struct figure figure = { "case", 0, 1, { BAR_MOST, 2 } };

	/* Quiet from the second measurement on, wherever calibration ends. */
	first.steady_after = PAIRS + 2;
	assert_int_equal(measure(&first, &second, &figure), 0);
	assert_in_range(reported.repetitions, 1, 2);
	assert_int_equal(bar_judge(reported.bar, &reported_spread), VERDICT_HOLDS);
	assert_float_equal(reported.value, 10, 1e-9);
}

static void without_a_bar_nothing_is_repeated(void **state)
{
	struct fake first = { .ns = 10, .other = 30, .steady_after = UINT32_MAX };
	struct fake second = { .ns = 10 };
	const struct figure figure = { "case", 0, 1 };

	assert_int_equal(measure(&first, &second, &figure), 0);
	assert_int_equal(reported.repetitions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ratio_is_first_over_second),
		cmocka_unit_test(speed_is_second_over_first),
		cmocka_unit_test(figure_alone_is_scaled),
		cmocka_unit_test(what_stays_noisy_is_repeated_three_times),
		cmocka_unit_test(repetition_that_is_quiet_decides),
		cmocka_unit_test(without_a_bar_nothing_is_repeated),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
