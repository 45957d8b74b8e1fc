/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: INVALIDATEs of everything, in each of the ways in which front-ends spell it,
 * and ranges that are none. Addresses of cases lie above 4 GiB.
 */
#include "suite_backend.h"
#include "work.h"

#define MSI_START UINT64_C(0xfee00000)
#define MSI_END   UINT64_C(0xfef00000)
#define TAINT     0xa5

struct spelling {
	uint64_t iova, size;
};

static struct span known_page(struct front *f)
{
	struct span data = work_start_page(f);

	work_expect_reads(f, &data, 1);
	work_expect_writes(f, &data, 1);
	return data;
}

/* The same addresses lie elsewhere; what the back-end still knows leads to the old place. */
static void expect_forgotten(struct front *f, const struct span *data, const char *what)
{
	struct span moved;
	unsigned before;

	front_pattern(data, 41);
	moved = work_move(f, data);
	front_fill(f, data, TAINT);
	before = f->n_misses;
	work_in(f, &moved, 1);
	work_expect_in(f);
	expect_bytes(f, data, TAINT, "memory whose INVALIDATE was acknowledged");
	EXPECT(f, work_pages_missed(f, &moved, before) == 1,
	       "%s to take the translation away: the back-end does not ask for it again", what);
	work_expect_filled(f, &moved, 1);
	work_expect_reads(f, &moved, 1);
}

static void flush_by(struct front *f, const struct spelling *spellings, unsigned n,
                     const char *what)
{
	struct span data = known_page(f);

	for (unsigned i = 0; i < n; i++)
		expect_invalidate(f, spellings[i].iova, spellings[i].size);
	work_push_rings(f);
	expect_forgotten(f, &data, what);
	work_expect_works(f);
}

static void by_size_0(struct front *f)
{
	flush_by(f, (struct spelling[]){ { 0, 0 } }, 1, "size 0 at address 0");
}

static void by_all_ones(struct front *f)
{
	flush_by(f, (struct spelling[]){ { 0, UINT64_MAX } }, 1, "size 2^64-1 at address 0");
}

static void by_48_bits(struct front *f)
{
	flush_by(f, (struct spelling[]){ { 0, UINT64_C(1) << 48 } }, 1, "size 2^48 at address 0");
}

static void by_halves(struct front *f)
{
	flush_by(f,
	         (struct spelling[]){ { 0, UINT64_C(1) << 63 },
	                              { UINT64_C(1) << 63, UINT64_C(1) << 63 } },
	         2, "two halves of the space");
}

/* What lies between belongs to interrupts and is never mapped. */
static void around_interrupts(struct front *f)
{
	flush_by(f, (struct spelling[]){ { 0, MSI_START }, { MSI_END, 0 - MSI_END } }, 2,
	         "two ranges around 0xfee00000");
}

static void to_the_last_but_one(struct front *f)
{
	flush_by(f, (struct spelling[]){ { 1, UINT64_MAX } }, 1, "all but the first byte");
}

static void expect_all_forgotten(struct front *f, const struct span *data)
{
	work_push_rings(f);
	expect_forgotten(f, data, "an INVALIDATE that was acknowledged as success");
}

/* It can't be meant as it stands: it is refused, or understood as the end of the space. */
static void expect_refused_or_all(struct front *f, const struct span *data, uint64_t iova,
                                  uint64_t size)
{
	if (front_invalidate(f, iova, size))
		NOTE(f, "it is refused");
	else
		expect_all_forgotten(f, data);
	work_expect_works(f);
}

static void wraps(struct front *f)
{
	struct span data = known_page(f);

	expect_refused_or_all(f, &data, RAM_PAGE, UINT64_MAX);
}

static void wraps_behind(struct front *f)
{
	struct span data = known_page(f);

	expect_refused_or_all(f, &data, data.addr, 0 - data.addr + RAM_PAGE);
}

static void size_0_elsewhere(struct front *f)
{
	struct span data = known_page(f);
	unsigned before;

	EXPECT(f, front_invalidate(f, data.addr, 0), "size 0 at 0x%llx to be refused: it is not",
	       (unsigned long long)data.addr);
	before = f->n_misses;
	work_expect_reads(f, &data, 1);
	EXPECT_EQUAL(f, work_pages_missed(f, &data, before), 0, "pages asked for again");
}

