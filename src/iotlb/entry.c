/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/entry.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#define CHUNK_ENTRIES 1024u
#define CACHE_LINE    64

/* The hand takes what it meets after so many steps: an update stays short. */
#define SWEEP_MAX 1024u

struct entry_chunk {
	struct entry_chunk *next;
	uint64_t n;
	alignas(CACHE_LINE) struct entry entries[];
};

static_assert(sizeof(struct entry) == CACHE_LINE, "an entry is a cache line");
static_assert(offsetof(struct entry, node) == 0, "an entry's node is the entry");

static void spare_add(struct entry_pool *pool, struct entry *entry)
{
	entry->perm = 0;
	entry->node.parent = pool->spare;
	pool->spare = &entry->node;
	pool->n_spare++;
}

/* Backwards, so that entries are taken in order of address. */
static void chunk_spare(struct entry_pool *pool, struct entry_chunk *chunk)
{
	for (uint64_t i = chunk->n; i > 0; i--)
		spare_add(pool, &chunk->entries[i - 1]);
	pool->total += chunk->n;
}

static struct entry_chunk *chunk_new(uint64_t n)
{
	struct entry_chunk *chunk;

	chunk = aligned_alloc(CACHE_LINE, sizeof(*chunk) + n * sizeof(struct entry));
	if (!chunk)
		return NULL;
	chunk->next = chunk;
	chunk->n = n;
	for (uint64_t i = 0; i < n; i++)
		atomic_init(&chunk->entries[i].used, false);
	return chunk;
}

int entry_pool_init(struct entry_pool *pool, uint64_t n)
{
	*pool = (struct entry_pool){ 0 };
	return entry_pool_grow(pool, n);
}

int entry_pool_grow(struct entry_pool *pool, uint64_t want)
{
	struct entry_chunk *chunk = chunk_new(want < CHUNK_ENTRIES ? want : CHUNK_ENTRIES);

	if (!chunk)
		return -ENOMEM;
	if (pool->chunks) {
		chunk->next = pool->chunks->next;
		pool->chunks->next = chunk;
	} else {
		pool->chunks = pool->hand = chunk;
	}
	chunk_spare(pool, chunk);
	return 0;
}

static void chunks_free(struct entry_pool *pool)
{
	struct entry_chunk *first = pool->chunks;

	while (first->next != first) {
		struct entry_chunk *chunk = first->next;

		first->next = chunk->next;
		free(chunk);
	}
}

void entry_pool_done(struct entry_pool *pool)
{
	chunks_free(pool);
	free(pool->chunks);
	*pool = (struct entry_pool){ 0 };
}

void entry_pool_reset(struct entry_pool *pool)
{
	struct entry_chunk *first = pool->chunks;

	chunks_free(pool);
	*pool = (struct entry_pool){ .chunks = first, .hand = first };
	chunk_spare(pool, first);
}

struct entry *entry_take(struct entry_pool *pool, struct range range, uint64_t delta, uint8_t perm)
{
	struct entry *entry = (struct entry *)pool->spare;

	assert(entry && perm);
	pool->spare = entry->node.parent;
	pool->n_spare--;
	entry->node.range = range;
	entry->delta = delta;
	entry->perm = perm;
	atomic_store_explicit(&entry->used, true, memory_order_relaxed);
	return entry;
}

void entry_give(struct entry_pool *pool, struct entry *entry)
{
	spare_add(pool, entry);
}

static struct entry *hand_step(struct entry_pool *pool)
{
	if (pool->hand_at >= pool->hand->n) {
		pool->hand = pool->hand->next;
		pool->hand_at = 0;
	}
	return &pool->hand->entries[pool->hand_at++];
}

struct entry *entry_pool_victim(struct entry_pool *pool, const struct entry *keep)
{
	unsigned steps = 0;

	assert(pool->total - pool->n_spare > (keep ? 1 : 0));
	for (;;) {
		struct entry *entry = hand_step(pool);

		if (entry->perm == 0 || entry == keep)
			continue;
		if (steps++ >= SWEEP_MAX)
			return entry;
		if (!atomic_load_explicit(&entry->used, memory_order_relaxed))
			return entry;
		atomic_store_explicit(&entry->used, false, memory_order_relaxed);
	}
}
