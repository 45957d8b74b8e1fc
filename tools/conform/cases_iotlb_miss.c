/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: what is asked for, how often, and how much of it at a time. */
#include "suite_backend.h"
#include "work.h"

#define SEGS    6u
#define SEG_LEN 512u

/* What is asked for at a time comes within it. */
#define TOGETHER_MS 500

/* Pages of their own, none of them known. */
static void unknown_pages(struct front *f, struct span *spans, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		spans[i] = front_alloc(f, SEG_LEN);
		front_pattern(&spans[i], i);
	}
}

static uint8_t perms_asked(const struct front *f, const struct span *span, unsigned from)
{
	uint8_t perms = 0;

	for (unsigned i = from; i < f->n_misses && i < FRONT_MISSES; i++)
		if (f->misses[i].iova - (span->addr & ~(RAM_PAGE - 1)) < RAM_PAGE)
			perms |= f->misses[i].perm;
	return perms;
}

static void reading_asks_for_reading(struct front *f)
{
	struct span data = work_start_page(f);
	unsigned from = f->n_misses;

	work_out(f, &data, 1);
	work_expect_out(f);
	EXPECT_EQUAL(f, perms_asked(f, &data, from), PERM_R, "permissions asked for to read");
}

static void writing_asks_for_writing(struct front *f)
{
	struct span data = work_start_page(f);
	unsigned from = f->n_misses;

	work_in(f, &data, 1);
	work_expect_in(f);
	EXPECT(f, perms_asked(f, &data, from) & PERM_W, "write permission to be asked for");
	EXPECT_EQUAL(f, perms_asked(f, &data, from), PERM_W, "permissions asked for to write");
}

static void replies_only_where_negotiated(struct front *f)
{
	struct span data;

	front_open(f,
	           &(struct front_setup){ .features = FRONT_IOMMU,
	                                  .protocol_without = VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) });
	work_start_rings(f, NULL);
	data = front_alloc(f, WORK_BYTES);
	work_expect_reads(f, &data, 1);
	work_expect_works(f);
	for (unsigned i = 0; i < f->n_misses && i < FRONT_MISSES; i++)
		EXPECT(f, !(f->misses[i].header.flags & VHU_FLAG_NEED_REPLY),
		       "no miss that wants a reply: REPLY_ACK was not negotiated");
}

/* Ones that come once more behind a miss are known by then. */
static void one_miss_for_a_page(struct front *f)
{
	struct span page, parts[SEGS];
	unsigned from;

	work_start(f);
	page = front_alloc(f, RAM_PAGE);
	for (unsigned i = 0; i < SEGS; i++)
		parts[i] = (struct span){ page.addr + i * SEG_LEN, page.ptr + i * SEG_LEN,
			                  SEG_LEN };
	from = work_out_held(f, parts, SEGS, 1, TOGETHER_MS);
	work_linger(f, FRONT_QUIET);
	EXPECT_EQUAL(f, f->n_misses - from, 1, "misses of one page that is needed six times");
	work_release(f, from);
	work_expect_out(f);
}

static void no_duplicates(struct front *f)
{
	struct span data = work_start_page(f);
	unsigned from = work_out_held(f, &data, 1, 1, TOGETHER_MS);

	for (unsigned i = 0; i < 10; i++) {
		work_linger(f, 20);
		front_kick(f, work_out_ring(f));
	}
	EXPECT_EQUAL(f, front_misses_of(f, data.addr, RAM_PAGE), 1,
	             "misses of a page while the first is unanswered");
	work_release(f, from);
	work_expect_out(f);
}

static void holes_of_a_chain_together(struct front *f)
{
	struct span data[SEGS];
	unsigned from, n;

	work_start(f);
	unknown_pages(f, data, SEGS);
	from = work_out_held(f, data, SEGS, SEGS, TOGETHER_MS);
	n = f->n_misses - from;
	NOTE(f, "%u of %u pages were asked for before the first answer", n, SEGS);
	work_release(f, from);
	work_expect_out(f);
	EXPECT(f, n == SEGS,
	       "all %u pages that a request lacks to be asked for at a time: %u were, each "
	       "further one costs another round trip",
	       SEGS, n);
}

