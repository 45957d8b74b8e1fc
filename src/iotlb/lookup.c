/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>

#include "iotlb/pagehash_inline.h"
#include "iotlb/state.h"
#include "memory/translate_inline.h"

#define PAGE_SIZE   (UINT64_C(1) << PAGEHASH_PAGE_SHIFT)
#define PAGE_OFFSET (PAGE_SIZE - 1)

/* Times that a lookup in the tree is overtaken by a change before it takes the lock. */
#define TRIES 64u

/* Levels of a tree that is walked at once: some hundred entries. */
#define LOW 2u

struct wanted {
	uint64_t addr;
	uint8_t perm;
};

/* From @addr to @last inclusive; the whole space counts one less. */
static inline uint64_t distance(uint64_t addr, uint64_t last)
{
	uint64_t n = last - addr + 1;

	return n ? n : UINT64_MAX;
}

/* The slot of a single page is its translation. */
static inline void page_answer(uint64_t value, uint64_t addr, struct walk *ret)
{
	uint64_t offset = addr & PAGE_OFFSET;

	ret->ptr = (char *)(uintptr_t)((value & ~PAGE_OFFSET) + offset);
	ret->before = offset;
	ret->after = PAGE_SIZE - offset;
	ret->perm = (uint8_t)(value & PAGEHASH_PERM);
}

/* @addr lies in the entry. */
static bool entry_answer(const struct translation *t, uint64_t addr, uint8_t perm, struct walk *ret)
{
	ret->after = distance(addr, t->range.last);
	if ((t->perm & perm) != perm)
		return false;
	ret->before = addr - t->range.start;
	ret->ptr = (char *)(uintptr_t)(addr + t->delta);
	ret->perm = t->perm;
	return true;
}

static bool marks_use(const struct iotlb *tlb)
{
	return atomic_load_explicit(&tlb->hash.marks, memory_order_relaxed);
}

bool tree_walk(const struct iotlb *tlb, uint64_t addr, uint8_t perm, struct walk *ret)
{
	struct translation t;
	struct btree_path path;

	if (btree_floor(&tlb->tree, addr, &path)) {
		uint32_t id = btree_id(&tlb->tree, path.at[0]);

		/* Where it is being changed the answer is dropped, whatever it is. */
		if (id > tlb->pool.capacity || !entry_read(&tlb->pool.entries[id], &t))
			return false;
		if (addr <= t.range.last) {
			if (marks_use(tlb))
				entry_mark(&tlb->pool, id);
			return entry_answer(&t, addr, perm, ret);
		}
	}
	if (btree_next(&tlb->tree, &path.at[0]))
		ret->after = btree_key(&tlb->tree, path.at[0]) - addr;
	else
		ret->after = distance(addr, UINT64_MAX);
	return false;
}

/* acquire: what is read from here on is not older than the last change before. */
static uint64_t lookup_begin(const struct iotlb *tlb)
{
	return atomic_load_explicit(&tlb->changes, memory_order_acquire);
}

/*
 * Whether what was read since is of one state. All of it was read by acquire:
 * whoever has seen any part of a change sees that there is one.
 */
static bool lookup_is_good(const struct iotlb *tlb, uint64_t begin)
{
	return !(begin & 1) && atomic_load_explicit(&tlb->changes, memory_order_relaxed) == begin;
}

static void lookup_lock(const struct iotlb *tlb)
{
	int err = pthread_mutex_lock((pthread_mutex_t *)&tlb->lock);

	assert(!err);
	(void)err;
}

static void lookup_unlock(const struct iotlb *tlb)
{
	pthread_mutex_unlock((pthread_mutex_t *)&tlb->lock);
}

static bool tree_lookup(const struct iotlb *tlb, uint64_t addr, uint8_t perm, struct walk *ret)
{
	bool found;

	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t begin = lookup_begin(tlb);

		found = tree_walk(tlb, addr, perm, ret);
		if (lookup_is_good(tlb, begin))
			return found;
	}
	lookup_lock(tlb);
	found = tree_walk(tlb, addr, perm, ret);
	lookup_unlock(tlb);
	return found;
}

/* What a slot with the right tag says of @addr. */
static bool slot_answer(const struct iotlb *tlb, struct pagehash_row *row, unsigned i,
                        uint64_t value, uint64_t addr, uint8_t perm, struct walk *ret)
{
	uint32_t id = (uint32_t)(value >> PAGEHASH_HIGH_SHIFT);
	struct translation t;

	if (value & PAGEHASH_PERM) {
		if ((value & perm) != perm)
			return false;
		page_answer(value, addr, ret);
		if (marks_use(tlb))
			pagehash_mark(row, i);
		return true;
	}
	if (!id || !entry_read(&tlb->pool.entries[id], &t))
		return false;
	if (!range_has(t.range, addr) || !entry_answer(&t, addr, perm, ret))
		return false;
	if (marks_use(tlb))
		entry_mark(&tlb->pool, id);
	return true;
}

