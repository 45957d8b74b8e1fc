/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device IOTLB: what a look-up costs through a worker's view, against a bare
 * array (the least there is) and a sorted list (what back-ends use); and what
 * the session pays for updates and invalidations. No entry merges with another,
 * and they are made in no order.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "iotlb/iotlb.h"
#include "list.h"
#include "memory/translate_inline.h"
#include "pairs.h"
#include "results.h"

#define LINES_DEFAULT 4096u /* front cache of a worker */
#define PAIRS         9u
#define SECONDS       0.05
#define LIST_MOST     2048u

#define PAGE_MASK     ((uint64_t)TRANSLATE_OFFSET)

/* Neighbours in iova are two pages apart in memory. Nothing is ever touched. */
static uint64_t uva_of(uint64_t page)
{
	return UINT64_C(0x100000000000) + page * 2 * TRANSLATE_PAGE;
}

struct floor_entry {
	uint64_t tag;
	uint64_t delta;
};

struct bench {
	uint64_t entries; /* a power of two */
	struct iotlb *tlb;
	struct translate_view view;
	struct iov_list iov;
	struct floor_entry *array;
	struct list_tlb list;
	uint64_t seed;
};

/* Every page once, in no order: the multiplier is odd. */
static uint64_t shuffle(const struct bench *b, uint64_t i)
{
	return i * UINT64_C(0x9e3779b97f4a7c15) & (b->entries - 1);
}

static void page_update(struct bench *b, uint64_t page)
{
	struct range range = { page * TRANSLATE_PAGE, page * TRANSLATE_PAGE + PAGE_MASK };

	iotlb_update(b->tlb, range, (char *)(uintptr_t)uva_of(page), PERM_RW);
}

static bool bench_init(struct bench *b, uint64_t entries, unsigned lines)
{
	*b = (struct bench){ .entries = entries, .seed = 88172645463325252u };
	b->tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);
	b->array = calloc(entries, sizeof(*b->array));
	if (!b->tlb || !b->array || translate_view_init(&b->view, lines) ||
	    !list_init(&b->list, LIST_MOST))
		return false;
	translate_view_attach(&b->view, iotlb_walk, b->tlb, true);
	for (uint64_t i = 0; i < entries; i++) {
		uint64_t page = shuffle(b, i), iova = page * TRANSLATE_PAGE;

		page_update(b, page);
		b->array[page] = (struct floor_entry){ iova | PERM_RW, uva_of(page) - iova };
		if (entries <= LIST_MOST)
			list_insert(&b->list, iova, uva_of(page), TRANSLATE_PAGE, PERM_RW);
	}
	return true;
}

static void bench_done(struct bench *b)
{
	iotlb_free(b->tlb);
	translate_view_done(&b->view);
	iov_list_done(&b->iov);
	free(b->array);
	list_done(&b->list);
}

static uint64_t random_addr(struct bench *b)
{
	uint64_t r = pairs_random(&b->seed);

	return (r >> 20 & (b->entries - 1)) * TRANSLATE_PAGE + (r & PAGE_MASK & ~UINT64_C(63));
}

static uint64_t run_floor(void *opaque, uint64_t n)
{
	struct bench *b = opaque;
	uint64_t sum = 0;

	while (n--) {
		uint64_t addr = random_addr(b);
		const struct floor_entry *entry =
			&b->array[addr / TRANSLATE_PAGE & (b->entries - 1)];

		if (entry->tag == ((addr & ~PAGE_MASK) | PERM_RW))
			sum += entry->delta + addr;
	}
	return sum;
}

/* A hit in line, the rest by translate(). */
static uint64_t run_lookup(void *opaque, uint64_t n)
{
	struct bench *b = opaque;
	uint64_t sum = 0;

	while (n--) {
		uint64_t addr = random_addr(b);
		char *ptr = translate_peek(&b->view, addr, PERM_RW);

		if (!ptr) {
			b->iov.n = 0;
			if (translate(&b->view, addr, 64, PERM_RW, &b->iov, NULL))
				abort();
			ptr = b->iov.iov[0].iov_base;
		}
		sum += (uint64_t)(uintptr_t)ptr;
	}
	return sum;
}

/* What a ring does for a buffer. */
static uint64_t run_translate(void *opaque, uint64_t n)
{
	struct bench *b = opaque;
	uint64_t sum = 0;

	while (n--) {
		b->iov.n = 0;
		if (translate(&b->view, random_addr(b), 64, PERM_RW, &b->iov, NULL))
			abort();
		sum += (uint64_t)(uintptr_t)b->iov.iov[0].iov_base;
	}
	return sum;
}