static void chains_behind_together(struct front *f)
{
	struct span data[SEGS];
	unsigned from, n;

	work_start(f);
	unknown_pages(f, data, SEGS);
	from = f->n_misses;
	f->on_miss = work_hold;
	work_out_batch(f, data, SEGS);
	work_await(f, from + SEGS, TOGETHER_MS);
	n = f->n_misses - from;
	work_release(f, from);
	for (unsigned i = 0; i < SEGS; i++)
		work_expect_out(f);
	EXPECT(f, n == SEGS,
	       "the pages of %u requests to be asked for at a time: %u were, each further one "
	       "costs another round trip",
	       SEGS, n);
}

static void answered_backwards(struct front *f)
{
	struct span data[SEGS];
	unsigned from, to;

	work_start(f);
	unknown_pages(f, data, SEGS);
	from = work_out_held(f, data, SEGS, SEGS, TOGETHER_MS);
	to = f->n_misses;
	for (unsigned i = SEGS; i-- > 0;)
		front_push(f, &data[i]);
	for (unsigned i = from; i < to; i++)
		front_answer(f, &f->misses[i], 0);
	f->on_miss = NULL;
	work_expect_out(f);
	work_expect_saw(f, data, SEGS);
}

#define FEW 3u

static void each_page_once(struct front *f)
{
	struct span data[FEW];

	work_start(f);
	unknown_pages(f, data, FEW);
	for (unsigned turn = 0; turn < 20; turn++)
		for (unsigned i = 0; i < FEW; i++) {
			work_out(f, &data[i], 1);
			work_expect_out(f);
		}
	for (unsigned i = 0; i < FEW; i++)
		EXPECT_EQUAL(f, front_misses_of(f, data[i].addr, RAM_PAGE), 1,
		             "misses of a page that was used twenty times");
}

/* More pages than small caches hold. What is evicted is asked for again, and right. */
#define CACHE_PAGES 2500u

static void more_than_a_cache_holds(struct front *f)
{
	struct span page;
	uint64_t uva, iova = UINT64_C(0x200000000);

	work_start(f);
	page = front_alloc(f, WORK_BYTES);
	uva = front_uva(f, &page, 0);
	front_pattern(&page, 5);
	NOTE(f, "%u pages, all of the same memory", CACHE_PAGES);
	trial_mute(f->trial);
	for (unsigned i = 0; i < CACHE_PAGES; i++) {
		struct span alias = { iova + i * RAM_PAGE, page.ptr, WORK_BYTES };

		front_map(f, alias.addr, RAM_PAGE, uva, PERM_RW);
		work_out(f, &alias, 1);
		work_expect_out(f);
	}
	trial_unmute(f->trial);
	work_expect_reads(f, &(struct span){ iova, page.ptr, WORK_BYTES }, 1);
	work_expect_works(f);
}

static void the_last_page(struct front *f)
{
	struct span page, last;

	work_start(f);
	page = front_alloc(f, RAM_PAGE);
	front_pattern(&page, 6);
	front_map(f, 0 - RAM_PAGE, RAM_PAGE, front_uva(f, &page, 0), PERM_RW);
	last = (struct span){ 0 - (uint64_t)WORK_BYTES, page.ptr + RAM_PAGE - WORK_BYTES,
		              WORK_BYTES };
	work_expect_reads(f, &last, 1);
	work_expect_writes(f, &last, 1);
}

static void the_first_page(struct front *f)
{
	struct span data;

	work_start(f);
	data = front_span(f, &(struct span_setup){ .len = WORK_BYTES, .at_zero = true });
	front_pattern(&data, 7);
	work_expect_reads(f, &data, 1);
	work_expect_writes(f, &data, 1);
}

