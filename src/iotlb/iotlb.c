/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/iotlb.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "iotlb/entry.h"
#include "iotlb/ghosts.h"
#include "iotlb/rangemap.h"

/*
 * Entries beyond the bound that an update may need before it is done: the part
 * above a split, and its own. They make that nothing here can fail.
 */
#define SPARE 2u

struct iotlb {
	/* Readers against the writer; the writer reads its own work without it. */
	pthread_rwlock_t lock;
	struct rangemap map;
	struct entry_pool pool;
	struct ghosts ghosts;
	uint64_t bound;
	uint64_t evicted;
};

static struct entry *entry_of(struct rangemap_node *node)
{
	return (struct entry *)node;
}

static void write_lock(struct iotlb *tlb)
{
	int err = pthread_rwlock_wrlock(&tlb->lock);

	assert(!err);
	(void)err;
}

static void read_lock(const struct iotlb *tlb)
{
	int err = pthread_rwlock_rdlock((pthread_rwlock_t *)&tlb->lock);

	assert(!err);
	(void)err;
}

static void unlock(const struct iotlb *tlb)
{
	pthread_rwlock_unlock((pthread_rwlock_t *)&tlb->lock);
}

static void entry_drop(struct iotlb *tlb, struct entry *entry)
{
	rangemap_remove(&tlb->map, &entry->node);
	entry_give(&tlb->pool, entry);
}

static struct entry *entry_add(struct iotlb *tlb, struct range range, uint64_t delta, uint8_t perm)
{
	struct entry *entry = entry_take(&tlb->pool, range, delta, perm);

	rangemap_insert(&tlb->map, &entry->node);
	return entry;
}

/* Evicts down to the bound, never @keep. */
static void settle(struct iotlb *tlb, const struct entry *keep)
{
	while (tlb->map.n > tlb->bound) {
		struct entry *entry = entry_pool_victim(&tlb->pool, keep);

		ghosts_add(&tlb->ghosts, entry->node.range);
		entry_drop(tlb, entry);
		tlb->evicted++;
	}
}

/* Sees to the SPARE entries. Where memory is short, the bound is from now on what there is. */
static void make_room(struct iotlb *tlb)
{
	if (tlb->pool.n_spare >= SPARE)
		return;
	if (entry_pool_grow(&tlb->pool, tlb->bound - tlb->pool.total + SPARE) == 0)
		return;
	tlb->bound = tlb->pool.total - SPARE;
	settle(tlb, NULL);
}

/* Cuts @range out of an entry that reaches beyond it on both sides. */
static void split(struct iotlb *tlb, struct entry *entry, struct range range)
{
	struct range above = { range.last + 1, entry->node.range.last };

	entry->node.range.last = range.start - 1;
	entry_add(tlb, above, entry->delta, entry->perm);
}

/* Leaves nothing in @range; takes one spare entry at most. */
static void carve(struct iotlb *tlb, struct range range)
{
	struct rangemap_node *node = rangemap_from(&tlb->map, range.start);

	while (node && node->range.start <= range.last) {
		struct rangemap_node *next = rangemap_next(node);

		if (range_contains(range, node->range))
			entry_drop(tlb, entry_of(node));
		else if (node->range.start >= range.start)
			node->range.start = range.last + 1;
		else if (node->range.last <= range.last)
			node->range.last = range.start - 1;
		else
			split(tlb, entry_of(node), range);
		node = next;
	}
}

static bool entry_is(const struct entry *entry, uint64_t delta, uint8_t perm)
{
	return entry->delta == delta && entry->perm == perm;
}

/* The entry that ends just below @addr and could go on there, or NULL. */
static struct entry *neighbour_below(const struct iotlb *tlb, uint64_t addr, uint64_t delta,
                                     uint8_t perm)
{
	struct rangemap_node *node = addr ? rangemap_floor(&tlb->map, addr - 1) : NULL;

	if (!node || node->range.last != addr - 1 || !entry_is(entry_of(node), delta, perm))
		return NULL;
	return entry_of(node);
}

/* The entry that begins just above @addr and could begin earlier, or NULL. */
static struct entry *neighbour_above(const struct iotlb *tlb, uint64_t addr, uint64_t delta,
                                     uint8_t perm)
{
	struct rangemap_node *node = addr < UINT64_MAX ? rangemap_floor(&tlb->map, addr + 1) : NULL;

	if (!node || node->range.start != addr + 1 || !entry_is(entry_of(node), delta, perm))
		return NULL;
	return entry_of(node);
}

/* @range is empty: fills it, with its neighbours where they are alike. */
static struct entry *fill(struct iotlb *tlb, struct range range, uint64_t delta, uint8_t perm)
{
	struct entry *below = neighbour_below(tlb, range.start, delta, perm);
	struct entry *above = neighbour_above(tlb, range.last, delta, perm);

