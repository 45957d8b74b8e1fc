/* SPDX-License-Identifier: BSD-3-Clause */
#include "set.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define UADDR UINT64_C(0x100000000000)

static void must(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "iotlb: %s\n", what);
	exit(1);
}

/* Neighbours in iova are two pages apart in memory. */
static uint64_t page_uaddr(const struct set *set, uint64_t i)
{
	if (set->memory)
		return (uintptr_t)set->memory + (2 * i & (SET_MEMORY_PAGES - 1)) * TRANSLATE_PAGE;
	return UADDR + 2 * i * TRANSLATE_PAGE;
}

static struct set_entry mixed_entry(const struct set *set, uint64_t i)
{
	uint64_t each = set->n / SET_SIZES;
	unsigned kind = (unsigned)(i / each), shift = set_mixed_shift(kind);
	uint64_t start = ((uint64_t)kind << 50) + (2 * (i % each) << shift);

	/* The distance is another for each. */
	return (struct set_entry){
		.range = { start, start + (UINT64_C(1) << shift) - 1 },
		.uaddr = UADDR + (3 * (i % each) << shift),
	};
}

struct set_entry set_entry(const struct set *set, uint64_t i)
{
	uint64_t page = set->layout == SET_SPARSE ? set_sparse_page(i) : i;
	uint64_t start = page * TRANSLATE_PAGE;

	if (set->layout == SET_MIXED)
		return mixed_entry(set, i);
	return (struct set_entry){
		.range = { start, start + TRANSLATE_OFFSET },
		.uaddr = page_uaddr(set, i),
	};
}

void set_update(struct set *set, uint64_t i)
{
	struct set_entry entry = set_entry(set, i);

	iotlb_update(set->tlb, entry.range, (char *)(uintptr_t)entry.uaddr, PERM_RW);
}

bool set_invalidate(struct set *set, uint64_t i)
{
	return iotlb_invalidate(set->tlb, set_entry(set, i).range);
}

static void add_baselines(struct set *set, uint64_t i)
{
	struct set_entry entry = set_entry(set, i);

	must(tree_update(&set->tree, entry.range, entry.uaddr, PERM_RW), "no memory");
	if (set->layout == SET_DENSE && set->n <= SET_LIST)
		sorted_insert(&set->list, entry.range.start, entry.uaddr, TRANSLATE_PAGE, PERM_RW);
}

void set_init(struct set *set, uint64_t n, enum set_layout layout, unsigned lines, bool baselines)
{
	*set = (struct set){ .n = n, .layout = layout };
	set->tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);
	set->floor = calloc(n, sizeof(*set->floor));
	must(set->tlb && set->floor && sorted_init(&set->list, SET_LIST), "no memory");
	must(translate_view_init(&set->view, lines) == 0, "no memory");
	translate_view_attach(&set->view, iotlb_walk, set->tlb, true);
	tree_init(&set->tree);
	for (uint64_t k = 0; k < n; k++) {
		uint64_t i = set_shuffle(set, k);
		struct set_entry entry = set_entry(set, i);

		set_update(set, i);
		set->floor[i] = (struct floor_entry){ entry.range.start | PERM_RW,
			                              entry.uaddr - entry.range.start };
		if (baselines)
			add_baselines(set, i);
	}
}

void set_done(struct set *set)
{
	if (set->memory)
		munmap(set->memory, SET_MEMORY_PAGES * TRANSLATE_PAGE);
	iotlb_free(set->tlb);
	translate_view_done(&set->view);
	iov_list_done(&set->iov);
	free(set->floor);
	sorted_done(&set->list);
	tree_done(&set->tree);
}

void set_make_memory(struct set *set)
{
	set->memory = mmap(NULL, SET_MEMORY_PAGES * TRANSLATE_PAGE, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	must(set->memory != MAP_FAILED, "no memory");
	for (uint64_t k = 0; k < set->n; k++)
		set_update(set, set_shuffle(set, k));
	translate_forget(&set->view, RANGE_ALL);
}

void set_fitting_view(struct set *set, struct translate_view *ret)
{
	must(translate_view_init(ret, (unsigned)set->n) == 0, "no memory");
	translate_view_attach(ret, iotlb_walk, set->tlb, true);
	for (uint64_t page = 0; page < set->n; page++)
		must(translate(ret, page * TRANSLATE_PAGE, 1, PERM_RW, NULL, NULL) == 0,
		     "a page is not there");
}
