/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measures two ways of doing the same by turns, so that whatever else the
 * machine does meets both alike: what counts is the median of the ratios of
 * neighbouring runs.
 *
 * Thread: one.
 */
#ifndef BENCH_PAIRS_H
#define BENCH_PAIRS_H

#include <stdint.h>

/* Does it @n times; what is returned keeps the compiler from leaving it out. */
typedef uint64_t pairs_fn(void *opaque, uint64_t n);

struct contender {
	pairs_fn *run;
	void *opaque;
};

struct pairing {
	double ns;         /* of the first, a time: the median */
	double against_ns; /* of the second */
	double ratio;      /* first / second: the median, */
	double low, high;  /* and the quartiles */
};

#define PAIRS_MAX 31u

/* @seconds: about the length of a run. @n_pairs: odd, at most PAIRS_MAX. */
void pairs_measure(const struct contender *first, const struct contender *second, unsigned n_pairs,
                   double seconds, struct pairing *ret);

/* The median of @n_runs runs alone, in ns a time. */
double pairs_alone(const struct contender *contender, unsigned n_runs, double seconds);

/* Keeps the process on one processor. */
void pairs_pin(void);

uint64_t pairs_now(void);

/* The bench programs' source of chance: fast, and the same every time. */
static inline uint64_t pairs_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
