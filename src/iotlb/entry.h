/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The entries of an IOTLB, by number: ids from 1 on, into an array that never
 * moves. Any reader may look at any of them at any time; one that is being
 * changed is recognised by its word. Which range means what, and how many
 * entries there may be, is not known here.
 *
 * Threads: the writer alone, except for entry_read() and entry_mark(): any.
 */
#ifndef IOTLB_ENTRY_H
#define IOTLB_ENTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"
#include "iotlb/arena.h"

/* What an entry says. */
struct translation {
	struct range range;
	uint64_t delta; /* local address - iova */
	uint8_t perm;   /* 0: nothing, the entry is not in use */
};

/*
 * Half a cache line. The word is {version: 55, changing: 1, permission: 8}: a
 * version is never used twice, so that two equal words with no change under way
 * mean that nothing was changed between their loads.
 */
struct entry {
	_Atomic uint64_t start; /* release; pairs with entry_read(). Not in use: the next such */
	_Atomic uint64_t last;  /* release; pairs with entry_read() */
	_Atomic uint64_t delta; /* release; pairs with entry_read() */
	_Atomic uint64_t word;  /* release; pairs with entry_read() */
};

#define ENTRY_CHANGING (UINT64_C(1) << 8)

struct entry_pool {
	struct entry *entries; /* entries[0] is never in use */
	_Atomic uint8_t *used; /* by id, since the hand came by: a hint, relaxed */
	uint32_t capacity;     /* ids go to here */
	uint32_t touched;      /* those above have not been in use since the last reset */
	uint32_t spare;        /* the first of a list of those that are not, at or below it */
	uint32_t n;            /* in use */
	uint32_t hand;
	uint64_t version;
};

/* Of the arena, for ids up to @capacity. */
size_t entry_pool_size(uint32_t capacity);
void entry_pool_init(struct entry_pool *pool, struct arena *arena, uint32_t capacity);

/* None is in use any more; gives memory back. */
void entry_pool_reset(struct entry_pool *pool);

/* Of memory in use. */
static inline uint64_t entry_pool_bytes(const struct entry_pool *pool)
{
	return pool->touched * (uint64_t)(sizeof(struct entry) + 1);
}

/* There must be one that is not in use. Returns its id. */
uint32_t entry_take(struct entry_pool *pool, const struct translation *translation);
void entry_give(struct entry_pool *pool, uint32_t id);

/* A reader sees the old or the new translation, never parts of both. */
void entry_set(struct entry_pool *pool, uint32_t id, const struct translation *translation);

/* Moves the hand to the next entry in use, of which there must be one. Returns its id. */
uint32_t entry_pool_step(struct entry_pool *pool);

/* Whether it was used since the last time this was asked. */
bool entry_unmark(struct entry_pool *pool, uint32_t id);

/* Counts, list and words agree. For tests and debug. */
bool entry_pool_check(const struct entry_pool *pool);

/* Spares a second writer of the same cache line: most entries are marked already. */
static inline void entry_mark(const struct entry_pool *pool, uint32_t id)
{
	if (!atomic_load_explicit(&pool->used[id], memory_order_relaxed))
		atomic_store_explicit(&pool->used[id], 1, memory_order_relaxed);
}

/*
 * What the entry said at one moment of this call. False: it is being changed.
 * The loads are acquire and in this order: whoever sees a field of a change sees
 * its word, too, and then the second word is not the first.
 */
static inline bool entry_read(const struct entry *entry, struct translation *ret)
{
	uint64_t word = atomic_load_explicit(&entry->word, memory_order_acquire);

	ret->range.start = atomic_load_explicit(&entry->start, memory_order_acquire);
	ret->range.last = atomic_load_explicit(&entry->last, memory_order_acquire);
	ret->delta = atomic_load_explicit(&entry->delta, memory_order_acquire);
	ret->perm = (uint8_t)word;
	return !(word & ENTRY_CHANGING) &&
	       atomic_load_explicit(&entry->word, memory_order_acquire) == word;
}

/* The writer's own look; perm 0 if it is not in use. */
static inline struct translation entry_get(const struct entry_pool *pool, uint32_t id)
{
	const struct entry *entry = &pool->entries[id];

	return (struct translation){
		.range = { atomic_load_explicit(&entry->start, memory_order_relaxed),
		           atomic_load_explicit(&entry->last, memory_order_relaxed) },
		.delta = atomic_load_explicit(&entry->delta, memory_order_relaxed),
		.perm = (uint8_t)atomic_load_explicit(&entry->word, memory_order_relaxed),
	};
}

#endif
