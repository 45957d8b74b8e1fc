/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranges of 64-bit addresses, both ends inclusive, so that the whole space is a
 * range and no end overflows. The one place that knows how ranges meet.
 */
#ifndef BASE_RANGE_H
#define BASE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct range {
	uint64_t start;
	uint64_t last;
};

/* False for an empty range and for one that wraps around 2^64. */
static inline bool range_make(uint64_t start, uint64_t size, struct range *ret)
{
	if (size == 0 || start + (size - 1) < start)
		return false;
	*ret = (struct range){ start, start + (size - 1) };
	return true;
}

static inline bool range_overlaps(struct range a, struct range b)
{
	return a.start <= b.last && b.start <= a.last;
}

static inline bool range_contains(struct range outer, struct range inner)
{
	return outer.start <= inner.start && inner.last <= outer.last;
}

static inline bool range_has(struct range r, uint64_t addr)
{
	return r.start <= addr && addr <= r.last;
}

/* Number of bytes; 0 stands for 2^64, the whole space. */
static inline uint64_t range_size(struct range r)
{
	return r.last - r.start + 1;
}

#define RANGE_ALL ((struct range){ 0, UINT64_MAX })

#endif
