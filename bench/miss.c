/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request none of whose pages the back-end knows, from its kick to its end: 32
 * pages that are nowhere neighbours, against one; and how often sendmsg(2) is
 * called for the 32. The library at both ends, each in a thread of its own.
 *
 * Threads: the section's own is the front-end's.
 */
#include <stdlib.h>
#include <string.h>

#include "echo.h"
#include "figures.h"
#include "results.h"
#include "sections.h"
#include "sent.h"

#define PAGE    4096u
#define PAGES   32u
#define IOVA    UINT64_C(0x10000000)
#define STRIDE  UINT64_C(0x1235000)
#define COUNTED 999u

struct bench {
	struct echo *echo;
	unsigned pages;
};

static uint64_t page_iova(unsigned i)
{
	return IOVA + i * STRIDE;
}

/* In memory the pages lie in another order, with gaps. */
static void map(struct bench *b)
{
	for (unsigned i = 0; i < b->pages; i++) {
		uint64_t uva = b->echo->uva + (uint64_t)(i * 13 % PAGES * 2) * PAGE;

		if (vhu_iommu_map(b->echo->iommu, page_iova(i), PAGE, uva, VHU_PERM_RW))
			abort();
	}
}

/* One request in ns, by whose end nothing is left of it. */
static uint64_t request(struct bench *b)
{
	struct vhu_buffer buffers[PAGES];
	uint64_t start, ns;

	for (unsigned i = 0; i < b->pages; i++)
		buffers[i] = (struct vhu_buffer){ page_iova(i), 512, false };
	map(b);
	start = pairs_now();
	echo_request(b->echo, buffers, b->pages);
	ns = pairs_now() - start;
	if (vhu_iommu_unmap(b->echo->iommu, IOVA, PAGES * STRIDE))
		abort();
	return ns;
}

static uint64_t run_requests(void *opaque, uint64_t n)
{
	uint64_t ns = 0;

	while (n--)
		ns += request(opaque);
	return ns;
}

static int report_count(const char *name, double *counts, double most)
{
	const struct spread spread = spread_of(counts, COUNTED);
	const struct result result = {
		.bench = IOTLB_BENCH,
		.name = name,
		.value = spread.median,
		.unit = "calls",
		.spread = &spread,
		.bar = { BAR_MOST, most },
	};

	return result_add(&result);
}

static int count(struct bench *b)
{
	static double counts[SENT_KINDS][COUNTED];
	int err;

	for (unsigned i = 0; i < COUNTED; i++) {
		for (unsigned kind = 0; kind < SENT_KINDS; kind++)
			counts[kind][i] = -(double)sent_count(kind);
		request(b);
		for (unsigned kind = 0; kind < SENT_KINDS; kind++)
			counts[kind][i] += (double)sent_count(kind);
		/* Of the invalidation that ends it. */
		counts[SENT_ACKNOWLEDGEMENTS][i]--;
	}
	err = report_count("32 misses: sendmsg of misses", counts[SENT_MISSES], 1);
	err |= report_count("32 misses: sendmsg of updates", counts[SENT_UPDATES], 1);
	err |= report_count("32 misses: sendmsg of acknowledgements", counts[SENT_ACKNOWLEDGEMENTS],
	                    2);
	return err;
}

int bench_miss(void)
{
	struct echo *echo = echo_new(&(struct echo_config){ .server_processor = 1 });
	struct bench many = { echo, PAGES }, one = { echo, 1 };
	const struct contender contenders[] = {
		{ "32 misses", run_requests, &many, true },
		{ "one miss", run_requests, &one, true },
	};
	const struct figure figures[] = {
		{ "request of 32 pages, all missing", 0, 1, { BAR_MOST, 3.0 }, "us", 1e-3 },
		{ "request of a page that is missing", 1, FIGURE_ALONE, { 0 }, "us", 1e-3 },
	};
	int err = count(&many);

	err |= figures_measure(IOTLB_BENCH, contenders, 2, figures, 2);
	echo_free(echo);
	return err;
}
