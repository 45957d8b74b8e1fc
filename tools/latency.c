/* SPDX-License-Identifier: BSD-3-Clause */
#include "latency.h"

#include <math.h>

/* The middle of what falls into the bucket. */
static double value_of(unsigned bucket)
{
	unsigned octave = bucket / LATENCY_STEPS;
	double step = bucket % LATENCY_STEPS;

	if (octave == 0)
		return step;
	return ldexp(LATENCY_STEPS + step + 0.5, (int)octave - 1);
}

double latency_quantile(const struct latency *latency, double part)
{
	double wanted = part * (double)latency->n;
	uint64_t below = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		double value = value_of(i);

		below += latency->buckets[i];
		if (latency->buckets[i] && (double)below >= wanted)
			return value < (double)latency->most ? value : (double)latency->most;
	}
	return (double)latency->most;
}

double latency_mean(const struct latency *latency)
{
	return latency->n ? (double)latency->sum / (double)latency->n : 0;
}
