/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "judge.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static void spread_of_nine_is_third_fifth_and_seventh(void **state)
{
	double values[] = { 9, 1, 8, 2, 7, 3, 6, 4, 5 };
	struct spread spread = spread_of(values, ARRAY_SIZE(values));

	assert_float_equal(spread.low, 3, 0);
	assert_float_equal(spread.median, 5, 0);
	assert_float_equal(spread.high, 7, 0);
}

static void spread_of_one_is_that_one(void **state)
{
	double value = 4.5;
	struct spread spread = spread_of(&value, 1);

	assert_float_equal(spread.low, 4.5, 0);
	assert_float_equal(spread.median, 4.5, 0);
	assert_float_equal(spread.high, 4.5, 0);
}

static void one_wild_value_moves_no_quartile(void **state)
{
	double values[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1000 };
	struct spread spread = spread_of(values, ARRAY_SIZE(values));

	assert_float_equal(spread.high, 1, 0);
}

static void bar_holds_only_if_both_quartiles_do(void **state)
{
	static const struct {
		enum bar_kind kind;
		double low, high;
		enum verdict verdict; /* at 2 */
	} table[] = {
		{ BAR_MOST, 1, 1.5, VERDICT_HOLDS },   { BAR_MOST, 1, 2, VERDICT_HOLDS },
		{ BAR_MOST, 1.9, 2.1, VERDICT_NOISY }, { BAR_MOST, 2, 2.1, VERDICT_NOISY },
		{ BAR_MOST, 2.1, 3, VERDICT_BROKEN },  { BAR_LEAST, 2.5, 3, VERDICT_HOLDS },
		{ BAR_LEAST, 2, 3, VERDICT_HOLDS },    { BAR_LEAST, 1.9, 2.1, VERDICT_NOISY },
		{ BAR_LEAST, 1.9, 2, VERDICT_NOISY },  { BAR_LEAST, 1, 1.9, VERDICT_BROKEN },
		{ BAR_NONE, 1, 3, VERDICT_NONE },      { BAR_MOST, 2, 2, VERDICT_HOLDS },
		{ BAR_LEAST, 2, 2, VERDICT_HOLDS },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		const struct spread spread = { 2, table[i].low, table[i].high };

		assert_int_equal(bar_judge((struct bar){ table[i].kind, 2 }, &spread),
		                 table[i].verdict);
	}
}

/* A median on the right side of the bar is not enough. */
static void median_decides_nothing(void **state)
{
	const struct spread spread = { .median = 1, .low = 0.5, .high = 3 };

	assert_int_equal(bar_judge((struct bar){ BAR_MOST, 2 }, &spread), VERDICT_NOISY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spread_of_nine_is_third_fifth_and_seventh),
		cmocka_unit_test(spread_of_one_is_that_one),
		cmocka_unit_test(one_wild_value_moves_no_quartile),
		cmocka_unit_test(bar_holds_only_if_both_quartiles_do),
		cmocka_unit_test(median_decides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
