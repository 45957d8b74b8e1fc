/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The smallest range that holds whatever an IOTLB has evicted and nobody has
 * been made to forget since. A worker's front cache may go on using an evicted
 * translation, so that within this range "not in the map" does not mean "not in
 * use". Which parts of it really were evicted is not known.
 *
 * Thread: the IOTLB's writer.
 */
#ifndef IOTLB_GHOSTS_H
#define IOTLB_GHOSTS_H

#include <stdbool.h>

#include "base/range.h"

/* Zero-initialised is none. */
struct ghosts {
	struct range range;
	bool any;
};

static inline struct range range_hull(struct range a, struct range b)
{
	return (struct range){ a.start < b.start ? a.start : b.start,
		               a.last > b.last ? a.last : b.last };
}

static inline void ghosts_add(struct ghosts *ghosts, struct range range)
{
	ghosts->range = ghosts->any ? range_hull(ghosts->range, range) : range;
	ghosts->any = true;
}

static inline bool ghosts_meet(const struct ghosts *ghosts, struct range range)
{
	return ghosts->any && range_overlaps(ghosts->range, range);
}

/* All of @range is being forgotten: cuts it off where it covers an end. */
static inline void ghosts_trim(struct ghosts *ghosts, struct range range)
{
	if (!ghosts_meet(ghosts, range))
		return;
	if (range_contains(range, ghosts->range))
		ghosts->any = false;
	else if (range.start <= ghosts->range.start)
		ghosts->range.start = range.last + 1;
	else if (range.last >= ghosts->range.last)
		ghosts->range.last = range.start - 1;
}

#endif
