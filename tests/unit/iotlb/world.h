/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An IOTLB beside a map that is kept in the plainest way, of single bytes or of
 * larger units, for whoever invents operations: they are done on both, and
 * world_check() compares.
 *
 * Thread: the test's.
 */
#ifndef UNIT_IOTLB_WORLD_H
#define UNIT_IOTLB_WORLD_H

#include <string.h>

#include "iotlb/iotlb.h"
#include "support/check.h"

#define SPACE_MAX 24u
#define DELTAS    3u

enum kind {
	UPDATE,
	INVALIDATE,
	DROP,
};

struct op {
	enum kind kind;
	unsigned first, last; /* units: of the space; of memory for DROP */
	unsigned delta;
	uint8_t perm;
};

/* What a unit means to whoever asked last; perm 0: nothing. */
struct unit {
	char *ptr;
	uint8_t perm;
};

/* @believed is as if there were no bound: what may still be in use somewhere. */
struct world {
	struct iotlb *tlb;
	uint64_t base;
	unsigned shift; /* a unit is 2^shift bytes */
	unsigned n;
	bool evicts;
	struct unit believed[SPACE_MAX];
};

static inline uint64_t units(const struct world *w, uint64_t n)
{
	return n << w->shift;
}

static inline struct range world_range(const struct world *w, unsigned first, unsigned last)
{
	return (struct range){ w->base + units(w, first), w->base + units(w, last + 1) - 1 };
}

/*
 * Where unit i under offset d is, which is never touched: no two offsets meet.
 * The last is not that of a page. Units of 2^60 have one, for there is no room.
 */
static inline char *memory(const struct world *w, unsigned d, unsigned i)
{
	uint64_t start = w->shift < 40 ? (d + UINT64_C(1)) << 44 : 0;

	return (char *)(uintptr_t)(start + (d == DELTAS - 1 ? 16 : 0) + units(w, i));
}

static inline bool oracle_update(struct world *w, const struct op *op)
{
	bool lost = false;

	for (unsigned i = op->first; i <= op->last; i++) {
		struct unit *b = &w->believed[i];
		char *ptr = memory(w, op->delta, i);

		lost |= b->perm && (b->ptr != ptr || (b->perm & ~op->perm));
		*b = (struct unit){ ptr, op->perm };
	}
	return lost;
}

static inline bool oracle_invalidate(struct world *w, const struct op *op)
{
	bool any = false;

	for (unsigned i = op->first; i <= op->last; i++) {
		any |= w->believed[i].perm != 0;
		w->believed[i].perm = 0;
	}
	return any;
}

static inline bool in_memory(const struct world *w, const struct unit *b, const struct op *op)
{
	return b->perm && b->ptr >= memory(w, op->delta, op->first) &&
	       b->ptr <= memory(w, op->delta, op->last);
}

/* Everything in @gone is forgotten by whoever may have used it, evicted or not. */
static inline void oracle_forget_evicted(struct world *w, struct range gone)
{
	struct walk walk;

	for (unsigned i = 0; i < w->n; i++)
		if (range_has(gone, w->base + units(w, i)) &&
		    !iotlb_lookup(w->tlb, w->base + units(w, i), w->believed[i].perm, &walk))
			w->believed[i].perm = 0;
}

/* Also checks the range that is returned. */
static inline bool oracle_drop(struct world *w, const struct op *op, bool got, struct range gone)
{
	unsigned first = w->n, last = 0;
	struct range want;

	for (unsigned i = 0; i < w->n; i++) {
		if (!in_memory(w, &w->believed[i], op))
			continue;
		if (first == w->n)
			first = i;
		last = i;
		w->believed[i].perm = 0;
	}
	if (first == w->n)
		return false;
	assert_true(got);
	want = world_range(w, first, last);
	if (w->evicts)
		assert_true(range_contains(gone, want));
	else
		assert_memory_equal(&gone, &want, sizeof(gone));
	return true;
}

