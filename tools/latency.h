/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A histogram of times, of fixed size: 64 steps to each doubling, so that what
 * comes out is within 1.6 per cent of what went in. Recording is a few
 * instructions.
 */
#ifndef TOOLS_LATENCY_H
#define TOOLS_LATENCY_H

#include <stdint.h>

#define LATENCY_STEP_BITS 6
#define LATENCY_STEPS     (1u << LATENCY_STEP_BITS)
/* Up to 2^40 ns, which is 18 minutes. */
#define LATENCY_BUCKETS ((40u - LATENCY_STEP_BITS + 1) * LATENCY_STEPS)

struct latency {
	uint64_t n, sum, most;
	uint64_t buckets[LATENCY_BUCKETS];
};

static inline unsigned latency_bucket(uint64_t ns)
{
	unsigned log, bucket;

	if (ns < LATENCY_STEPS)
		return (unsigned)ns;
	log = 63 - (unsigned)__builtin_clzll(ns);
	bucket = (log - LATENCY_STEP_BITS + 1) * LATENCY_STEPS +
	         (unsigned)(ns >> (log - LATENCY_STEP_BITS) & (LATENCY_STEPS - 1));
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* @n that took @ns each. */
static inline void latency_add(struct latency *latency, uint64_t ns, uint64_t n)
{
	latency->n += n;
	latency->sum += ns * n;
	if (ns > latency->most)
		latency->most = ns;
	latency->buckets[latency_bucket(ns)] += n;
}

/* The time within which that part of them was done, in ns; @part is above 0, at most 1. */
double latency_quantile(const struct latency *latency, double part);
double latency_mean(const struct latency *latency);

#endif