static void everything_is_asked_again(struct front *f)
{
	struct span data[4];
	unsigned before;

	work_start(f);
	for (unsigned i = 0; i < 4; i++) {
		data[i] = front_alloc(f, WORK_BYTES);
		work_expect_reads(f, &data[i], 1);
	}
	expect_invalidate(f, 0, UINT64_MAX);
	work_push_rings(f);
	before = f->n_misses;
	for (unsigned i = 0; i < 4; i++) {
		work_expect_reads(f, &data[i], 1);
		EXPECT_EQUAL(f, work_pages_missed(f, &data[i], before), 1, "pages asked for again");
	}
}

/* Nothing is told: all of it has to be asked for, the rings, too. */
static void rings_come_back(struct front *f)
{
	work_start(f);
	for (unsigned i = 0; i < 3; i++) {
		expect_invalidate(f, 0, UINT64_MAX);
		work_expect_works(f);
	}
}

/* Requests that are under way are not failed by it. */
static void under_live_requests(struct front *f)
{
	struct span data[WORK_BATCH];

	work_start(f);
	for (unsigned i = 0; i < WORK_BATCH; i++)
		data[i] = front_alloc(f, WORK_BYTES);
	for (unsigned i = 0; i < 50; i++) {
		work_in_batch(f, data, WORK_BATCH);
		expect_invalidate(f, 0, UINT64_MAX);
		work_push_rings(f);
		for (unsigned j = 0; j < WORK_BATCH; j++)
			work_expect_in(f);
		for (unsigned j = 0; j < WORK_BATCH; j++)
			EXPECT(f, f->subject->device == DEVICE_NET || !f->io.status.ptr[j],
			       "request %u to succeed: its status is %u", j,
			       (unsigned char)f->io.status.ptr[j]);
	}
}

#define RULE "vhost-user: IOMMU support (invalidation events); I1"

static const struct conform_case cases[] = {
	{
		.id = "iotlb-flush.all-ones",
		.title = "[0, 2^64-1) is a flush",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = by_all_ones,
	},
	{
		.id = "iotlb-flush.around-interrupts",
		.title = "two ranges around 0xfee00000 are a flush: the last ends at 2^64",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = around_interrupts,
		.explain = "This is how QEMU flushes a whole domain of an Intel IOMMU. Start and "
			   "size of the second range add up to 2^64, which is 0 in 64 bits: who "
			   "compares addresses with the sum invalidates nothing, says that it "
			   "has, and goes on using memory that is somebody else's.",
	},
	{
		.id = "iotlb-flush.size-0",
		.title = "size 0 at address 0 is a flush",
		.rule = "I1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = by_size_0,
		.explain = "A range of 2^64 bytes has no size in 64 bits but this one.",
	},
	{
		.id = "iotlb-flush.48-bits",
		.title = "[0, 2^48) is a flush",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = by_48_bits,
	},
	{
		.id = "iotlb-flush.halves",
		.title = "[0, 2^63) and [2^63, 2^64) are a flush",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = by_halves,
	},
	{
		.id = "iotlb-flush.all-but-the-first-byte",
		.title = "[1, 2^64) takes away all but the first byte",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = to_the_last_but_one,
	},
	{
		.id = "iotlb-flush.wraps",
		.title =
			"a range that wraps is refused or understood, not acknowledged and ignored",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = wraps,
		.explain = "What comes of 0x1000 + (2^64-1) is silent in the specification. An "
			   "acknowledgement of success is not: nothing of the range may be used "
			   "any more.",
	},
	{
		.id = "iotlb-flush.wraps-behind-the-page",
		.title = "the same of a range that begins at what is in use",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = wraps_behind,
	},
	{
		.id = "iotlb-flush.size-0-elsewhere",
		.title = "size 0 at another address is refused and takes nothing away",
		.rule = "I1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = size_0_elsewhere,
	},
	{
		.id = "iotlb-flush.everything-is-asked-again",
		.title = "behind a flush each page is asked for again",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = everything_is_asked_again,
	},
	{
		.id = "iotlb-flush.rings-come-back",
		.title = "behind a flush rings are translated again when there is work",
		.rule = "vhost-user: IOMMU support (miss events); S7",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = rings_come_back,
		.explain =
			"A flush takes the rings' own pages, too. Whoever lets go of a ring then "
			"has to ask for it again, by itself: nobody else will begin.",
	},
	{
		.id = "iotlb-flush.under-live-requests",
		.title = "requests that are under way survive a flush, 50 times",
		.rule = "vhost-user: IOMMU support; I3",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 20,
		.backend = under_live_requests,
		.explain = "A guest in lazy mode flushes its domain while it has requests out. "
			   "What it flushes for is memory it has given back; requests are of "
			   "memory that is still mapped.",
	},
};

const struct conform_area area_iotlb_flush = AREA(
	"iotlb-flush", "everything at once, and ranges that are none", cases);
