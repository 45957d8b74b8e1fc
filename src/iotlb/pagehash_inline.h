/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How slots are named, found and read.
 *
 * Threads: any.
 */
#ifndef IOTLB_PAGEHASH_INLINE_H
#define IOTLB_PAGEHASH_INLINE_H

#include "iotlb/pagehash.h"

/*
 * A value is {pointer of the page: 52, low bits of the granule: 10, permission: 2},
 * or {id: 52, low bits of the granule: 10, 0: 2}. The tag has the granule's other
 * bits: of a page below 2^54 tag and value have its whole number, so that there
 * is no mistaking it.
 */
#define PAGEHASH_PERM       UINT64_C(3)
#define PAGEHASH_LOW        UINT64_C(0xffc)
#define PAGEHASH_LOW_SHIFT  2
#define PAGEHASH_HIGH_SHIFT 12
#define PAGEHASH_TAG_SHIFT  10

/* The other case is the straight way through the code. */
#define SELDOM(condition) __builtin_expect(condition, 0)

static inline uint64_t granule_of(uint64_t addr, unsigned class)
{
	return addr >> (PAGEHASH_PAGE_SHIFT + class);
}

/* The two rows of a granule, and its place in them. Pages that follow each other share rows. */
static inline uint64_t granule_hash(uint64_t granule, unsigned class)
{
	return (granule >> 2) + class * UINT64_C(0x9e37);
}

static inline uint64_t granule_hash_other(uint64_t granule, unsigned class)
{
	return ((granule + class) * UINT64_C(0x9e3779b97f4a7c15)) >> 24;
}

static inline unsigned granule_place(uint64_t granule)
{
	return (unsigned)granule % PAGEHASH_SLOTS;
}

static inline uint32_t granule_tag(uint64_t granule, unsigned class)
{
	return (uint32_t)(granule >> PAGEHASH_TAG_SHIFT) + class * UINT32_C(0x9e3779b9);
}

static inline uint64_t granule_low(uint64_t granule)
{
	return granule << PAGEHASH_LOW_SHIFT & PAGEHASH_LOW;
}

static inline struct pagehash_row *pagehash_row_of(const struct pagehash *hash, uint64_t h)
{
	uint64_t mask = atomic_load_explicit(&hash->mask, memory_order_relaxed);
	uint64_t row = h & mask;

	/* What is not there yet is still with its lower half. */
	if (row >= atomic_load_explicit(&hash->n_rows, memory_order_relaxed))
		row &= mask >> 1;
	return &hash->rows[row];
}

/*
 * The value of a slot if it has @tag, as it was at one moment of this call; else
 * 0. The loads are acquire and in this order. A slot gets another tag while its
 * value is 0, and a new version before its new value:
 * - whoever sees the new tag sees the 0, too, or what came after it;
 * - whoever sees the new value sees the new version, too; and the one it loaded
 *   before the tag was this one only if that was the new tag.
 * Version 0 is the one that may come again, as memory that was given back has it:
 * a row that has it had no slot when that was loaded.
 */
static inline uint64_t pagehash_slot(const struct pagehash_row *row, unsigned i, uint64_t tag)
{
	uint64_t version = atomic_load_explicit(&row->version, memory_order_acquire);
	uint64_t found = atomic_load_explicit(&row->tag[i], memory_order_acquire);
	uint64_t value = atomic_load_explicit(&row->value[i], memory_order_acquire);

	if (SELDOM(found != tag))
		return 0;
	if (SELDOM(!version))
		return 0;
	if (SELDOM(atomic_load_explicit(&row->version, memory_order_relaxed) != version))
		return 0;
	return value;
}

/* Spares a second writer of the same cache line: most slots are marked already. */
static inline void pagehash_mark(struct pagehash_row *row, unsigned i)
{
	if (!atomic_load_explicit(&row->used[i], memory_order_relaxed))
		atomic_store_explicit(&row->used[i], 1, memory_order_relaxed);
}

#endif
