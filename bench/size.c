/* SPDX-License-Identifier: BSD-3-Clause */
/* What entries take of memory, and what becomes of those that merge. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "results.h"
#include "sections.h"
#include "set.h"

#define BYTES_MOST   96
#define ENTRIES_MOST 8

/* Of the process, in bytes. */
static double resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &size, &pages) != 2)
		pages = 0;
	fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void add_pages(struct iotlb *tlb, uint64_t n, uint64_t apart)
{
	for (uint64_t k = 0; k < n; k++) {
		/* In no order: the multiplier is odd. */
		uint64_t iova = (k * UINT64_C(0x9e3779b97f4a7c15) & (n - 1)) * TRANSLATE_PAGE;

		iotlb_update(tlb, (struct range){ iova, iova + TRANSLATE_OFFSET },
		             (char *)(uintptr_t)(apart * iova), PERM_RW);
	}
}

static int report(const char *name, double value, const char *unit, double most)
{
	return result_add(&(struct result){
		.bench = IOTLB_BENCH,
		.name = name,
		.value = value,
		.unit = unit,
		.bar = { BAR_MOST, most },
	});
}

static int bench_bytes(void)
{
	struct iotlb *tlb = iotlb_new(SET_MILLION);
	double before, bytes;

	if (!tlb)
		return 1;
	malloc_trim(0);
	before = resident();
	add_pages(tlb, SET_MILLION, 2);
	bytes = resident() - before;
	iotlb_free(tlb);
	return report("bytes of an entry, of 1048576", bytes / (double)SET_MILLION, "bytes",
	              BYTES_MOST);
}

static int bench_identity(void)
{
	struct iotlb *tlb = iotlb_new(SET_MILLION);
	struct iotlb_stats stats;

	if (!tlb)
		return 1;
	add_pages(tlb, SET_MILLION, 1);
	iotlb_stats(tlb, &stats);
	iotlb_free(tlb);
	return report("entries of 1048576 identity pages", (double)stats.entries, "entries",
	              ENTRIES_MOST);
}

int bench_size(void)
{
	return bench_bytes() | bench_identity();
}
