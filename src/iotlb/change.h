/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps that changes of an IOTLB are made of. Each leaves entries, tree and
 * hash in agreement; none can fail. Only iotlb.c calls them, between the marks by
 * which readers see that there is a change.
 *
 * Thread: the writer.
 */
#ifndef IOTLB_CHANGE_H
#define IOTLB_CHANGE_H

#include "iotlb/state.h"

/* The last entry that starts at or below an address, and the way to it. */
struct spot {
	struct btree_path path;
	uint32_t id; /* 0: there is none, the path leads to before the first */
	struct translation entry;
};

/* Whether there is one. */
bool spot_find(const struct iotlb *tlb, uint64_t addr, struct spot *ret);

/* Goes on to the next entry, if it starts at or below @most. */
bool place_next(const struct iotlb *tlb, struct btree_place *place, uint64_t most,
                struct translation *ret, uint32_t *ret_id);

/*
 * Leaves nothing in @range, of which @spot is that of the end; takes one entry
 * more at most. The spot is not good any more.
 */
void carve(struct iotlb *tlb, struct spot *spot, struct range range);

/*
 * Fills with @t, where there is nothing; with its neighbours where they are alike.
 * @spot is that of its start, and not good any more. Returns the entry's id.
 */
uint32_t fill(struct iotlb *tlb, struct spot *spot, const struct translation *t);

/* Evicts down to the bound, never the entry @keep. */
void settle(struct iotlb *tlb, uint32_t keep);

/* The writer alone writes, so that no read-modify-write is needed. */
static inline void publish(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

#endif
