/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The writer's half of the map. Why nothing is accessed through a translation once
 * its removal was acknowledged (I2), from here to the reply:
 *
 * 1. A pointer comes out of the map by a lookup only, and what a lookup says was
 *    true at one moment of its call: a slot between two equal versions of its row,
 *    an entry between two equal words, the tree between two equal numbers of
 *    changes. Each of these is stored before and after what it guards, by release,
 *    and nothing of it is loaded but by acquire.
 * 2. Hide. When a change has ended that removes a range, no way leads to it. The
 *    slots of an entry follow from the entry alone (slots_of()), and when a change
 *    ends each is in one place at most: pagehash_remove() leaves none. The key goes
 *    with btree_remove(), and the entry itself says so (entry_give()).
 * 3. Evicting is no removal, and what was evicted may be in use: the ghosts hold all
 *    of it. Where neither map nor ghosts meet a range, no worker has a pointer
 *    from it, for whatever a worker obtained was in the map and has since been
 *    removed, which step 4 has dealt with, or evicted.
 * 4. Shoot. The session posts the range to every worker after step 2 (release; the
 *    worker's taking it out is acquire: struct mailbox, @newest). What a worker
 *    looks up from then on, it looks up in a map without the range.
 * 5. What it obtained before is in its front cache, in the mapping of a ring, kept
 *    for a chain under assembly, or in an issued request. No lookup is under way:
 *    the worker's own thread has read its box between two of them.
 * 6. Drain. The first three are forgotten there and then; issued requests are
 *    searched by iova, not by the map, and waited for (src/backend/lane.c).
 * 7. Acknowledge. The worker posts its acknowledgement behind its last access
 *    (release), the session takes it out (acquire) and only then sends the reply.
 *    Hence every access through the range happens before the reply.
 * 8. Readers may be anywhere meanwhile: rows, entries and nodes stay where they are
 *    until iotlb_free(). Memory that is given back reads as zeros: an empty slot, an
 *    entry of no permission, a node without keys.
 */
#include "iotlb/iotlb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iotlb/change.h"

/*
 * Entries beyond the bound that an update may need before it is done: the part
 * above a split, and its own. They make that nothing here can fail.
 */
#define SPARE 2u

/*
 * Of the hash, 16 KiB: what drivers map for each request comes and goes by the
 * hundred, and its rows need not follow.
 */
#define ROWS_LEAST 256u

/* More than any machine has memory for is as good as this. */
#define BOUND_MOST (UINT64_C(1) << 26)

static void change_begin(struct iotlb *tlb)
{
	uint64_t changes = atomic_load_explicit(&tlb->changes, memory_order_relaxed);
	int err = pthread_mutex_lock(&tlb->lock);

	assert(!err && !(changes & 1));
	(void)err;
	atomic_store_explicit(&tlb->changes, changes + 1, memory_order_release);
}

static void change_end(struct iotlb *tlb)
{
	uint64_t changes = atomic_load_explicit(&tlb->changes, memory_order_relaxed);
	bool pressed = tlb->pool.n > tlb->bound - tlb->bound / 8;

	publish(&tlb->n_entries, tlb->pool.n);
	publish(&tlb->n_bytes, entry_pool_bytes(&tlb->pool) + btree_bytes(&tlb->tree) +
	                               pagehash_bytes(&tlb->hash));
	if (atomic_load_explicit(&tlb->hash.marks, memory_order_relaxed) != pressed)
		atomic_store_explicit(&tlb->hash.marks, pressed, memory_order_relaxed);
	atomic_store_explicit(&tlb->changes, changes + 1, memory_order_release);
	pthread_mutex_unlock(&tlb->lock);
}

static bool takes(const struct translation *there, const struct translation *t)
{
	return there->delta != t->delta || (there->perm & ~t->perm);
}

/* Whether an update of @t would take something from somebody. @spot is that of its start. */
static bool update_loses(const struct iotlb *tlb, const struct spot *spot,
                         const struct translation *t)
{
	struct translation there = spot->entry;
	struct btree_place place = spot->path.at[0];
	uint64_t at = t->range.start;
	uint32_t id = spot->id;
	bool more = id && there.range.last >= at;

	if (!more)
		more = place_next(tlb, &place, t->range.last, &there, &id);
	for (; more; more = place_next(tlb, &place, t->range.last, &there, &id)) {
		if (takes(&there, t))
			return true;
		if (at < there.range.start &&
		    ghosts_meet(&tlb->ghosts, (struct range){ at, there.range.start - 1 }))
			return true;
		if (there.range.last >= t->range.last)
			return false;
		at = there.range.last + 1;
	}
	return ghosts_meet(&tlb->ghosts, (struct range){ at, t->range.last });
}

/* Whether nothing meets @range, of which @spot is that of the start. */
static bool is_empty(const struct iotlb *tlb, const struct spot *spot, struct range range)
{
	struct btree_place place = spot->path.at[0];

	if (spot->id && spot->entry.range.last >= range.start)
		return false;
	return !btree_next(&tlb->tree, &place) || btree_key(&tlb->tree, place) > range.last;
}

/* Whether something was lost. */
static bool replace(struct iotlb *tlb, struct spot *spot, const struct translation *t)
{
	bool lost = update_loses(tlb, spot, t);

	spot_find(tlb, t->range.last, spot);
	carve(tlb, spot, t->range);
	spot_find(tlb, t->range.start, spot);
	return lost;
}

bool iotlb_update(struct iotlb *tlb, struct range iova, char *ptr, uint8_t perm)
{
	const struct translation t = { iova, (uint64_t)(uintptr_t)ptr - iova.start, perm };
	struct spot spot;
	uint32_t id;
	bool lost;

	assert(perm >= PERM_READ && perm <= PERM_RW);
	pagehash_prefetch(&tlb->hash, iova.start);
	if (spot_find(tlb, iova.start, &spot) && spot.entry.range.last >= iova.last &&
	    spot.entry.delta == t.delta && spot.entry.perm == perm) {
		entry_mark(&tlb->pool, spot.id);
		return false;
	}
	change_begin(tlb);
	if (is_empty(tlb, &spot, iova))
		lost = ghosts_meet(&tlb->ghosts, iova);
	else
		lost = replace(tlb, &spot, &t);
	id = fill(tlb, &spot, &t);
	if (lost)
		ghosts_trim(&tlb->ghosts, iova);
	settle(tlb, id);
	change_end(tlb);
	return lost;
}

bool iotlb_invalidate(struct iotlb *tlb, struct range iova)
{
	bool ghosts = ghosts_meet(&tlb->ghosts, iova);
	struct spot spot;

	pagehash_prefetch(&tlb->hash, iova.start);
	ghosts_trim(&tlb->ghosts, iova);
	if (!spot_find(tlb, iova.last, &spot) || spot.entry.range.last < iova.start)
		return ghosts;
	change_begin(tlb);
	carve(tlb, &spot, iova);
	settle(tlb, 0);
	change_end(tlb);
	return true;
}

bool iotlb_flush(struct iotlb *tlb)
{
	bool any = tlb->pool.n || tlb->ghosts.any;

	change_begin(tlb);
	pagehash_reset(&tlb->hash);
	btree_reset(&tlb->tree);
	entry_pool_reset(&tlb->pool);
	tlb->ghosts.any = false;
	change_end(tlb);
	return any;
}

/* The part of an entry that points into @memory. */
static bool entry_in_memory(const struct translation *t, struct range memory, struct range *ret)
{
	struct range mine = { t->range.start + t->delta, t->range.last + t->delta };

	if (!t->perm || !range_overlaps(mine, memory))
		return false;
	ret->start = (mine.start > memory.start ? mine.start : memory.start) - t->delta;
	ret->last = (mine.last < memory.last ? mine.last : memory.last) - t->delta;
	return true;
}

/* In the order of ids: what a cut leaves above itself points elsewhere. */
static void drop_memory(struct iotlb *tlb, struct range memory, struct ghosts *gone)
{
	for (uint32_t id = 1; id <= tlb->pool.touched; id++) {
		struct translation t = entry_get(&tlb->pool, id);
		struct range mine;
		struct spot spot;

		if (!entry_in_memory(&t, memory, &mine))
			continue;
		spot_find(tlb, mine.last, &spot);
		carve(tlb, &spot, mine);
		ghosts_add(gone, mine);
		settle(tlb, 0);
	}
}

bool iotlb_drop_memory(struct iotlb *tlb, const char *ptr, uint64_t size, struct range *ret)
{
	struct ghosts gone = { 0 };
	struct range memory;

	if (!range_make((uint64_t)(uintptr_t)ptr, size, &memory))
		return false;
	change_begin(tlb);
	drop_memory(tlb, memory, &gone);
	/* Where an evicted entry pointed is not known any more. */
	if (tlb->ghosts.any) {
		ghosts_add(&gone, tlb->ghosts.range);
		tlb->ghosts.any = false;
	}
	change_end(tlb);
	if (gone.any)
		*ret = gone.range;
	return gone.any;
}

/* Where there is less address space the bound is what there is room for. */
static int reserve(struct iotlb *tlb, uint64_t bound)
{
	for (; bound; bound /= 2) {
		uint32_t entries = (uint32_t)bound + SPARE;

		if (arena_init(&tlb->arena, entry_pool_size(entries) + btree_size(entries) +
		                                    pagehash_size(entries, ROWS_LEAST)))
			continue;
		tlb->bound = (uint32_t)bound;
		entry_pool_init(&tlb->pool, &tlb->arena, entries);
		btree_init(&tlb->tree, &tlb->arena, entries);
		pagehash_init(&tlb->hash, &tlb->arena, &tlb->pool, ROWS_LEAST);
		return 0;
	}
	return -ENOMEM;
}

struct iotlb *iotlb_new(uint64_t max_entries)
{
	struct iotlb *tlb;

	assert(max_entries);
	tlb = aligned_alloc(alignof(struct iotlb), sizeof(*tlb));
	if (!tlb)
		return NULL;
	memset(tlb, 0, sizeof(*tlb));
	if (reserve(tlb, max_entries < BOUND_MOST ? max_entries : BOUND_MOST))
		goto out_free;
	if (pthread_mutex_init(&tlb->lock, NULL))
		goto out_arena;
	return tlb;
out_arena:
	arena_done(&tlb->arena);
out_free:
	free(tlb);
	return NULL;
}

void iotlb_free(struct iotlb *tlb)
{
	if (!tlb)
		return;
	pthread_mutex_destroy(&tlb->lock);
	arena_done(&tlb->arena);
	free(tlb);
}
