/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: pages that follow each other for the device and do not in memory. Behind
 * each of them in memory lies a canary page that nobody was given.
 */
#include <string.h>

#include "blk.h"
#include "io.h"
#include "suite_backend.h"
#include "work.h"

#define BLK_BIG 32768u

/* Half of it on the one page and half on the other. */
static struct span over_a_border(struct front *f, bool scattered)
{
	return front_span(f, &(struct span_setup){ .len = WORK_BYTES,
	                                           .offset = RAM_PAGE - WORK_BYTES / 2,
	                                           .scattered = scattered });
}

static void reads_over_a_border(struct front *f)
{
	struct span data;

	work_start(f);
	data = over_a_border(f, true);
	front_pattern(&data, 1);
	work_expect_reads(f, &data, 1);
	work_expect_reads(f, &data, 1);
}

static void writes_over_a_border(struct front *f)
{
	struct span data;

	work_start(f);
	data = over_a_border(f, true);
	work_expect_writes(f, &data, 1);
	expect_canaries(f);
	front_fill(f, &data, 0);
	work_expect_writes(f, &data, 1);
	expect_canaries(f);
}

static void adjacent_pages(struct front *f)
{
	struct span data;

	work_start(f);
	data = over_a_border(f, false);
	front_pattern(&data, 2);
	work_expect_reads(f, &data, 1);
	work_expect_writes(f, &data, 1);
	expect_canaries(f);
}

static void pushed_pages(struct front *f)
{
	struct span data;

	work_start(f);
	data = over_a_border(f, true);
	front_push(f, &data);
	front_pattern(&data, 3);
	work_expect_reads(f, &data, 1);
	work_expect_writes(f, &data, 1);
	expect_canaries(f);
}

static void one_border_after_the_other(struct front *f)
{
	struct span data;

	work_start(f);
	data = front_span(f,
	                  &(struct span_setup){ .len = 3072, .offset = 2560, .scattered = true });
	for (unsigned i = 0; i < 3; i++) {
		front_pattern(&data, i);
		work_expect_reads(f, &data, 1);
	}
	expect_canaries(f);
}

static void many_pages(struct front *f)
{
	struct span out, in;

	work_start(f);
	out = front_span(f,
	                 &(struct span_setup){ .len = BLK_BIG, .offset = 1024, .scattered = true });
	in = front_span(f,
	                &(struct span_setup){ .len = BLK_BIG, .offset = 512, .scattered = true });
	front_pattern(&out, 4);
	work_expect_reads(f, &out, 1);
	EXPECT_EQUAL(f, blk_do(f, VIRTIO_BLK_T_OUT, 1024, &out, 1), VIRTIO_BLK_S_OK, "status");
	EXPECT_EQUAL(f, blk_do(f, VIRTIO_BLK_T_IN, 1024, &in, 1), VIRTIO_BLK_S_OK, "status");
	for (uint32_t i = 0; i < BLK_BIG; i++)
		EXPECT(f, in.ptr[i] == out.ptr[i],
		       "byte %u of %u to be what was written: it is not", i, BLK_BIG);
	expect_canaries(f);
}

/* The part that says what is wanted, not the data. */
static void header_over_a_border(struct front *f)
{
	struct span whole = { 0 };

	work_start(f);
	whole = front_span(
		f, &(struct span_setup){ .len = 16, .offset = RAM_PAGE - 6, .scattered = true });
	f->io.header = whole;
	work_expect_works(f);
	work_expect_works(f);
	expect_canaries(f);
}

/* A translation need not be of whole pages. */
static void small_entries(struct front *f)
{
	struct span data;
	uint64_t uva;

	work_start(f);
	data = front_span(f, &(struct span_setup){ .len = WORK_BYTES, .unmapped = true });
	uva = f->ram.regions[0].uva + (uint64_t)(data.ptr - f->ram.regions[0].ptr);
	for (unsigned i = 0; i < 4; i++)
		front_map(f, data.addr + i * 128, 128, uva + i * 128, PERM_RW);
	front_pattern(&data, 5);
	work_expect_reads(f, &data, 1);
	work_expect_writes(f, &data, 1);
	expect_canaries(f);
}

/* Parts of one page that lie in different ones. */
static void small_scattered_entries(struct front *f)
{
	struct span data, parts[4];
	struct span_setup setup = { .len = WORK_BYTES, .unmapped = true };

	work_start(f);
	data = front_span(f, &setup);
	for (unsigned i = 0; i < 4; i++) {
		parts[i] = front_alloc(f, 128);
		front_pattern(&parts[i], i);
		if (i == 0)
			memcpy(parts[i].ptr + 12, "\x88\xb5", 2);
		front_map(f, data.addr + i * 128, 128, front_uva(f, &parts[i], 0), PERM_RW);
		memcpy(data.ptr + i * 128, parts[i].ptr, 128);
	}
	work_expect_reads(f, &data, 1);
	expect_canaries(f);
}

#define RULE "vhost-user: Memory access, IOMMU support"

static const struct conform_case cases[] = {
	{
		.id = "iotlb-cross.adjacent",
		.title = "data over a border of pages that are adjacent in memory, too",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = adjacent_pages,
	},
	{
		.id = "iotlb-cross.reads",
		.title = "data over a border of pages is read from both of them",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = reads_over_a_border,
		.explain = "Two pages follow each other in I/O virtual addresses and do not in "
			   "memory. Who looks up the first and goes on from its pointer reads "
			   "memory that was never mapped: of another process of the guest, of "
			   "its kernel.",
	},
	{
		.id = "iotlb-cross.writes",
		.title = "data over a border of pages is written to both of them, and nowhere else",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = writes_over_a_border,
		.explain = "The same with what the device writes: what lies behind the first page "
			   "in memory is overwritten.",
	},
	{
		.id = "iotlb-cross.pushed",
		.title = "the same where both pages were told before they are needed",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = pushed_pages,
	},
	{
		.id = "iotlb-cross.one-large-segment",
		.title = "one descriptor of 3 KiB over a border of pages",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = one_border_after_the_other,
	},
	{
		.id = "iotlb-cross.many-pages",
		.title = "one descriptor over nine pages, no two of them adjacent",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = { .features = FRONT_IOMMU, .device = DEVICE_BLK },
		.backend = many_pages,
	},
	{
		.id = "iotlb-cross.header",
		.title = "a request's header over a border of pages",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = header_over_a_border,
	},
	{
		.id = "iotlb-cross.small-entries",
		.title = "translations of 128 bytes each",
		.rule = "vhost-user: IOTLB message (any size); U3",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = small_entries,
		.explain = "Nothing says that translations are of whole pages; IOMMUs of hardware "
			   "have them so, and a front-end whose regions begin within one sends "
			   "less.",
	},
	{
		.id = "iotlb-cross.small-scattered-entries",
		.title = "translations of 128 bytes each that are not adjacent in memory",
		.rule = "vhost-user: IOTLB message (any size); U3",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = small_scattered_entries,
	},
};

const struct conform_area area_iotlb_cross = AREA("iotlb-cross",
                                                  "data over the borders of translations", cases);
