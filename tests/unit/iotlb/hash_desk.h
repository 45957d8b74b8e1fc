/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash of pages and the pool it speaks of, for tests of it.
 *
 * Thread: the test's.
 */
#ifndef UNIT_IOTLB_HASH_DESK_H
#define UNIT_IOTLB_HASH_DESK_H

#include <string.h>

#include "iotlb/pagehash_slot.h"
#include "memory/translate.h"
#include "support/check.h"

#define ENTRIES_MAX 8192u
#define ROWS_LEAST  8u
#define PAGE        UINT64_C(4096)

struct desk {
	struct arena arena;
	struct entry_pool pool;
	struct pagehash hash;
};

static struct desk desk;

static inline int start(void **state)
{
	memset(&desk, 0, sizeof(desk));
	assert_int_equal(arena_init(&desk.arena, entry_pool_size(ENTRIES_MAX) +
	                                                 pagehash_size(ENTRIES_MAX, ROWS_LEAST)),
	                 0);
	entry_pool_init(&desk.pool, &desk.arena, ENTRIES_MAX);
	pagehash_init(&desk.hash, &desk.arena, &desk.pool, ROWS_LEAST);
	return 0;
}

static inline int end(void **state)
{
	arena_done(&desk.arena);
	return 0;
}

static inline uint64_t rows(void)
{
	return atomic_load(&desk.hash.n_rows);
}

/* No two of them have the same local addresses. */
static inline struct translation made(uint64_t start, uint64_t size, uint64_t number)
{
	uint64_t to = (number << 24) + (start & (PAGE - 1));

	return (struct translation){ { start, start + (size - 1) }, to - start, PERM_RW };
}

static inline uint32_t add(const struct translation *t)
{
	uint32_t id = entry_take(&desk.pool, t);

	pagehash_add(&desk.hash, id, t);
	return id;
}

/* Whether any slot at all has the entry's page or id, in all the rows there ever are. */
static inline bool is_anywhere(uint32_t id, const struct translation *t)
{
	uint64_t page = (t->range.start + t->delta) & ~(PAGE - 1);

	for (uint64_t r = 0; r < desk.hash.peak_rows; r++) {
		for (unsigned i = 0; i < PAGEHASH_SLOTS; i++) {
			uint64_t value = value_of(&desk.hash.rows[r], i);

			if (value & PAGEHASH_PERM ? (value & ~(PAGE - 1)) == page
			                          : value >> PAGEHASH_HIGH_SHIFT == id)
				return true;
		}
	}
	return false;
}

/* How many of an entry's slots are in one of their two rows. */
static inline unsigned found(uint32_t id)
{
	struct translation t = entry_get(&desk.pool, id);
	struct slots slots;
	unsigned n = 0, at;

	slots_of(id, &t, &slots);
	for (unsigned i = 0; i < slots.n; i++)
		n += slot_find(&desk.hash, &slots.slot[i], &at) != NULL;
	return n;
}

static inline void drop(uint32_t id)
{
	struct translation t = entry_get(&desk.pool, id);

	pagehash_remove(&desk.hash, id, &t);
	assert_false(is_anywhere(id, &t));
	entry_give(&desk.pool, id);
}

#define HASH_TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

#endif
