/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of the map have in common: changes of it by the line, and a look at it. */
#ifndef IOTLB_STEPS_H
#define IOTLB_STEPS_H

#include "iotlb/iotlb.h"
#include "support/check.h"

#define PAGE UINT64_C(4096)

/* Never touched: addresses are all that matters. */
static inline char *at(uint64_t address)
{
	return (char *)(uintptr_t)address;
}

static inline struct range span(uint64_t start, uint64_t size)
{
	struct range range;

	assert_true(range_make(start, size, &range));
	return range;
}

/* start, size, ptr, perm; perm 0 removes; size 0 ends a list */
struct step {
	uint64_t start, size, ptr;
	uint8_t perm;
};

static inline bool run(struct iotlb *tlb, const struct step *step)
{
	bool ret = step->perm ? iotlb_update(tlb, span(step->start, step->size), at(step->ptr),
	                                     step->perm)
	                      : iotlb_invalidate(tlb, span(step->start, step->size));

	assert_true(iotlb_check(tlb));
	return ret;
}

static inline uint64_t entries(const struct iotlb *tlb)
{
	struct iotlb_stats stats;

	iotlb_stats(tlb, &stats);
	return stats.entries;
}

/* Where @addr leads for @perm; 0: nowhere. */
static inline uint64_t where(const struct iotlb *tlb, uint64_t addr, uint8_t perm)
{
	struct walk walk;

	return iotlb_lookup(tlb, addr, perm, &walk) ? (uint64_t)(uintptr_t)walk.ptr : 0;
}

#endif
