/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of the bench programs: a line to read, and a line of JSON appended to
 * the file that VHU_BENCH_RESULTS names (build/bench/results.jsonl without it).
 *
 * Thread: one.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <math.h>

/* For a ratio or a bar that does not exist. */
#define RESULT_NONE NAN

struct result {
	const char *bench;
	const char *name; /* the case */
	double value;
	const char *unit;
	const char *against; /* NULL: nothing */
	double ratio;        /* value / that of against */
	double bar;          /* most the ratio may be */
};

/* Plain words, without quotes and backslashes. 0 or -errno. */
int result_add(const struct result *result);

#endif
