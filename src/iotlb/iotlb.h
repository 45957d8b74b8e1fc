/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The map of a device IOTLB: disjoint ranges of I/O virtual addresses, each with
 * the local memory it stands for and a permission. Rules U2, U3, U4, I1 and F2
 * of docs/iotlb.md live here; when an answer may go out to the front-end (I2)
 * does not: that is the session's and the workers' business (backend/).
 *
 *              | lookup | update, invalidate, flush, drop | new, free
 *   lookup     |   -    |                -                |    X
 *   update ... |   -    |                X                |    X
 *
 *   "-": safe at the same time from any threads; "X": the caller serialises
 *   (there is one writer, the session thread).
 *
 *   stored, by the writer          | loaded, by any thread
 *   -------------------------------+------------------------------------------
 *   row version, tags, values      | pagehash_slot(): acquire; the version
 *     (release)                    |   again, last
 *   word and fields of an entry    | entry_read(): acquire; the word again, last
 *     (release)                    |
 *   root and nodes of the tree     | btree_floor(), btree_next(): acquire,
 *     (release)                    |   between two looks at the number of changes
 *   number of changes (release)    | lookup_begin(): acquire; lookup_is_good()
 *   rows there are, live classes,  | anywhere: relaxed. Hints: an old one costs
 *     whether to mark use, counts  |   a way round by the tree, never an answer
 *   -------------------------------+------------------------------------------
 *   marks of use (any thread)      | the writer: relaxed, hints
 *
 * A lookup never sees half of an update. It says nothing of what a caller had
 * looked up before: removing a range is hiding it, and the caller drains.
 *
 * Evicting is not removing: nobody is told, and a worker's front cache or a
 * request may go on using what was evicted. The map remembers a range that holds
 * all of it, and what "may be in use" below takes that into account: where the
 * answer is false, no worker holds anything, and no drain is needed.
 */
#ifndef IOTLB_IOTLB_H
#define IOTLB_IOTLB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"
#include "memory/translate.h"

#define IOTLB_ENTRIES_DEFAULT (UINT64_C(1) << 20)

struct iotlb;

struct iotlb_stats {
	uint64_t entries; /* now */
	uint64_t evicted; /* since it was made */
	uint64_t bytes;   /* of memory that it takes now, for entries and the ways to them */
};

/* @max_entries: at least 1; never exceeded. NULL: no memory. */
struct iotlb *iotlb_new(uint64_t max_entries);
void iotlb_free(struct iotlb *tlb);

/*
 * Makes @iova stand for memory from @ptr on with @perm (1 to 3), whatever stood
 * there before (U2); neighbours of equal offset and permission merge (U3). At
 * the bound entries elsewhere are evicted; it never fails. The memory does not
 * wrap around the end of local addresses.
 *
 * Returns whether a translation that may be in use was lost: a byte of the range
 * had another pointer, or a permission it no longer has, or is new to the map
 * where something was evicted. The caller then has @iova forgotten and drained.
 */
bool iotlb_update(struct iotlb *tlb, struct range iova, char *ptr, uint8_t perm);

/*
 * Removes exactly @iova, splitting what it cuts (I1). Where a split would pass
 * the bound, another entry is evicted. Returns whether anything of it was in the
 * map or, evicted, may be in use. The caller then has @iova forgotten and drained.
 */
bool iotlb_invalidate(struct iotlb *tlb, struct range iova);

/* Removes everything. Returns whether there was anything, evicted or not. */
bool iotlb_flush(struct iotlb *tlb);

/*
 * Removes whatever points into [ptr, ptr + size), exactly. Returns whether there
 * was anything, and in *ret a range that holds it all, and all that was evicted,
 * to be forgotten and drained.
 */
bool iotlb_drop_memory(struct iotlb *tlb, const char *ptr, uint64_t size, struct range *ret);

/* See translate_walk_fn; any thread. */
bool iotlb_lookup(const struct iotlb *tlb, uint64_t addr, uint8_t perm, struct walk *ret);

/* Whether every byte of @iova gives @perm. Any thread. */
bool iotlb_covers(const struct iotlb *tlb, struct range iova, uint8_t perm);

/* Walk of a view over an IOTLB; source is the iotlb. */
bool iotlb_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret);

void iotlb_stats(const struct iotlb *tlb, struct iotlb_stats *ret);

/*
 * Invariants: sorted, disjoint, none empty, no unmerged neighbours, within the
 * bound, permissions 1 to 3. Returns whether they hold. For tests and debug.
 */
bool iotlb_check(const struct iotlb *tlb);

#endif
