/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups at random through a worker's view: a hit of the front cache in line,
 * the rest by translate(). And whole chains, as a ring has them translated.
 */
#include <stdio.h>
#include <stdlib.h>

#include "figures.h"
#include "sections.h"
#include "set.h"

#define CHAIN         32u
#define BUFFER        64u
#define NAME_MAX      64u

#define ALWAYS_INLINE inline __attribute__((always_inline))

static uint64_t run_floor(void *opaque, uint64_t n)
{
	struct set *set = opaque;
	uint64_t at = set->at, end = at + n, sum = 0;

	set->at = end;
	for (; at < end; at++) {
		uint64_t addr = set_dense_addr(set, pairs_nth(at));
		const struct floor_entry *entry = &set->floor[addr / TRANSLATE_PAGE & (set->n - 1)];

		if (entry->tag == ((addr & ~(uint64_t)TRANSLATE_OFFSET) | PERM_RW))
			sum += entry->delta + addr;
	}
	return sum;
}

static ALWAYS_INLINE uint64_t lookups(struct set *set, struct translate_view *view,
                                      uint64_t (*addr_of)(const struct set *set, uint64_t r),
                                      uint64_t n)
{
	/* Of its own, as the baselines have it: else it would be loaded anew after each call. */
	const struct set fixed = *set;
	uint64_t at = set->at, end = at + n, sum = 0;
	struct iov_list iov = { 0 };

	set->at = end;
	for (; at < end; at++) {
		uint64_t addr = addr_of(&fixed, pairs_nth(at));
		char *ptr = translate_peek(view, addr, PERM_RW);

		if (!ptr) {
			iov.n = 0;
			if (translate(view, addr, BUFFER, PERM_RW, &iov, NULL))
				abort();
			ptr = iov.iov[0].iov_base;
		}
		sum += (uint64_t)(uintptr_t)ptr;
	}
	iov_list_done(&iov);
	return sum;
}

static uint64_t run_dense(void *opaque, uint64_t n)
{
	struct set *set = opaque;

	return lookups(set, &set->view, set_dense_addr, n);
}

static uint64_t run_sparse(void *opaque, uint64_t n)
{
	struct set *set = opaque;

	return lookups(set, &set->view, set_sparse_addr, n);
}

static uint64_t run_mixed(void *opaque, uint64_t n)
{
	struct set *set = opaque;

	return lookups(set, &set->view, set_mixed_addr, n);
}

/* A line for every entry. */
struct fitting {
	struct set *set;
	struct translate_view view;
};

static uint64_t run_fitting(void *opaque, uint64_t n)
{
	struct fitting *fitting = opaque;

	return lookups(fitting->set, &fitting->view, set_dense_addr, n);
}

static ALWAYS_INLINE uint64_t tree_lookups(struct set *set,
                                           uint64_t (*addr_of)(const struct set *set, uint64_t r),
                                           uint64_t n)
{
	uint64_t at = set->at, end = at + n, sum = 0;

	set->at = end;
	for (; at < end; at++)
		sum += tree_find(&set->tree, addr_of(set, pairs_nth(at)), PERM_RW);
	return sum;
}

static uint64_t run_tree(void *opaque, uint64_t n)
{
	return tree_lookups(opaque, set_dense_addr, n);
}

static uint64_t run_tree_sparse(void *opaque, uint64_t n)
{
	return tree_lookups(opaque, set_sparse_addr, n);
}

static uint64_t run_tree_mixed(void *opaque, uint64_t n)
{
	return tree_lookups(opaque, set_mixed_addr, n);
}

static uint64_t run_list(void *opaque, uint64_t n)
{
	struct set *set = opaque;
	uint64_t at = set->at, end = at + n, sum = 0;

	set->at = end;
	for (; at < end; at++)
		sum += sorted_find(&set->list, set_dense_addr(set, pairs_nth(at)), PERM_RW);
	return sum;
}

/* What a ring does for the buffers of a chain. */
static uint64_t run_chains(void *opaque, uint64_t n)
{
	struct set *set = opaque;
	uint64_t sum = 0;

	while (n--) {
		set->iov.n = 0;
		for (unsigned i = 0; i < CHAIN; i++)
			if (translate(&set->view, set_dense_addr(set, pairs_nth(set->at++)), BUFFER,
			              PERM_RW, &set->iov, NULL))
				abort();
		sum += set->iov.n;
	}
	return sum;
}

