/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/change.h"

#include <assert.h>

/* The hand takes what it meets after so many steps: an update stays short. */
#define SWEEP_MAX 1024u

static uint32_t entry_at(const struct iotlb *tlb, struct btree_place place, struct translation *ret)
{
	uint32_t id = btree_id(&tlb->tree, place);

	*ret = entry_get(&tlb->pool, id);
	return id;
}

bool spot_find(const struct iotlb *tlb, uint64_t addr, struct spot *ret)
{
	ret->id = 0;
	if (btree_floor(&tlb->tree, addr, &ret->path))
		ret->id = entry_at(tlb, ret->path.at[0], &ret->entry);
	return ret->id != 0;
}

bool place_next(const struct iotlb *tlb, struct btree_place *place, uint64_t most,
                struct translation *ret, uint32_t *ret_id)
{
	if (!btree_next(&tlb->tree, place) || btree_key(&tlb->tree, *place) > most)
		return false;
	*ret_id = entry_at(tlb, *place, ret);
	return true;
}

/* @path is the floor of the new entry's start. */
static uint32_t entry_add(struct iotlb *tlb, const struct btree_path *path,
                          const struct translation *t)
{
	uint32_t id = entry_take(&tlb->pool, t);

	btree_insert(&tlb->tree, path, t->range.start, id);
	pagehash_add(&tlb->hash, id, t);
	return id;
}

static void entry_drop(struct iotlb *tlb, const struct btree_path *path, uint32_t id,
                       const struct translation *t)
{
	pagehash_remove(&tlb->hash, id, t);
	btree_remove(&tlb->tree, path);
	entry_give(&tlb->pool, id);
}

/* Another range, with the same start or with one that changes nothing in the order. */
static void entry_resize(struct iotlb *tlb, uint32_t id, const struct translation *from,
                         struct range range)
{
	struct translation to = *from;

	to.range = range;
	if (pagehash_same(from, &to)) {
		entry_set(&tlb->pool, id, &to);
		return;
	}
	pagehash_remove(&tlb->hash, id, from);
	entry_set(&tlb->pool, id, &to);
	pagehash_add(&tlb->hash, id, &to);
}

/* Takes @range out of the entry at the spot, which it meets. */
static void cut(struct iotlb *tlb, const struct spot *spot, struct range range)
{
	const struct translation *t = &spot->entry;
	struct translation above = *t;

	if (range_contains(range, t->range)) {
		entry_drop(tlb, &spot->path, spot->id, t);
		return;
	}
	above.range.start = range.last + 1;
	if (range.start <= t->range.start) {
		entry_resize(tlb, spot->id, t, above.range);
		btree_rekey(&tlb->tree, &spot->path, above.range.start);
		return;
	}
	entry_resize(tlb, spot->id, t, (struct range){ t->range.start, range.start - 1 });
	if (range.last < t->range.last)
		entry_add(tlb, &spot->path, &above);
}

/* From above, for the way to the last entry there meets no other. */
void carve(struct iotlb *tlb, struct spot *spot, struct range range)
{
	while (spot->id && spot->entry.range.last >= range.start) {
		cut(tlb, spot, range);
		if (spot->entry.range.start <= range.start)
			return;
		spot_find(tlb, range.last, spot);
	}
}

static bool goes_on(const struct translation *a, const struct translation *b)
{
	return a->delta == b->delta && a->perm == b->perm;
}

/* The entry that begins just above @t and is like it. 0: none. */
static uint32_t neighbour_above(const struct iotlb *tlb, const struct spot *spot,
                                const struct translation *t, struct translation *ret)
{
	struct btree_place place = spot->path.at[0];
	uint32_t id;

	/* Nothing is in @t, so that what is not above its end is that neighbour. */
	if (t->range.last == UINT64_MAX || !place_next(tlb, &place, t->range.last + 1, ret, &id))
		return 0;
	return goes_on(ret, t) ? id : 0;
}

/* An entry that goes on below its start keeps its id: who looks it up by a slot finds it. */
static void extend_down(struct iotlb *tlb, uint32_t id, const struct translation *t, uint64_t start)
{
	struct btree_path path;

	btree_floor(&tlb->tree, t->range.start, &path);
	btree_remove(&tlb->tree, &path);
	entry_resize(tlb, id, t, (struct range){ start, t->range.last });
	btree_floor(&tlb->tree, start, &path);
	btree_insert(&tlb->tree, &path, start, id);
}

uint32_t fill(struct iotlb *tlb, struct spot *spot, const struct translation *t)
{
	const struct translation *below = &spot->entry;
	struct translation above;
	uint32_t id_above = neighbour_above(tlb, spot, t, &above);

	if (spot->id && below->range.last + 1 == t->range.start && goes_on(below, t)) {
		uint64_t last = id_above ? above.range.last : t->range.last;

		entry_resize(tlb, spot->id, below, (struct range){ below->range.start, last });
		if (id_above && btree_floor(&tlb->tree, above.range.start, &spot->path))
			entry_drop(tlb, &spot->path, id_above, &above);
		return spot->id;
	}
	if (!id_above)
		return entry_add(tlb, &spot->path, t);
	extend_down(tlb, id_above, &above, t->range.start);
	return id_above;
}

static bool was_used(struct iotlb *tlb, uint32_t id)
{
	struct translation t = entry_get(&tlb->pool, id);
	bool by_id = entry_unmark(&tlb->pool, id);

	return pagehash_unmark(&tlb->hash, &t) || by_id;
}

/* The entry to evict, never @keep; there must be another one. */
static uint32_t victim(struct iotlb *tlb, uint32_t keep)
{
	for (unsigned steps = 0;; steps++) {
		uint32_t id = entry_pool_step(&tlb->pool);

		if (id != keep && (steps >= SWEEP_MAX || !was_used(tlb, id)))
			return id;
	}
}

void settle(struct iotlb *tlb, uint32_t keep)
{
	while (tlb->pool.n > tlb->bound) {
		uint32_t id = victim(tlb, keep);
		struct translation t = entry_get(&tlb->pool, id);
		struct btree_path path;

		btree_floor(&tlb->tree, t.range.start, &path);
		ghosts_add(&tlb->ghosts, t.range);
		entry_drop(tlb, &path, id, &t);
		publish(&tlb->n_evicted, tlb->n_evicted + 1);
	}
}
