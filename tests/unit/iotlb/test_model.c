/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOTLB against a map of single bytes: every short sequence of operations
 * in a small space, and long random ones with bounds small enough to evict.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "iotlb/iotlb.h"

#define SPACE_MAX 24u
#define DELTAS    3u

/* Byte i under offset d is memory[d][i]: no two offsets meet in memory. */
static char memory[DELTAS][SPACE_MAX];

enum kind {
	UPDATE,
	INVALIDATE,
	DROP,
};

struct op {
	enum kind kind;
	unsigned first, last; /* of the space; of memory for DROP */
	unsigned delta;
	uint8_t perm;
};

/* What a byte means to whoever asked last; perm 0: nothing. */
struct byte {
	char *ptr;
	uint8_t perm;
};

/* @believed is as if there were no bound: what may still be in use somewhere. */
struct world {
	struct iotlb *tlb;
	uint64_t base;
	unsigned n;
	bool evicts;
	struct byte believed[SPACE_MAX];
};

static struct range world_range(const struct world *w, unsigned first, unsigned last)
{
	return (struct range){ w->base + first, w->base + last };
}

static bool oracle_update(struct world *w, const struct op *op)
{
	bool lost = false;

	for (unsigned i = op->first; i <= op->last; i++) {
		struct byte *b = &w->believed[i];
		char *ptr = &memory[op->delta][i];

		lost |= b->perm && (b->ptr != ptr || (b->perm & ~op->perm));
		*b = (struct byte){ ptr, op->perm };
	}
	return lost;
}

static bool oracle_invalidate(struct world *w, const struct op *op)
{
	bool any = false;

	for (unsigned i = op->first; i <= op->last; i++) {
		any |= w->believed[i].perm != 0;
		w->believed[i].perm = 0;
	}
	return any;
}

static bool in_memory(const struct byte *b, const struct op *op)
{
	return b->perm && b->ptr >= &memory[op->delta][op->first] &&
	       b->ptr <= &memory[op->delta][op->last];
}

/* Everything in @gone is forgotten by whoever may have used it, evicted or not. */
static void oracle_forget_evicted(struct world *w, struct range gone)
{
	struct walk walk;

	for (unsigned i = 0; i < w->n; i++)
		if (range_has(gone, w->base + i) &&
		    !iotlb_lookup(w->tlb, w->base + i, w->believed[i].perm, &walk))
			w->believed[i].perm = 0;
}

