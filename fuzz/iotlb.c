/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any sequence of updates, invalidations and drops on an IOTLB, held against a
 * map of single bytes after each; with bounds so small that it must evict, too.
 */
#include "input.h"
#include "unit/iotlb/world.h"

#define OPS_MAX 64u

static const uint64_t bounds[] = { 1, 2, 3, 5, 9, 2 * SPACE_MAX };

static struct op next_op(struct input *input)
{
	unsigned a = input_below(input, SPACE_MAX), b = input_below(input, SPACE_MAX);
	unsigned dice = input_below(input, 16), rest = input_u8(input);

	return (struct op){
		.kind = dice < 11   ? UPDATE
		        : dice < 14 ? INVALIDATE
		                    : DROP,
		.first = a < b ? a : b,
		.last = a < b ? b : a,
		.delta = rest % DELTAS,
		.perm = (uint8_t)(1 + rest / DELTAS % 3),
	};
}

static void check_covers(const struct world *w, const struct op *op)
{
	struct range range = world_range(w, op->first, op->last);

	for (uint8_t perm = PERM_READ; perm <= PERM_RW; perm++) {
		bool all = true;

		for (unsigned i = op->first; i <= op->last; i++)
			all = all && (w->believed[i].perm & perm) == perm;
		if (w->evicts)
			assert_true(all || !iotlb_covers(w->tlb, range, perm));
		else
			assert_int_equal(iotlb_covers(w->tlb, range, perm), all);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	unsigned choice = input_u8(&input);
	uint64_t bound = bounds[choice % (sizeof(bounds) / sizeof(bounds[0]))];
	struct world w = { .tlb = iotlb_new(bound), .evicts = bound < SPACE_MAX };
	struct iotlb_stats stats;

	assert_non_null(w.tlb);
	/* Across pages in the middle, and at both ends of the space. */
	world_start(&w, (const uint64_t[]){ 0, UINT64_MAX - SPACE_MAX + 1, 0xfef }[choice / 8 % 3],
	            SPACE_MAX);
	for (unsigned n = 0; n < OPS_MAX && !input_is_over(&input); n++) {
		struct op op = next_op(&input);

		world_apply(&w, &op);
		world_check(&w);
		check_covers(&w, &op);
		iotlb_stats(w.tlb, &stats);
		assert_true(stats.entries <= bound);
		if (op.kind == UPDATE)
			assert_true(
				iotlb_covers(w.tlb, world_range(&w, op.first, op.last), op.perm));
	}
	iotlb_free(w.tlb);
	return 0;
}