static inline void world_apply(struct world *w, const struct op *op)
{
	struct range range = world_range(w, op->first, op->last);
	struct range gone = { 0 };
	bool got = false, want = false;

	switch (op->kind) {
	case UPDATE:
		got = iotlb_update(w->tlb, range, memory(w, op->delta, op->first), op->perm);
		want = oracle_update(w, op);
		break;
	case INVALIDATE:
		got = iotlb_invalidate(w->tlb, range);
		want = oracle_invalidate(w, op);
		break;
	case DROP:
		got = iotlb_drop_memory(w->tlb, memory(w, op->delta, op->first),
		                        units(w, op->last - op->first + 1), &gone);
		want = oracle_drop(w, op, got, gone);
		if (w->evicts && got)
			oracle_forget_evicted(w, gone);
		break;
	}
	/* With evictions it may warn in vain, but never fail to. */
	if (want || !w->evicts)
		assert_int_equal(got, want);
}

static inline bool alike(const struct world *w, unsigned i, unsigned j)
{
	const struct unit *a = &w->believed[i], *b = &w->believed[j];

	return a->perm == b->perm &&
	       (uintptr_t)a->ptr - units(w, i) == (uintptr_t)b->ptr - units(w, j);
}

/* @n units but for @offset bytes; the whole space counts one less. */
static inline uint64_t distance(const struct world *w, unsigned n, uint64_t offset)
{
	uint64_t bytes = units(w, n) - offset;

	return bytes ? bytes : UINT64_MAX;
}

/* At @offset into unit @i. */
static inline bool piece_is_right(const struct world *w, unsigned i, uint64_t offset,
                                  const struct walk *walk)
{
	unsigned first = i, last = i;
	uint64_t before, after;

	if (walk->ptr != w->believed[i].ptr + offset || walk->perm != w->believed[i].perm)
		return false;
	while (first > 0 && alike(w, first - 1, i))
		first--;
	while (last + 1 < w->n && alike(w, last + 1, i))
		last++;
	before = units(w, i - first) + offset;
	after = distance(w, last - i + 1, offset);
	if (!w->evicts)
		return walk->before == before && walk->after == after;
	return walk->before <= before && walk->after >= 1 && walk->after <= after;
}

/* Nothing that gives @perm may be declared part of a hole. */
static inline bool hole_is_right(const struct world *w, unsigned i, uint64_t offset, uint8_t perm,
                                 uint64_t after)
{
	struct walk walk;

	for (unsigned j = i; j < w->n && (j == i || units(w, j - i) - offset < after); j++) {
		if (j > i && w->evicts && iotlb_lookup(w->tlb, w->base + units(w, j), perm, &walk))
			return false;
		if (!w->evicts && (w->believed[j].perm & perm) == perm)
			return false;
	}
	return after > 0;
}

static inline bool unit_is_right(const struct world *w, unsigned i, uint64_t offset, uint8_t perm)
{
	bool want = (w->believed[i].perm & perm) == perm;
	struct walk walk;

	if (iotlb_lookup(w->tlb, w->base + units(w, i) + offset, perm, &walk))
		return want && piece_is_right(w, i, offset, &walk);
	return (!want || w->evicts) && hole_is_right(w, i, offset, perm, walk.after);
}

/* By the first byte of each, and by the last one. */
static inline void world_check(const struct world *w)
{
	bool right = iotlb_check(w->tlb);

	for (unsigned i = 0; i < w->n; i++)
		for (uint8_t perm = PERM_READ; perm <= PERM_RW; perm++)
			right = right && unit_is_right(w, i, 0, perm) &&
			        (!w->shift || unit_is_right(w, i, units(w, 1) - 1, perm));
	assert_true(right);
}

static inline void world_start(struct world *w, uint64_t base, unsigned n)
{
	iotlb_flush(w->tlb);
	w->base = base;
	w->n = n;
	memset(w->believed, 0, sizeof(w->believed));
}

#endif
