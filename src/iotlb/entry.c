/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/entry.h"

#include <assert.h>

#define VERSION_SHIFT 9

/* Entries that a reset leaves their memory: most maps never have more. */
#define KEEP 2048u

static_assert(sizeof(struct entry) == 32, "two entries are a cache line");

static struct entry *entry_of(const struct entry_pool *pool, uint32_t id)
{
	assert(id && id <= pool->capacity);
	return &pool->entries[id];
}

static size_t entries_size(uint32_t capacity)
{
	return ((size_t)capacity + 1) * sizeof(struct entry);
}

size_t entry_pool_size(uint32_t capacity)
{
	return arena_round(entries_size(capacity)) + arena_round((size_t)capacity + 1);
}

void entry_pool_init(struct entry_pool *pool, struct arena *arena, uint32_t capacity)
{
	*pool = (struct entry_pool){
		.entries = arena_take(arena, entries_size(capacity)),
		.used = arena_take(arena, (size_t)capacity + 1),
		.capacity = capacity,
	};
}

static uint64_t next_word(struct entry_pool *pool, uint8_t perm)
{
	return ++pool->version << VERSION_SHIFT | perm;
}

static uint8_t perm_of(const struct entry *entry)
{
	return (uint8_t)atomic_load_explicit(&entry->word, memory_order_relaxed);
}

void entry_set(struct entry_pool *pool, uint32_t id, const struct translation *translation)
{
	struct entry *entry = entry_of(pool, id);
	uint64_t word = next_word(pool, translation->perm);

	atomic_store_explicit(&entry->word, word | ENTRY_CHANGING, memory_order_release);
	atomic_store_explicit(&entry->start, translation->range.start, memory_order_release);
	atomic_store_explicit(&entry->last, translation->range.last, memory_order_release);
	atomic_store_explicit(&entry->delta, translation->delta, memory_order_release);
	atomic_store_explicit(&entry->word, word, memory_order_release);
}

uint32_t entry_take(struct entry_pool *pool, const struct translation *translation)
{
	uint32_t id = pool->spare;

	assert(translation->perm);
	if (id) {
		pool->spare = (uint32_t)atomic_load_explicit(&entry_of(pool, id)->start,
		                                             memory_order_relaxed);
	} else {
		assert(pool->touched < pool->capacity);
		id = ++pool->touched;
	}
	pool->n++;
	atomic_store_explicit(&pool->used[id], 0, memory_order_relaxed);
	entry_set(pool, id, translation);
	return id;
}

void entry_give(struct entry_pool *pool, uint32_t id)
{
	struct entry *entry = entry_of(pool, id);

	/* The word first: whoever sees the link sees that the entry is not in use. */
	atomic_store_explicit(&entry->word, next_word(pool, 0), memory_order_release);
	atomic_store_explicit(&entry->start, pool->spare, memory_order_release);
	pool->spare = id;
	pool->n--;
}

void entry_pool_reset(struct entry_pool *pool)
{
	for (uint32_t id = 1; id <= pool->touched && pool->n; id++) {
		struct entry *entry = entry_of(pool, id);

		if (!perm_of(entry))
			continue;
		atomic_store_explicit(&entry->word, next_word(pool, 0), memory_order_release);
		pool->n--;
	}
	if (pool->touched > KEEP) {
		arena_drop(&pool->entries[KEEP], &pool->entries[pool->touched + 1]);
		arena_drop((void *)&pool->used[KEEP], (void *)&pool->used[pool->touched + 1]);
	}
	pool->touched = pool->spare = pool->hand = 0;
}

uint32_t entry_pool_step(struct entry_pool *pool)
{
	assert(pool->n);
	do {
		pool->hand = pool->hand < pool->touched ? pool->hand + 1 : 1;
	} while (!perm_of(entry_of(pool, pool->hand)));
	return pool->hand;
}

bool entry_unmark(struct entry_pool *pool, uint32_t id)
{
	if (!atomic_load_explicit(&pool->used[id], memory_order_relaxed))
		return false;
	atomic_store_explicit(&pool->used[id], 0, memory_order_relaxed);
	return true;
}

bool entry_pool_check(const struct entry_pool *pool)
{
	uint32_t n = 0, spare = 0;

	for (uint32_t id = 1; id <= pool->touched; id++)
		n += perm_of(entry_of(pool, id)) != 0;
	for (uint32_t id = pool->spare; id && spare <= pool->touched; spare++) {
		if (id > pool->touched || perm_of(entry_of(pool, id)))
			return false;
		id = (uint32_t)atomic_load_explicit(&entry_of(pool, id)->start,
		                                    memory_order_relaxed);
	}
	return n == pool->n && n + spare == pool->touched && pool->touched <= pool->capacity;
}
