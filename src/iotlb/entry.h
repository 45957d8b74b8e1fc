/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The entries of an IOTLB and the pool they come from: chunks that are added as
 * more are needed, and a clock hand that goes round them to find what has not
 * been used for longest (second chance). Which range means what, and how many
 * entries there may be, is not known here.
 *
 * Threads: the writer alone, except for touching an entry: any reader.
 */
#ifndef IOTLB_ENTRY_H
#define IOTLB_ENTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iotlb/rangemap.h"

/* A cache line. */
struct entry {
	struct rangemap_node node; /* first: node and entry are one address */
	uint64_t delta;            /* local address - iova */
	uint8_t perm;              /* 0: in the pool */
	atomic_bool used;          /* since the hand came by */
};

struct entry_chunk;

struct entry_pool {
	struct entry_chunk *chunks; /* a ring; the first is the smallest and stays */
	struct entry_chunk *hand;
	uint64_t hand_at;
	struct rangemap_node *spare; /* linked by parent */
	uint64_t n_spare;
	uint64_t total;
};

/* @n entries to begin with, at least 1. 0 or -ENOMEM. */
int entry_pool_init(struct entry_pool *pool, uint64_t n);
void entry_pool_done(struct entry_pool *pool);

/* Adds @want entries or as many as make a chunk. 0 or -ENOMEM. */
int entry_pool_grow(struct entry_pool *pool, uint64_t want);

/* All entries are spare again; gives back all chunks but the first. */
void entry_pool_reset(struct entry_pool *pool);

/* There must be a spare one. */
struct entry *entry_take(struct entry_pool *pool, struct range range, uint64_t delta, uint8_t perm);
void entry_give(struct entry_pool *pool, struct entry *entry);

/* The entry to evict, never @keep. There must be another one. */
struct entry *entry_pool_victim(struct entry_pool *pool, const struct entry *keep);

/* Spares a second writer of the same cache line: most entries are marked already. */
static inline void entry_touch(struct entry *entry)
{
	if (!atomic_load_explicit(&entry->used, memory_order_relaxed))
		atomic_store_explicit(&entry->used, true, memory_order_relaxed);
}

#endif