enum {
	OURS,
	FLOOR,
	TREE,
	FITTING,
	LIST = TREE,
};

static int bench_16(void)
{
	struct set set;
	const struct contender contenders[] = {
		{ "look-up", run_dense, &set },
		{ "array", run_floor, &set },
	};
	const struct figure figure = { "look-up, 16 entries", OURS, FLOOR, { BAR_MOST, 2.0 } };
	int err;

	set_init(&set, 16, SET_DENSE, SET_LINES, false);
	err = figures_measure(IOTLB_BENCH, contenders, 2, &figure, 1);
	set_done(&set);
	return err;
}

static int bench_2048(void)
{
	struct set set;
	const struct contender contenders[] = {
		{ "look-up", run_dense, &set },
		{ "array", run_floor, &set },
		{ "sorted list", run_list, &set },
	};
	const struct figure figures[] = {
		{ "look-up, 2048 entries", OURS, FLOOR, { BAR_MOST, 2.5 } },
		{ "look-up, 2048 entries, speed", OURS, LIST, { BAR_LEAST, 300 }, .speed = true },
	};
	int err;

	set_init(&set, SET_LIST, SET_DENSE, SET_LINES, true);
	err = figures_measure(IOTLB_BENCH, contenders, 3, figures, 2);
	set_done(&set);
	return err;
}

static int bench_many(uint64_t n, double bar)
{
	struct set set;
	struct fitting fitting = { .set = &set };
	const struct contender contenders[] = {
		{ "look-up", run_dense, &set },
		{ "array", run_floor, &set },
		{ "tree", run_tree, &set },
		{ "fitting front cache", run_fitting, &fitting },
	};
	char names[2][NAME_MAX];
	const struct figure figures[] = {
		{ names[0], OURS, FLOOR, { BAR_MOST, bar } },
		{ names[0], OURS, TREE, { BAR_MOST, 0.5 } },
		{ names[1], FITTING, FLOOR, { BAR_MOST, 2.5 } },
	};
	int err;

	snprintf(names[0], NAME_MAX, "look-up, %llu entries", (unsigned long long)n);
	snprintf(names[1], NAME_MAX, "look-up, %llu entries, a line for each",
	         (unsigned long long)n);
	set_init(&set, n, SET_DENSE, SET_LINES, true);
	set_fitting_view(&set, &fitting.view);
	err = figures_measure(IOTLB_BENCH, contenders, 4, figures, 3);
	translate_view_done(&fitting.view);
	set_done(&set);
	return err;
}

/* Without a bar. */
static int bench_layout(uint64_t n, enum set_layout layout, const char *name, pairs_fn *ours,
                        pairs_fn *tree)
{
	struct set set;
	const struct contender contenders[] = {
		{ "look-up", ours, &set },
		{ "tree", tree, &set },
	};
	const struct figure figure = { name, OURS, 1 };
	int err;

	set_init(&set, n, layout, SET_LINES, true);
	err = figures_measure(IOTLB_BENCH, contenders, 2, &figure, 1);
	set_done(&set);
	return err;
}

static int bench_chains(uint64_t n)
{
	struct set set;
	const struct contender contender = { "chains", run_chains, &set };
	char name[NAME_MAX];
	const struct figure figure = { .name = name, .against = FIGURE_ALONE, .unit = "ns/chain" };
	int err;

	snprintf(name, sizeof(name), "chain of %u buffers, %llu entries", CHAIN,
	         (unsigned long long)n);
	set_init(&set, n, SET_DENSE, SET_LINES, false);
	err = figures_measure(IOTLB_BENCH, &contender, 1, &figure, 1);
	set_done(&set);
	return err;
}

int bench_lookup(void)
{
	int err = bench_16() | bench_2048();

	err |= bench_many(65536, 5) | bench_many(SET_MILLION, 8);
	err |= bench_layout(SET_MILLION, SET_SPARSE, "look-up, 1048576 entries, scattered",
	                    run_sparse, run_tree_sparse);
	err |= bench_layout(65536, SET_MIXED, "look-up, 65536 entries, 4 KiB to 1 GiB", run_mixed,
	                    run_tree_mixed);
	err |= bench_chains(SET_LIST) | bench_chains(65536);
	return err;
}
