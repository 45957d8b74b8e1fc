/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A number of hits of the front cache and nothing else, for a count of their
 * instructions: scripts/bench takes the difference of runs.
 *
 *	hits none|peek|translate N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iotlb/iotlb.h"
#include "memory/translate_inline.h"

#define PAGES  16u
#define LINES  4096u
#define BUFFER 64u

static volatile uint64_t sink;

static uint64_t address(uint64_t i)
{
	return i % PAGES * TRANSLATE_PAGE;
}

/* The loop alone. */
static void run_none(struct translate_view *view, uint64_t n)
{
	(void)view;
	for (uint64_t i = 0; i < n; i++)
		sink = address(i);
}

/* In line. */
static void run_peek(struct translate_view *view, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		char *ptr = translate_peek(view, address(i), PERM_RW);

		if (!ptr)
			abort();
		sink = (uintptr_t)ptr;
	}
}

/* By the call a ring makes for each buffer. */
static void run_translate(struct translate_view *view, uint64_t n)
{
	struct iov_list iov = { 0 };

	for (uint64_t i = 0; i < n; i++) {
		iov.n = 0;
		if (translate(view, address(i), BUFFER, PERM_RW, &iov, NULL))
			abort();
		sink = (uintptr_t)iov.iov[0].iov_base;
	}
	iov_list_done(&iov);
}

static void fill(struct translate_view *view, struct iotlb *tlb)
{
	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t iova = address(i);

		iotlb_update(tlb, (struct range){ iova, iova + TRANSLATE_OFFSET },
		             (char *)(uintptr_t)(2 * iova + TRANSLATE_PAGE), PERM_RW);
		if (translate(view, iova, BUFFER, PERM_RW, NULL, NULL))
			abort();
	}
}

static int usage(void)
{
	fputs("usage: hits none|peek|translate N\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct translate_view *view, uint64_t n);
	} modes[] = { { "none", run_none }, { "peek", run_peek }, { "translate", run_translate } };
	struct iotlb *tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);
	struct translate_view view;
	int status = -1;

	if (!tlb || translate_view_init(&view, LINES))
		return 1;
	translate_view_attach(&view, iotlb_walk, tlb, true);
	fill(&view, tlb);
	for (unsigned i = 0; argc == 3 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		modes[i].run(&view, strtoull(argv[2], NULL, 10));
		status = 0;
	}
	translate_view_done(&view);
	iotlb_free(tlb);
	return status ? usage() : 0;
}
