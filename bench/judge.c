/* SPDX-License-Identifier: BSD-3-Clause */
#include "judge.h"

#include <stdbool.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(const double *sorted, unsigned n, double q)
{
	return sorted[(unsigned)(q * (n - 1) + 0.5)];
}

struct spread spread_of(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare);
	return (struct spread){
		.median = quantile(values, n, 0.5),
		.low = quantile(values, n, 0.25),
		.high = quantile(values, n, 0.75),
	};
}

static enum verdict verdict_of(bool all_hold, bool none_holds)
{
	if (all_hold)
		return VERDICT_HOLDS;
	return none_holds ? VERDICT_BROKEN : VERDICT_NOISY;
}

enum verdict bar_judge(struct bar bar, const struct spread *spread)
{
	switch (bar.kind) {
	case BAR_MOST: return verdict_of(spread->high <= bar.value, spread->low > bar.value);
	case BAR_LEAST: return verdict_of(spread->low >= bar.value, spread->high < bar.value);
	case BAR_NONE: break;
	}
	return VERDICT_NONE;
}
