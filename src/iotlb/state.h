/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an IOTLB is made of, for the files that do its work: iotlb.c changes it,
 * lookup.c looks things up. Nobody else sees this.
 */
#ifndef IOTLB_STATE_H
#define IOTLB_STATE_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iotlb/btree.h"
#include "iotlb/entry.h"
#include "iotlb/ghosts.h"
#include "iotlb/iotlb.h"
#include "iotlb/pagehash.h"

#define CACHE_LINE 64

struct iotlb {
	/* Its first cache line is all that most lookups read of this; it is seldom written. */
	struct pagehash hash;

	/*
	 * Odd while there is a change under way; written by the writer only. Release;
	 * pairs with the loads of lookup_begin() and lookup_is_good().
	 */
	alignas(CACHE_LINE) _Atomic uint64_t changes;

	/*
	 * Held by the writer while @changes is odd, so that a lookup that meets one
	 * change after the other can wait for its turn and need not turn for ever.
	 */
	alignas(CACHE_LINE) pthread_mutex_t lock;

	struct btree tree; /* start of an entry -> its id */
	struct entry_pool pool;

	/* The writer's alone, but for the counters: read by anybody, relaxed. */
	struct arena arena;
	struct ghosts ghosts;
	uint32_t bound;
	_Atomic uint64_t n_entries;
	_Atomic uint64_t n_evicted;
	_Atomic uint64_t n_bytes;
};

/* The caller holds the lock, or is the writer, or drops the answer after a change. */
bool tree_walk(const struct iotlb *tlb, uint64_t addr, uint8_t perm, struct walk *ret);
bool tree_covers(const struct iotlb *tlb, struct range iova, uint8_t perm);

#endif
