/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures that are times: measures contenders by turns, repeats what is too
 * noisy to be judged, and reports.
 *
 * Thread: one.
 */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include "pairs.h"

#define FIGURE_ALONE UINT32_MAX

/* A contender, by its index, alone or against another. */
struct figure {
	const char *name; /* the case */
	unsigned of;
	unsigned against; /* or FIGURE_ALONE: the bar is of the value */
	struct bar bar;
	const char *unit; /* NULL: "ns" */
	double scale;     /* of the value, from ns to @unit; 0: 1 */
	bool speed;       /* the ratio says how many times as fast, not how much longer */
};

/* Of a figure that stays noisy no more is tried. */
#define REPETITIONS_MAX 3u

/* Runs are of pairs_seconds() if a figure has a bar, else brief. 0 or -errno. */
int figures_measure(const char *bench, const struct contender *contenders, unsigned n,
                    const struct figure *figures, unsigned n_figures);

#endif
