/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What updates and invalidations cost the session: a million entries, from which
 * batches of pages at random are taken and put back. No worker holds anything.
 */
#include <stdlib.h>

#include "figures.h"
#include "sections.h"
#include "set.h"

#define BATCH 1024u

struct change {
	struct set *set;
	uint64_t at; /* of the next batch; no page comes twice in one */
	bool tree;
	bool updates; /* are what counts, else invalidations */
};

static uint64_t invalidate_batch(const struct change *change, uint64_t n)
{
	uint64_t start = pairs_now();

	for (uint64_t k = 0; k < n; k++) {
		uint64_t i = set_shuffle(change->set, change->at + k);

		if (change->tree)
			tree_invalidate(&change->set->tree, set_entry(change->set, i).range);
		else if (!set_invalidate(change->set, i))
			abort();
	}
	return pairs_now() - start;
}

static uint64_t update_batch(const struct change *change, uint64_t n)
{
	uint64_t start = pairs_now();

	for (uint64_t k = 0; k < n; k++) {
		uint64_t i = set_shuffle(change->set, change->at + k);
		struct set_entry entry = set_entry(change->set, i);

		if (!change->tree)
			set_update(change->set, i);
		else if (!tree_update(&change->set->tree, entry.range, entry.uaddr, PERM_RW))
			abort();
	}
	return pairs_now() - start;
}

static uint64_t run_change(void *opaque, uint64_t n)
{
	struct change *change = opaque;
	uint64_t ns = 0;

	while (n) {
		uint64_t batch = n < BATCH ? n : BATCH;
		uint64_t invalidations = invalidate_batch(change, batch);
		uint64_t updates = update_batch(change, batch);

		ns += change->updates ? updates : invalidations;
		change->at += batch;
		n -= batch;
	}
	return ns;
}

/* A multi-queue device is told of each page once per queue pair. */
static uint64_t run_nothing(void *opaque, uint64_t n)
{
	struct set *set = opaque;
	uint64_t sum = 0;

	while (n--) {
		uint64_t iova = set_dense_addr(set, pairs_nth(set->at++)) + set->n * TRANSLATE_PAGE;

		sum += iotlb_invalidate(set->tlb, (struct range){ iova, iova + 63 });
	}
	return sum;
}

int bench_change(void)
{
	struct set set;
	struct change ours[] = { { &set, .updates = true }, { &set } };
	struct change tree[] = { { &set, .tree = true, .updates = true }, { &set, .tree = true } };
	const struct contender contenders[] = {
		{ "update", run_change, &ours[0], true },
		{ "tree", run_change, &tree[0], true },
		{ "invalidate", run_change, &ours[1], true },
		{ "tree", run_change, &tree[1], true },
	};
	const struct figure figures[] = {
		{ "update, 1048576 entries", 0, 1, { BAR_MOST, 1.0 } },
		{ "invalidate, 1048576 entries", 2, 3, { BAR_MOST, 1.0 } },
	};
	const struct contender nothing = { "nothing", run_nothing, &set };
	const struct figure nothing_figure = { "invalidate of what is not there", 0, FIGURE_ALONE };
	int err;

	set_init(&set, SET_MILLION, SET_DENSE, 0, true);
	err = figures_measure(IOTLB_BENCH, contenders, 4, figures, 2);
	err |= figures_measure(IOTLB_BENCH, &nothing, 1, &nothing_figure, 1);
	set_done(&set);
	return err;
}