static void large_answers_are_used(struct front *f)
{
	struct span data, part;

	work_start(f);
	data = front_span(f, &(struct span_setup){ .len = 64 * RAM_PAGE, .unmapped = true });
	front_map(f, data.addr, data.len, front_uva(f, &data, 0), PERM_RW);
	f->grant_whole = true;
	for (unsigned i = 0; i < 64; i++) {
		part = (struct span){ data.addr + i * RAM_PAGE, data.ptr + i * RAM_PAGE, SEG_LEN };
		front_pattern(&part, i);
		work_out(f, &part, 1);
		work_expect_out(f);
		work_expect_saw(f, &part, 1);
	}
	EXPECT_EQUAL(f, front_misses_of(f, data.addr, data.len), 1,
	             "misses of 64 pages that one UPDATE covers");
}

#define RULE "vhost-user: IOMMU support (miss events)"

static const struct conform_case cases[] = {
	{
		.id = "iotlb-miss.reading",
		.title = "what is read is asked for with the permission to read",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = reading_asks_for_reading,
	},
	{
		.id = "iotlb-miss.writing",
		.title = "what is only written is asked for with the permission to write",
		.rule = RULE "; virtio 1.2, 2.7.5.1",
		.level = LEVEL_SHOULD,
		.needs = WORK_NEEDS,
		.backend = writing_asks_for_writing,
		.explain = "A device should not read what is there for it to write. Who asks for "
			   "more is refused by an IOMMU whose driver has mapped the buffer for "
			   "writing only, and Linux does so for what it receives.",
	},
	{
		.id = "iotlb-miss.replies-where-negotiated",
		.title = "without REPLY_ACK no miss wants a reply, and updates suffice",
		.rule = "vhost-user: REPLY_ACK; S11",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = replies_only_where_negotiated,
	},
	{
		.id = "iotlb-miss.one-for-a-page",
		.title = "a page that a request needs six times is asked for once",
		.rule = "S1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = one_miss_for_a_page,
	},
	{
		.id = "iotlb-miss.no-duplicates",
		.title = "a page is not asked for again while a miss of it is unanswered",
		.rule = "S1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = no_duplicates,
		.explain = "A front-end may come to the second one when the driver has unmapped "
			   "the page, and the guest logs a fault that nobody has caused.",
	},
	{
		.id = "iotlb-miss.holes-of-a-chain-together",
		.title = "all pages that a request lacks are asked for at a time",
		.rule = "S2",
		.level = LEVEL_SHOULD,
		.needs = WORK_NEEDS,
		.backend = holes_of_a_chain_together,
		.explain = "One after the other costs a round trip of the front-end for each "
			   "page, while the ring stands still.",
	},
	{
		.id = "iotlb-miss.chains-behind-together",
		.title = "the pages that the requests behind it lack, too",
		.rule = "S2",
		.level = LEVEL_SHOULD,
		.needs = WORK_NEEDS,
		.backend = chains_behind_together,
	},
	{
		.id = "iotlb-miss.answered-backwards",
		.title = "updates in another order than the misses",
		.rule = RULE "; S9",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = answered_backwards,
	},
	{
		.id = "iotlb-miss.each-page-once",
		.title = "three pages, used twenty times each, are asked for once each",
		.rule = "S1, F2",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = each_page_once,
	},
	{
		.id = "iotlb-miss.more-than-a-cache-holds",
		.title = "2500 pages: however few a back-end remembers, it goes on",
		.rule = RULE "; F2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 30,
		.backend = more_than_a_cache_holds,
	},
	{
		.id = "iotlb-miss.last-page",
		.title = "data at the very end of the address space",
		.rule = "U3",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = the_last_page,
		.explain = "Linux hands out I/O virtual addresses from the top of what the IOMMU "
			   "has. Where that is 64 bits wide, a range ends at 2^64.",
	},
	{
		.id = "iotlb-miss.first-page",
		.title = "data at address 0",
		.rule = "U3",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = the_first_page,
	},
	{
		.id = "iotlb-miss.large-answer",
		.title = "an answer of 64 pages needs one miss",
		.rule = RULE "; U3",
		.level = LEVEL_SHOULD,
		.needs = WORK_NEEDS,
		.backend = large_answers_are_used,
	},
};

const struct conform_area area_iotlb_miss = AREA("iotlb-miss", "what is asked for, and how often",
                                                 cases);