	if (!below && !above)
		return entry_add(tlb, range, delta, perm);
	if (!below) {
		above->node.range.start = range.start;
		return above;
	}
	if (above) {
		range.last = above->node.range.last;
		entry_drop(tlb, above);
	}
	below->node.range.last = range.last;
	return below;
}

/* The entry that makes an update of this a mere repetition, or NULL. */
static struct entry *find_same(const struct iotlb *tlb, struct range range, uint64_t delta,
                               uint8_t perm)
{
	struct rangemap_node *node = rangemap_floor(&tlb->map, range.start);

	if (!node || node->range.last < range.last || !entry_is(entry_of(node), delta, perm))
		return NULL;
	return entry_of(node);
}

/* Whether an update of @range would take something from somebody. */
static bool update_loses(const struct iotlb *tlb, struct range range, uint64_t delta, uint8_t perm)
{
	struct rangemap_node *node = rangemap_from(&tlb->map, range.start);
	uint64_t at = range.start;

	for (; node && node->range.start <= range.last; node = rangemap_next(node)) {
		const struct entry *entry = entry_of(node);

		if (entry->delta != delta || (entry->perm & ~perm))
			return true;
		if (at < node->range.start &&
		    ghosts_meet(&tlb->ghosts, (struct range){ at, node->range.start - 1 }))
			return true;
		if (node->range.last >= range.last)
			return false;
		at = node->range.last + 1;
	}
	return ghosts_meet(&tlb->ghosts, (struct range){ at, range.last });
}

bool iotlb_update(struct iotlb *tlb, struct range iova, char *ptr, uint8_t perm)
{
	uint64_t delta = (uint64_t)(uintptr_t)ptr - iova.start;
	struct entry *entry = find_same(tlb, iova, delta, perm);
	bool lost;

	assert(perm >= PERM_READ && perm <= PERM_RW);
	if (entry) {
		entry_touch(entry);
		return false;
	}
	write_lock(tlb);
	make_room(tlb);
	lost = update_loses(tlb, iova, delta, perm);
	carve(tlb, iova);
	entry = fill(tlb, iova, delta, perm);
	entry_touch(entry);
	if (lost)
		ghosts_trim(&tlb->ghosts, iova);
	settle(tlb, entry);
	unlock(tlb);
	return lost;
}

static bool holds_any(const struct iotlb *tlb, struct range range)
{
	struct rangemap_node *node = rangemap_from(&tlb->map, range.start);

	return node && node->range.start <= range.last;
}

bool iotlb_invalidate(struct iotlb *tlb, struct range iova)
{
	bool ghosts = ghosts_meet(&tlb->ghosts, iova);

	if (!holds_any(tlb, iova)) {
		ghosts_trim(&tlb->ghosts, iova);
		return ghosts;
	}
	write_lock(tlb);
	make_room(tlb);
	carve(tlb, iova);
	ghosts_trim(&tlb->ghosts, iova);
	settle(tlb, NULL);
	unlock(tlb);
	return true;
}

bool iotlb_flush(struct iotlb *tlb)
{
	bool any = tlb->map.n || tlb->ghosts.any;

	write_lock(tlb);
	tlb->map = (struct rangemap){ 0 };
	entry_pool_reset(&tlb->pool);
	tlb->ghosts.any = false;
	unlock(tlb);
	return any;
}

/* The part of an entry that points into @memory. */
static bool entry_in_memory(const struct entry *entry, struct range memory, struct range *ret)
{
	struct range mine = { entry->node.range.start + entry->delta,
		              entry->node.range.last + entry->delta };

	if (!range_overlaps(mine, memory))
		return false;
	ret->start = (mine.start > memory.start ? mine.start : memory.start) - entry->delta;
	ret->last = (mine.last < memory.last ? mine.last : memory.last) - entry->delta;
	return true;
}

/* The first range at or above @addr that points into @memory. */
static bool find_memory(const struct iotlb *tlb, uint64_t addr, struct range memory,
                        struct range *ret)
{
	struct rangemap_node *node = rangemap_from(&tlb->map, addr);

	for (; node; node = rangemap_next(node))
		if (entry_in_memory(entry_of(node), memory, ret))
			return true;
	return false;
}

