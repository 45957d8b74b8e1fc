/* SPDX-License-Identifier: BSD-3-Clause */
/* Pieces of memory for rings and buffers, and what is in them. */
#include <string.h>

#include "front.h"

#define SPAN_PAGES 1024u

static bool translates(const struct front *f)
{
	return f->features & FRONT_IOMMU;
}

static uint64_t pages_of(const struct span_setup *setup)
{
	return (setup->offset + (uint64_t)setup->len + RAM_PAGE - 1) / RAM_PAGE;
}

/* A page stays free behind each, so that what follows in iova is mapped to nothing. */
static uint64_t choose_iova(struct front *f, const struct span_setup *setup)
{
	uint64_t iova = setup->iova;

	if (!iova && !setup->at_zero) {
		iova = f->next_iova;
		f->next_iova += (pages_of(setup) + 1) * RAM_PAGE;
	}
	return iova;
}

static void map_page(struct front *f, const struct span_setup *setup, uint64_t iova, uint64_t uva)
{
	if (!setup->unmapped)
		front_map(f, iova, RAM_PAGE, uva, setup->perm ? setup->perm : PERM_RW);
}

static struct span scattered_span(struct front *f, const struct span_setup *setup)
{
	unsigned n = (unsigned)pages_of(setup);
	uint64_t uvas[SPAN_PAGES], iova = choose_iova(f, setup);
	char *ptr = n <= SPAN_PAGES ? ram_take_scattered(&f->ram, n, uvas) : NULL;

	if (!ptr)
		trial_error(f->trial, "the case needs too much memory");
	for (unsigned i = 0; i < n; i++)
		map_page(f, setup, iova + i * RAM_PAGE, uvas[i]);
	return (struct span){ iova + setup->offset, ptr + setup->offset, setup->len };
}

struct span front_span(struct front *f, const struct span_setup *setup)
{
	const struct ram_region *region = &f->ram.regions[0];
	uint64_t at, iova;

	if (translates(f) && setup->scattered)
		return scattered_span(f, setup);
	at = ram_take(&f->ram, 0, setup->offset + setup->len);
	if (at == UINT64_MAX)
		trial_error(f->trial, "the case needs too much memory");
	if (!translates(f))
		return (struct span){ region->gpa + at + setup->offset,
			              region->ptr + at + setup->offset, setup->len };
	iova = choose_iova(f, setup);
	for (uint64_t i = 0; i < pages_of(setup); i++)
		map_page(f, setup, iova + i * RAM_PAGE, region->uva + at + i * RAM_PAGE);
	return (struct span){ iova + setup->offset, region->ptr + at + setup->offset, setup->len };
}

struct span front_alloc(struct front *f, uint32_t len)
{
	return front_span(f, &(struct span_setup){ .len = len });
}

/* Views of scattered pages are no memory of the regions' own mapping: the maps know. */
uint64_t front_uva(const struct front *f, const struct span *span, uint32_t offset)
{
	uint64_t addr = span->addr + offset;

	for (unsigned i = 0; i < f->n_maps && translates(f); i++)
		if (addr - f->maps[i].iova < f->maps[i].size)
			return f->maps[i].uva + (addr - f->maps[i].iova);
	for (unsigned i = 0; i < f->ram.n; i++) {
		const struct ram_region *region = &f->ram.regions[i];
		const char *ptr = span->ptr + offset;

		if (ptr >= region->ptr && ptr < region->ptr + region->size)
			return region->uva + (uint64_t)(ptr - region->ptr);
	}
	return 0;
}

void front_fill(struct front *f, const struct span *span, unsigned char byte)
{
	memset(span->ptr, byte, span->len);
}

void front_pattern(const struct span *span, uint64_t seed)
{
	for (uint32_t i = 0; i < span->len; i++) {
		uint64_t mixed = (seed + i / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);

		span->ptr[i] = (char)(mixed >> (8 * (i % 8)));
	}
}

void expect_bytes(struct front *f, const struct span *span, unsigned char byte, const char *what)
{
	for (uint32_t i = 0; i < span->len; i++)
		if ((unsigned char)span->ptr[i] != byte)
			trial_fail(f->trial,
			           "%s: each of %u bytes at 0x%llx to be 0x%02x, byte %u is 0x%02x",
			           what, span->len, (unsigned long long)span->addr, byte, i,
			           (unsigned char)span->ptr[i]);
}

void expect_canaries(struct front *f)
{
	unsigned region;
	int64_t offset;

	if (!ram_untouched(&f->ram, &region, &offset))
		trial_fail(f->trial,
		           "memory that was given to nobody to be left alone: region %u was "
		           "written at offset %lld of %llu",
		           region, (long long)offset,
		           (unsigned long long)f->ram.regions[region].size);
}
