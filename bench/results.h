/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of the bench programs: a line to read, and a line of JSON appended to
 * the file that VHU_BENCH_RESULTS names (build/bench/results.jsonl without it).
 *
 * Thread: one.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include "judge.h"

struct result {
	const char *bench;
	const char *name; /* the case */
	double value;
	const char *unit;
	const char *against;         /* NULL: nothing */
	const struct spread *spread; /* of the ratio; without @against of the value; may be NULL */
	struct bar bar;              /* of what has the spread, or of the value */
	unsigned repetitions;        /* because it was noisy */
};

/* Plain words, without quotes and backslashes. 0 or -errno. */
int result_add(const struct result *result);

/* A figure that can't be had here, and why. 0 or -errno. */
int result_skip(const char *bench, const char *name, const char *why);

#endif
