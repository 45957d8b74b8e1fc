/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a figure is judged against its bar: by its median and quartiles, where
 * quartiles on both sides of the bar decide nothing.
 *
 * Thread: any; nothing is kept.
 */
#ifndef BENCH_JUDGE_H
#define BENCH_JUDGE_H

struct spread {
	double median;
	double low, high; /* quartiles */
};

/* Of @n values, at least 1, which it sorts. */
struct spread spread_of(double *values, unsigned n);

enum bar_kind {
	BAR_NONE,
	BAR_MOST,
	BAR_LEAST,
};

/* Zero-initialised is none. */
struct bar {
	enum bar_kind kind;
	double value;
};

enum verdict {
	VERDICT_NONE, /* there is no bar */
	VERDICT_HOLDS,
	VERDICT_BROKEN,
	VERDICT_NOISY,
};

enum verdict bar_judge(struct bar bar, const struct spread *spread);

#endif
