/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash of pages: the short way from an address to what it stands for. A row is
 * a cache line of four slots. The slot of an entry that is exactly one page holds
 * the translation itself, so that a look-up meets one cold line; larger entries
 * have one or two slots with their id, by *granules* of a size that is chosen so
 * that one or two are enough. Smaller entries have none.
 *
 * It may lack anything: rows can be full, a slot may just be on its way to another
 * row. What is found is right, what is not found is to be looked up in the tree.
 *
 * It grows and shrinks by one row at a time (linear hashing), so that no change
 * takes long, and memory is in proportion to what is in it.
 *
 * Threads: one writer; pagehash_inline.h has what any thread may do.
 */
#ifndef IOTLB_PAGEHASH_H
#define IOTLB_PAGEHASH_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iotlb/arena.h"
#include "iotlb/entry.h"

#define PAGEHASH_SLOTS      4u
#define PAGEHASH_PAGE_SHIFT 12

/* Granules are of 2^0 to 2^51 pages: the space has two of the greatest. */
#define PAGEHASH_CLASSES 52u

/*
 * A slot is {tag, value}; the value of an empty one is 0. The row gets a version
 * that was never used before when one of its slots gets another tag.
 */
struct pagehash_row {
	_Atomic uint64_t version;             /* release; pairs with pagehash_slot() */
	_Atomic uint32_t tag[PAGEHASH_SLOTS]; /* release; pairs with pagehash_slot() */
	_Atomic uint8_t used[PAGEHASH_SLOTS]; /* since the hand came by: a hint, relaxed */
	uint32_t unused;
	_Atomic uint64_t value[PAGEHASH_SLOTS]; /* release; pairs with pagehash_slot() */
};

struct pagehash {
	struct pagehash_row *rows;

	/*
	 * How many rows there are, and the mask of the next power of two above. Any
	 * value ever stored here is within the rows reserved: relaxed.
	 */
	_Atomic uint64_t n_rows;
	_Atomic uint64_t mask;

	/* Bit c: there are entries of class c. A hint, relaxed. */
	_Atomic uint64_t classes;

	/* Whether readers shall mark what they use, for it may have to go soon. Relaxed. */
	_Atomic bool marks;

	/* The writer's alone, and in no cache line with what readers read. */
	alignas(64) const struct entry_pool *pool;
	uint64_t version;
	uint64_t n_slots;
	uint32_t least_rows;
	uint64_t most_rows;
	uint64_t peak_rows; /* since memory was given back last */
	uint32_t entries[PAGEHASH_CLASSES];
	uint32_t tidied; /* the entry that was looked after last */
};

/* Of the arena, for @entries entries. Empty it has @least_rows, a power of two. */
size_t pagehash_size(uint32_t entries, uint32_t least_rows);
void pagehash_init(struct pagehash *hash, struct arena *arena, const struct entry_pool *pool,
                   uint32_t least_rows);

/* Of memory in use. */
static inline uint64_t pagehash_bytes(const struct pagehash *hash)
{
	return hash->peak_rows * sizeof(struct pagehash_row);
}

/* Empty again; gives memory back. */
void pagehash_reset(struct pagehash *hash);

/*
 * Gives an entry its slots, takes them away, or does both at once where one that
 * has slots changes from @from to @to. The pool has what the hash is told when it
 * is told to add, and still has it when it is told to take away.
 */
void pagehash_add(struct pagehash *hash, uint32_t id, const struct translation *translation);
void pagehash_remove(struct pagehash *hash, uint32_t id, const struct translation *translation);

/* The writer will soon look at the page of @addr. */
void pagehash_prefetch(const struct pagehash *hash, uint64_t addr);

/* Whether an entry that has the same slots before and after would change at all. */
bool pagehash_same(const struct translation *from, const struct translation *to);

/* Whether an entry was found here since the last time this was asked; false if it has its id here.
 */
bool pagehash_unmark(struct pagehash *hash, const struct translation *translation);

/* Slots and counts agree with the pool's entries. For tests and debug. */
bool pagehash_check(const struct pagehash *hash);

#endif