/* One class of entries in one of the rows of a granule. */
static bool row_lookup(const struct iotlb *tlb, uint64_t hash, uint64_t granule, unsigned class,
                       const struct wanted *wanted, struct walk *ret)
{
	struct pagehash_row *row = pagehash_row_of(&tlb->hash, hash);
	uint32_t tag = granule_tag(granule, class);

	for (unsigned k = 0; k < PAGEHASH_SLOTS; k++) {
		unsigned i = granule_place(granule) ^ k;
		uint64_t value;

		/* Most are of others, and to take one for such is no mistake here. */
		if (atomic_load_explicit(&row->tag[i], memory_order_relaxed) != tag)
			continue;
		value = pagehash_slot(row, i, tag);
		/* A tag alone is no proof, nor are the low bits for a larger class. */
		if (!value || (value & PAGEHASH_LOW) != granule_low(granule))
			continue;
		if (value & PAGEHASH_PERM && (class || granule >> (32 + PAGEHASH_TAG_SHIFT)))
			continue;
		if (slot_answer(tlb, row, i, value, wanted->addr, wanted->perm, ret))
			return true;
	}
	return false;
}

/*
 * What a look-up meets in a low tree is less than what it meets in two rows for each
 * class; and what is nowhere, as pages are that are mapped for a request, only the
 * tree knows.
 */
static bool tree_is_low(const struct iotlb *tlb)
{
	return btree_levels(&tlb->tree) <= LOW;
}

/* Apart, so that the usual case saves no registers for it. */
static __attribute__((noinline)) bool lookup_further(const struct iotlb *tlb, uint64_t addr,
                                                     uint8_t perm, struct walk *ret)
{
	const struct wanted wanted = { addr, perm };
	uint64_t classes = 0;

	if (!tree_is_low(tlb))
		classes = atomic_load_explicit(&tlb->hash.classes, memory_order_relaxed);
	for (; classes; classes &= classes - 1) {
		unsigned class = (unsigned)__builtin_ctzll(classes);
		uint64_t granule = granule_of(addr, class);

		if (row_lookup(tlb, granule_hash(granule, class), granule, class, &wanted, ret) ||
		    row_lookup(tlb, granule_hash_other(granule, class), granule, class, &wanted,
		               ret))
			return true;
	}
	/* That nothing is found there means nothing. */
	return tree_lookup(tlb, addr, perm, ret);
}

/*
 * {pointer: 52, anything: 10, permission: 2} of the page that holds @addr, if its
 * slot is in its usual place and says it; else 0.
 */
static inline uint64_t page_of(const struct iotlb *tlb, uint64_t addr)
{
	uint64_t page = granule_of(addr, 0);
	struct pagehash_row *row = pagehash_row_of(&tlb->hash, granule_hash(page, 0));
	unsigned i = granule_place(page);
	/* No tag is equal to that of a page beyond 2^54. */
	uint64_t value = pagehash_slot(row, i, page >> PAGEHASH_TAG_SHIFT);

	if (SELDOM((value ^ granule_low(page)) & PAGEHASH_LOW))
		return 0;
	if (SELDOM(marks_use(tlb)))
		pagehash_mark(row, i);
	return value;
}

/* Straight: while one page is waited for the processor works at those behind it. */
static int walk_page(struct translate_view *view, uint64_t addr, uint64_t len, uint8_t perm,
                     struct iov_list *iov, struct hole_list *holes)
{
	uint64_t page = page_of(view->source, addr);

	if (SELDOM((page & perm) != perm))
		return translate_range(view, addr, len, perm, iov, holes);
	return translate_page_found(view, addr, len, page, iov);
}

bool iotlb_lookup(const struct iotlb *tlb, uint64_t addr, uint8_t perm, struct walk *ret)
{
	uint64_t page = page_of(tlb, addr);

	if ((page & perm) != perm)
		return lookup_further(tlb, addr, perm, ret);
	page_answer(page, addr, ret);
	return true;
}

bool iotlb_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	view->walk_page = walk_page;
	return lookup_further(view->source, addr, perm, ret);
}

bool tree_covers(const struct iotlb *tlb, struct range iova, uint8_t perm)
{
	for (;;) {
		struct walk walk;

		if (!tree_walk(tlb, iova.start, perm, &walk))
			return false;
		if (walk.after - 1 >= iova.last - iova.start)
			return true;
		iova.start += walk.after;
	}
}

bool iotlb_covers(const struct iotlb *tlb, struct range iova, uint8_t perm)
{
	bool covered;

	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t begin = lookup_begin(tlb);

		covered = tree_covers(tlb, iova, perm);
		if (lookup_is_good(tlb, begin))
			return covered;
	}
	lookup_lock(tlb);
	covered = tree_covers(tlb, iova, perm);
	lookup_unlock(tlb);
	return covered;
}

void iotlb_stats(const struct iotlb *tlb, struct iotlb_stats *ret)
{
	*ret = (struct iotlb_stats){
		.entries = atomic_load_explicit(&tlb->n_entries, memory_order_relaxed),
		.evicted = atomic_load_explicit(&tlb->n_evicted, memory_order_relaxed),
		.bytes = atomic_load_explicit(&tlb->n_bytes, memory_order_relaxed),
	};
}