bool iotlb_drop_memory(struct iotlb *tlb, const char *ptr, uint64_t size, struct range *ret)
{
	struct ghosts gone = { 0 };
	struct range memory, cut;
	uint64_t at = 0;

	if (!range_make((uint64_t)(uintptr_t)ptr, size, &memory))
		return false;
	write_lock(tlb);
	while (find_memory(tlb, at, memory, &cut)) {
		make_room(tlb);
		carve(tlb, cut);
		ghosts_add(&gone, cut);
		settle(tlb, NULL);
		at = cut.last + 1; /* beyond the end: once more from 0, where nothing is left */
	}
	/* Where an evicted entry pointed is not known any more. */
	if (tlb->ghosts.any) {
		ghosts_add(&gone, tlb->ghosts.range);
		tlb->ghosts.any = false;
	}
	unlock(tlb);
	if (gone.any)
		*ret = gone.range;
	return gone.any;
}

/* From @addr to @last inclusive; the whole space counts one less. */
static uint64_t distance(uint64_t addr, uint64_t last)
{
	uint64_t n = last - addr + 1;

	return n ? n : UINT64_MAX;
}

static bool node_walk(struct rangemap_node *node, uint64_t addr, uint8_t perm, struct walk *ret)
{
	struct entry *entry = entry_of(node);

	ret->after = distance(addr, node->range.last);
	if ((entry->perm & perm) != perm)
		return false;
	ret->before = addr - node->range.start;
	ret->ptr = (char *)(uintptr_t)(addr + entry->delta);
	ret->perm = entry->perm;
	entry_touch(entry);
	return true;
}

bool iotlb_lookup(const struct iotlb *tlb, uint64_t addr, uint8_t perm, struct walk *ret)
{
	struct rangemap_node *node;
	bool found = false;

	read_lock(tlb);
	node = rangemap_floor(&tlb->map, addr);
	if (node && addr <= node->range.last) {
		found = node_walk(node, addr, perm, ret);
	} else {
		node = rangemap_from(&tlb->map, addr);
		ret->after = node ? node->range.start - addr : distance(addr, UINT64_MAX);
	}
	unlock(tlb);
	return found;
}

bool iotlb_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	return iotlb_lookup(view->source, addr, perm, ret);
}

static bool covers(const struct iotlb *tlb, struct range iova, uint8_t perm)
{
	struct rangemap_node *node = rangemap_floor(&tlb->map, iova.start);

	while (node && range_has(node->range, iova.start)) {
		if ((entry_of(node)->perm & perm) != perm)
			return false;
		if (node->range.last >= iova.last)
			return true;
		iova.start = node->range.last + 1;
		node = rangemap_next(node);
	}
	return false;
}

bool iotlb_covers(const struct iotlb *tlb, struct range iova, uint8_t perm)
{
	bool covered;

	read_lock(tlb);
	covered = covers(tlb, iova, perm);
	unlock(tlb);
	return covered;
}

void iotlb_stats(const struct iotlb *tlb, struct iotlb_stats *ret)
{
	read_lock(tlb);
	*ret = (struct iotlb_stats){ .entries = tlb->map.n, .evicted = tlb->evicted };
	unlock(tlb);
}

static bool entries_check(const struct iotlb *tlb)
{
	struct rangemap_node *node = rangemap_from(&tlb->map, 0);

	for (; node; node = rangemap_next(node)) {
		const struct entry *entry = entry_of(node);

		if (entry->perm < PERM_READ || entry->perm > PERM_RW)
			return false;
		if (neighbour_above(tlb, node->range.last, entry->delta, entry->perm))
			return false;
	}
	return true;
}

bool iotlb_check(const struct iotlb *tlb)
{
	bool holds;

	read_lock(tlb);
	holds = tlb->map.n <= tlb->bound && tlb->map.n + tlb->pool.n_spare == tlb->pool.total &&
	        rangemap_check(&tlb->map) && entries_check(tlb);
	unlock(tlb);
	return holds;
}

static int lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;
	int err;

	err = pthread_rwlockattr_init(&attr);
	if (err)
		return err;
	/* Readers come without a pause; they never nest. The writer must get its turn. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	err = pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return err;
}

struct iotlb *iotlb_new(uint64_t max_entries)
{
	struct iotlb *tlb;

	assert(max_entries);
	tlb = calloc(1, sizeof(*tlb));
	if (!tlb)
		return NULL;
	/* Any bound beyond all memory is as good as this one. */
	tlb->bound = max_entries < UINT64_MAX / 2 ? max_entries : UINT64_MAX / 2;
	if (entry_pool_init(&tlb->pool, tlb->bound + SPARE))
		goto out_free;
	if (lock_init(&tlb->lock))
		goto out_pool;
	return tlb;
out_pool:
	entry_pool_done(&tlb->pool);
out_free:
	free(tlb);
	return NULL;
}

void iotlb_free(struct iotlb *tlb)
{
	if (!tlb)
		return;
	pthread_rwlock_destroy(&tlb->lock);
	entry_pool_done(&tlb->pool);
	free(tlb);
}