static uint64_t run_list(void *opaque, uint64_t n)
{
	struct bench *b = opaque;
	uint64_t sum = 0;

	while (n--)
		sum += list_find(&b->list, random_addr(b), PERM_RW);
	return sum;
}

/* An unmap and a map of the same page, as a strict driver does. */
static uint64_t run_change(void *opaque, uint64_t n)
{
	struct bench *b = opaque;

	while (n--) {
		uint64_t page = random_addr(b) / TRANSLATE_PAGE;
		uint64_t iova = page * TRANSLATE_PAGE;

		iotlb_invalidate(b->tlb, (struct range){ iova, iova + PAGE_MASK });
		page_update(b, page);
	}
	return b->seed;
}

/* A multi-queue device is told of each page once per queue pair. */
static uint64_t run_invalidate_nothing(void *opaque, uint64_t n)
{
	struct bench *b = opaque;
	uint64_t sum = 0;

	while (n--) {
		uint64_t iova = random_addr(b) + b->entries * TRANSLATE_PAGE;

		sum += iotlb_invalidate(b->tlb, (struct range){ iova, iova + 63 });
	}
	return sum;
}

static int report(const char *what, uint64_t entries, const struct pairing *p, const char *against,
                  double bar)
{
	char name[64];

	snprintf(name, sizeof(name), "%s, %llu entries", what, (unsigned long long)entries);
	return result_add(&(struct result){ "iotlb", name, p->ns, "ns", against, p->ratio, bar });
}

static int measure(struct bench *b, const char *what, pairs_fn *run, pairs_fn *against,
                   const char *name, double bar)
{
	struct contender first = { run, b }, second = { against, b };
	struct pairing pairing;

	pairs_measure(&first, &second, PAIRS, SECONDS, &pairing);
	return report(what, b->entries, &pairing, name, bar);
}

static int measure_alone(struct bench *b, const char *what, pairs_fn *run)
{
	struct contender contender = { run, b };
	struct pairing pairing = { .ns = pairs_alone(&contender, PAIRS, SECONDS),
		                   .ratio = RESULT_NONE };

	return report(what, b->entries, &pairing, NULL, RESULT_NONE);
}

/* One number of entries, with the front cache a worker has. */
static int bench_default(uint64_t entries, double bar)
{
	struct bench b;
	int err = 0;

	if (!bench_init(&b, entries, LINES_DEFAULT))
		return 1;
	err |= measure(&b, "lookup", run_lookup, run_floor, "array", bar);
	err |= measure(&b, "translate()", run_translate, run_floor, "array", RESULT_NONE);
	if (entries <= LIST_MOST)
		err |= measure(&b, "lookup", run_lookup, run_list, "sorted list",
		               entries == LIST_MOST ? 1 / 300.0 : RESULT_NONE);
	if (entries >= LIST_MOST) {
		err |= measure_alone(&b, "invalidate + update", run_change);
		err |= measure_alone(&b, "invalidate of nothing", run_invalidate_nothing);
	}
	bench_done(&b);
	return err;
}

/* The same with a line for every entry. */
static int bench_fitting(uint64_t entries)
{
	struct bench b;
	int err;

	if (!bench_init(&b, entries, (unsigned)entries))
		return 1;
	for (uint64_t page = 0; page < entries; page++)
		translate(&b.view, page * TRANSLATE_PAGE, 1, PERM_RW, NULL, NULL);
	err = measure(&b, "lookup, fitting front cache", run_lookup, run_floor, "array", 2.5);
	bench_done(&b);
	return err;
}

int main(void)
{
	static const struct {
		uint64_t entries;
		double bar;
	} sizes[] = { { 16, 2.0 }, { 2048, 2.5 }, { 65536, 5 }, { UINT64_C(1) << 20, 8 } };
	int err = 0;

	pairs_pin();
	printf("front cache: %u lines unless said otherwise; %u pairs of %.0f ms each\n",
	       LINES_DEFAULT, PAIRS, SECONDS * 1000);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		err |= bench_default(sizes[i].entries, sizes[i].bar);
	err |= bench_fitting(65536);
	err |= bench_fitting(UINT64_C(1) << 20);
	if (err)
		fprintf(stderr, "iotlb: the figures are not complete\n");
	return err != 0;
}
