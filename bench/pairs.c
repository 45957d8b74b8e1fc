/* SPDX-License-Identifier: BSD-3-Clause */
#include "pairs.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define NS_A_SECOND 1e9

static volatile uint64_t sink;

uint64_t pairs_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double run(const struct contender *contender, uint64_t n)
{
	uint64_t start = pairs_now();

	sink += contender->run(contender->opaque, n);
	return (double)(pairs_now() - start);
}

/* How often it goes in the time; warms caches on the way. */
static uint64_t calibrate(const struct contender *contender, double seconds)
{
	uint64_t n = 1;

	for (;;) {
		double ns = run(contender, n);

		if (ns >= seconds * NS_A_SECOND / 4)
			return (uint64_t)((double)n * seconds * NS_A_SECOND / ns) + 1;
		n *= ns < seconds * NS_A_SECOND / 64 ? 8 : 2;
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static double quantile(double *values, unsigned n, double q)
{
	qsort(values, n, sizeof(*values), compare);
	return values[(unsigned)(q * (n - 1) + 0.5)];
}

void pairs_measure(const struct contender *first, const struct contender *second, unsigned n_pairs,
                   double seconds, struct pairing *ret)
{
	uint64_t n = calibrate(first, seconds), m = calibrate(second, seconds);
	double mine[PAIRS_MAX], theirs[PAIRS_MAX], ratios[PAIRS_MAX];

	assert(n_pairs && n_pairs <= PAIRS_MAX);
	for (unsigned i = 0; i < n_pairs; i++) {
		mine[i] = run(first, n) / (double)n;
		theirs[i] = run(second, m) / (double)m;
		ratios[i] = mine[i] / theirs[i];
	}
	ret->ns = quantile(mine, n_pairs, 0.5);
	ret->against_ns = quantile(theirs, n_pairs, 0.5);
	ret->ratio = quantile(ratios, n_pairs, 0.5);
	ret->low = quantile(ratios, n_pairs, 0.25);
	ret->high = quantile(ratios, n_pairs, 0.75);
}

double pairs_alone(const struct contender *contender, unsigned n_runs, double seconds)
{
	uint64_t n = calibrate(contender, seconds);
	double ns[PAIRS_MAX];

	assert(n_runs && n_runs <= PAIRS_MAX);
	for (unsigned i = 0; i < n_runs; i++)
		ns[i] = run(contender, n) / (double)n;
	return quantile(ns, n_runs, 0.5);
}

void pairs_pin(void)
{
	cpu_set_t may, one;

	/* A machine that refuses gives noisier figures, no wrong ones. */
	if (sched_getaffinity(0, sizeof(may), &may))
		return;
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		if (!CPU_ISSET(cpu, &may))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		(void)sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}