/* Also checks the range that is returned. */
static bool oracle_drop(struct world *w, const struct op *op, bool got, struct range gone)
{
	unsigned first = w->n, last = 0;
	struct range want;

	for (unsigned i = 0; i < w->n; i++) {
		if (!in_memory(&w->believed[i], op))
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

static void world_apply(struct world *w, const struct op *op)
{
	struct range range = world_range(w, op->first, op->last);
	struct range gone = { 0 };
	bool got = false, want = false;

	switch (op->kind) {
	case UPDATE:
		got = iotlb_update(w->tlb, range, &memory[op->delta][op->first], op->perm);
		want = oracle_update(w, op);
		break;
	case INVALIDATE:
		got = iotlb_invalidate(w->tlb, range);
		want = oracle_invalidate(w, op);
		break;
	case DROP:
		got = iotlb_drop_memory(w->tlb, &memory[op->delta][op->first],
		                        op->last - op->first + 1, &gone);
		want = oracle_drop(w, op, got, gone);
		if (w->evicts && got)
			oracle_forget_evicted(w, gone);
		break;
	}
	/* With evictions it may warn in vain, but never fail to. */
	if (want || !w->evicts)
		assert_int_equal(got, want);
}

static bool alike(const struct world *w, unsigned i, unsigned j)
{
	const struct byte *a = &w->believed[i], *b = &w->believed[j];

	return a->perm == b->perm && a->ptr - &memory[0][0] - i == b->ptr - &memory[0][0] - j;
}

static bool piece_is_right(const struct world *w, unsigned i, const struct walk *walk)
{
	unsigned first = i, last = i;

	if (walk->ptr != w->believed[i].ptr || walk->perm != w->believed[i].perm)
		return false;
	while (first > 0 && alike(w, first - 1, i))
		first--;
	while (last + 1 < w->n && alike(w, last + 1, i))
		last++;
	if (!w->evicts)
		return walk->before == i - first && walk->after == last - i + 1;
	return walk->before <= i - first && walk->after >= 1 && walk->after <= last - i + 1;
}

/* No byte that gives @perm may be declared part of a hole. */
static bool hole_is_right(const struct world *w, unsigned i, uint8_t perm, uint64_t after)
{
	struct walk walk;

	for (unsigned j = i; j < w->n && j - i < after; j++) {
		if (w->evicts && iotlb_lookup(w->tlb, w->base + j, perm, &walk))
			return false;
		if (!w->evicts && (w->believed[j].perm & perm) == perm)
			return false;
	}
	return after > 0;
}

static bool byte_is_right(const struct world *w, unsigned i, uint8_t perm)
{
	bool want = (w->believed[i].perm & perm) == perm;
	struct walk walk;

	if (iotlb_lookup(w->tlb, w->base + i, perm, &walk))
		return want && piece_is_right(w, i, &walk);
	return (!want || w->evicts) && hole_is_right(w, i, perm, walk.after);
}

static void world_check(const struct world *w)
{
	bool right = iotlb_check(w->tlb);

	for (unsigned i = 0; i < w->n; i++)
		for (uint8_t perm = PERM_READ; perm <= PERM_RW; perm++)
			right = right && byte_is_right(w, i, perm);
	assert_true(right);
}

static void world_start(struct world *w, uint64_t base, unsigned n)
{
	iotlb_flush(w->tlb);
	w->base = base;
	w->n = n;
	memset(w->believed, 0, sizeof(w->believed));
}

struct menu {
	unsigned space;
	unsigned deltas;
	uint8_t perms[3];
	unsigned n_perms;
};

static struct op ops[1024];

static unsigned menu_ops(const struct menu *menu)
{
	unsigned n = 0;

	for (unsigned first = 0; first < menu->space; first++) {
		for (unsigned last = first; last < menu->space; last++) {
			ops[n++] = (struct op){ INVALIDATE, first, last, 0, 0 };
			for (unsigned d = 0; d < menu->deltas; d++)
				for (unsigned p = 0; p < menu->n_perms; p++)
					ops[n++] = (struct op){ UPDATE, first, last, d,
						                menu->perms[p] };
		}
	}
	assert_true(n <= sizeof(ops) / sizeof(ops[0]));
	return n;
}

static void all_sequences(const struct menu *menu, uint64_t base, unsigned length)
{
	struct world w = { .tlb = iotlb_new(2 * SPACE_MAX) };
	unsigned n = menu_ops(menu);
	uint64_t sequences = 1;

	assert_non_null(w.tlb);
	for (unsigned i = 0; i < length; i++)
		sequences *= n;
	for (uint64_t s = 0; s < sequences; s++) {
		uint64_t rest = s;

		world_start(&w, base, menu->space);
		for (unsigned i = 0; i < length; i++, rest /= n)
			world_apply(&w, &ops[rest % n]);
		/* Shorter ones have been checked by a shorter round. */
		world_check(&w);
	}
	iotlb_free(w.tlb);
}

static const struct menu everything = { 8, 3, { 1, 2, 3 }, 3 };

static void every_sequence_of_one_and_two(void **state)
{
	static const uint64_t bases[] = { 0, UINT64_MAX - 7 };

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		all_sequences(&everything, bases[i], 1);
		all_sequences(&everything, bases[i], 2);
	}
}

static void every_sequence_of_three(void **state)
{
	static const struct menu menu = { 8, 1, { 1, 3 }, 2 };

	all_sequences(&menu, UINT64_MAX - 7, 3);
}

static void every_sequence_of_three_with_other_memory(void **state)
{
	static const struct menu menu = { 5, 2, { 1, 3 }, 2 };

	all_sequences(&menu, 0, 3);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct op random_op(uint64_t *seed, unsigned space)
{
	uint64_t r = random_next(seed);
	unsigned a = r % space, b = (r >> 8) % space;
	unsigned dice = (r >> 16) % 16;
	struct op op = {
		.kind = dice < 11   ? UPDATE
		        : dice < 15 ? INVALIDATE
		                    : DROP,
		.first = a < b ? a : b,
		.last = a < b ? b : a,
		.delta = (r >> 24) % DELTAS,
		.perm = 1 + (r >> 32) % 3,
	};

	/* Short ranges, so that there are many entries. */
	if ((r >> 40) % 4 && op.last > op.first + 3)
		op.last = op.first + (r >> 44) % 4;
	return op;
}

static void random_rounds(uint64_t bound, bool evicts, uint64_t base, unsigned rounds)
{
	struct world w = { .tlb = iotlb_new(bound), .evicts = evicts };
	uint64_t seed = 0x9e3779b97f4a7c15u + bound;
	struct iotlb_stats stats;

	assert_non_null(w.tlb);
	world_start(&w, base, SPACE_MAX);
	for (unsigned i = 0; i < rounds; i++) {
		struct op op = random_op(&seed, SPACE_MAX);

		world_apply(&w, &op);
		world_check(&w);
		iotlb_stats(w.tlb, &stats);
		assert_true(stats.entries <= bound);
		/* Where nothing merged, what was inserted last is there. */
		if (op.kind == UPDATE)
			assert_true(
				iotlb_covers(w.tlb, world_range(&w, op.first, op.last), op.perm));
	}
	assert_int_equal(evicts, stats.evicted > 0);
	iotlb_free(w.tlb);
}

static void random_without_bound(void **state)
{
	random_rounds(2 * SPACE_MAX, false, UINT64_MAX - SPACE_MAX + 1, 15000);
}

static void F2_random_with_bounds(void **state)
{
	static const uint64_t bounds[] = { 1, 2, 5 };

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		random_rounds(bounds[i], true, 0, 15000);
		random_rounds(bounds[i], true, UINT64_MAX - SPACE_MAX + 1, 15000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sequence_of_one_and_two),
		cmocka_unit_test(every_sequence_of_three),
		cmocka_unit_test(every_sequence_of_three_with_other_memory),
		cmocka_unit_test(random_without_bound),
		cmocka_unit_test(F2_random_with_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
