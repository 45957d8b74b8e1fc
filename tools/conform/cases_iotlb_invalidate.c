/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: what an INVALIDATE takes away: the range, all of it, and nothing else. What is
 * gone is seen by granting the same addresses elsewhere afterwards.
 */
#include "suite_backend.h"
#include "work.h"

#define PAGES 8u

static struct span known_pages(struct front *f, unsigned pages)
{
	struct span data = front_alloc(f, (uint32_t)(pages * RAM_PAGE));

	for (unsigned i = 0; i < pages; i++) {
		struct span part = { data.addr + i * RAM_PAGE, data.ptr + i * RAM_PAGE,
			             WORK_BYTES };

		work_expect_reads(f, &part, 1);
		work_expect_writes(f, &part, 1);
	}
	return data;
}

static struct span part_of(const struct span *span, uint32_t at, uint32_t len)
{
	return (struct span){ span->addr + at, span->ptr + at, len };
}

/* It is read from where it has moved to: the old place holds something else. */
static void expect_forgotten(struct front *f, const struct span *span)
{
	struct span old = part_of(span, 0, WORK_BYTES), moved;

	front_pattern(&old, 21);
	moved = work_move(f, &old);
	front_fill(f, &old, 0xa5);
	work_expect_reads(f, &moved, 1);
	work_expect_writes(f, &moved, 1);
	expect_bytes(f, &old, 0xa5, "memory whose INVALIDATE was acknowledged");
}

static void one_page(struct front *f)
{
	struct span data;

	work_start(f);
	data = known_pages(f, 1);
	expect_invalidate(f, data.addr, RAM_PAGE);
	expect_forgotten(f, &data);
}

static void only_the_range(struct front *f)
{
	struct span data;
	unsigned before, again;

	work_start(f);
	data = known_pages(f, 4);
	before = f->n_misses;
	expect_invalidate(f, data.addr + RAM_PAGE, RAM_PAGE);
	for (unsigned i = 0; i < 4; i++) {
		struct span part = part_of(&data, (uint32_t)(i * RAM_PAGE), WORK_BYTES);

		work_expect_reads(f, &part, 1);
	}
	again = work_pages_missed(f, &data, before);
	EXPECT(f, again >= 1, "the page to be asked for again: no page is");
	EXPECT(f, again == 1,
	       "one page to be asked for again: %u are, though only one was "
	       "invalidated",
	       again);
}

/* Eight pages by one UPDATE. */
static struct span large_entry(struct front *f)
{
	struct span data = front_span(
		f, &(struct span_setup){ .len = PAGES * RAM_PAGE, .unmapped = true });
	uint64_t uva = front_uva(f, &data, 0);

	front_map(f, data.addr, PAGES * RAM_PAGE, uva, PERM_RW);
	expect_update(f, data.addr, PAGES * RAM_PAGE, uva, PERM_RW);
	return data;
}

static void middle_of_an_entry(struct front *f)
{
	struct span data, first, middle, last;
	uint64_t uva;

	work_start(f);
	data = large_entry(f);
	uva = front_uva(f, &data, 0);
	first = part_of(&data, 0, WORK_BYTES);
	middle = part_of(&data, 3 * RAM_PAGE, WORK_BYTES);
	last = part_of(&data, (PAGES - 1) * RAM_PAGE, WORK_BYTES);
	work_expect_reads(f, &middle, 1);
	expect_invalidate(f, middle.addr, RAM_PAGE);
	front_unmap(f, data.addr, PAGES * RAM_PAGE);
	front_map(f, data.addr, 3 * RAM_PAGE, uva, PERM_RW);
	front_map(f, data.addr + 4 * RAM_PAGE, 4 * RAM_PAGE, uva + 4 * RAM_PAGE, PERM_RW);
	front_map(f, middle.addr, RAM_PAGE, uva + 3 * RAM_PAGE, PERM_RW);
	expect_forgotten(f, &middle);
	work_expect_writes(f, &first, 1);
	work_expect_writes(f, &last, 1);
	expect_canaries(f);
}

static void begin_and_end_of_an_entry(struct front *f)
{
	struct span data, first, last;
	uint64_t uva;

	work_start(f);
	data = large_entry(f);
	uva = front_uva(f, &data, 0);
	first = part_of(&data, 0, WORK_BYTES);
	last = part_of(&data, (PAGES - 1) * RAM_PAGE, WORK_BYTES);
	work_expect_reads(f, &first, 1);
	expect_invalidate(f, first.addr, RAM_PAGE);
	expect_invalidate(f, last.addr, RAM_PAGE);
	front_unmap(f, data.addr, PAGES * RAM_PAGE);
	front_map(f, first.addr, RAM_PAGE, uva, PERM_RW);
	front_map(f, last.addr, RAM_PAGE, uva + (PAGES - 1) * RAM_PAGE, PERM_RW);
	expect_forgotten(f, &first);
	expect_forgotten(f, &last);
}

/* Less than a page, and less than a request. */
static void one_byte(struct front *f)
{
	struct span data;

	work_start(f);
	data = known_pages(f, 1);
	expect_invalidate(f, data.addr + 200, 1);
	expect_forgotten(f, &data);
}

static void across_entries(struct front *f)
{
	struct span data;

	work_start(f);
	data = known_pages(f, 4);
	expect_invalidate(f, data.addr + RAM_PAGE + 100, 2 * RAM_PAGE);
	for (unsigned i = 1; i < 4; i++) {
		struct span part = part_of(&data, (uint32_t)(i * RAM_PAGE), WORK_BYTES);

		expect_forgotten(f, &part);
	}
}

/* Of QEMU, one INVALIDATE comes once for each pair of queues. */
static void unknown_range(struct front *f)
{
	work_start(f);
	for (unsigned i = 0; i < 3; i++) {
		expect_invalidate(f, UINT64_C(0x7f0000000000), RAM_PAGE);
		expect_invalidate(f, UINT64_C(0x7f0000000000), UINT64_C(1) << 30);
	}
	work_expect_works(f);
}

static void while_a_miss_is_unanswered(struct front *f)
{
	struct span data = work_start_page(f), moved;
	unsigned from;

	front_pattern(&data, 31);
	f->on_miss = work_hold;
	from = f->n_misses;
	work_out(f, &data, 1);
	EXPECT(f, !work_out_done(f, FRONT_QUIET), "the request to wait for its translation");
	expect_invalidate(f, data.addr, RAM_PAGE);
	moved = work_move(f, &data);
	front_fill(f, &data, 0xa5);
	work_release(f, from);
	work_expect_out(f);
	work_expect_saw(f, &moved, 1);
}

/* Refused afterwards, so that whatever is still done is done by the old translation. */
static void nothing_is_used_afterwards(struct front *f)
{
	struct span data;

	work_start(f);
	data = known_pages(f, 1);
	expect_invalidate(f, data.addr, RAM_PAGE);
	front_unmap(f, data.addr, RAM_PAGE);
	data.len = WORK_BYTES;
	front_fill(f, &data, 0xa5);
	work_in(f, &data, 1);
	work_nudge(f);
	work_linger(f, FRONT_QUIET);
	expect_bytes(f, &data, 0xa5, "memory whose INVALIDATE was acknowledged");
}

#define STORM 3000u

static void storm(struct front *f)
{
	const struct message message = msg_invalidate(UINT64_C(0x7f0000000000), RAM_PAGE);
	struct message asking = message;
	struct span data = work_start_page(f);

	asking.header.flags |= VHU_FLAG_NEED_REPLY;
	NOTE(f, "%u INVALIDATEs, 16 at a time, while data moves", STORM);
	trial_mute(f->trial);
	for (unsigned i = 0; i < STORM; i += 16) {
		if (i % 256 == 0)
			work_in(f, &data, 1);
		for (unsigned j = 0; j < 16; j++) {
			asking.payload.iotlb.iova += RAM_PAGE;
			front_send(f, &asking);
		}
		for (unsigned j = 0; j < 16; j++)
			EXPECT_EQUAL(f, expect_reply_u64(f, VHU_FE_IOTLB_MSG), 0, "reply");
		if (i % 256 == 0)
			work_expect_in(f);
	}
	trial_unmute(f->trial);
	work_expect_works(f);
}

#define RULE "vhost-user: IOMMU support (invalidation events); I1"

static const struct conform_case cases[] = {
	{
		.id = "iotlb-invalidate.page",
		.title = "a page that was invalidated is used where it is mapped next",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = one_page,
	},
	{
		.id = "iotlb-invalidate.only-the-range",
		.title = "no other page is asked for again than those that were invalidated",
		.rule = RULE,
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = only_the_range,
		.explain = "To forget more than is asked is harmless for correctness. It costs a "
			   "miss of whatever else is in use, with each unmapped buffer.",
	},
	{
		.id = "iotlb-invalidate.middle-of-an-entry",
		.title = "one page out of the middle of a translation of eight",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = middle_of_an_entry,
		.explain = "Front-ends answer misses by whole leaves of a page table and "
			   "invalidate what the guest unmaps.",
	},
	{
		.id = "iotlb-invalidate.ends-of-an-entry",
		.title = "the first and the last page of a translation of eight",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = begin_and_end_of_an_entry,
	},
	{
		.id = "iotlb-invalidate.one-byte",
		.title = "a single byte out of what a request needs",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = one_byte,
	},
	{
		.id = "iotlb-invalidate.across-entries",
		.title = "a range from the middle of one translation into another",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = across_entries,
	},
	{
		.id = "iotlb-invalidate.unknown-range",
		.title = "what is not known is invalidated, too, as often as somebody likes",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = unknown_range,
	},
	{
		.id = "iotlb-invalidate.while-a-miss-is-unanswered",
		.title = "INVALIDATE of a page that is being asked for is acknowledged at once",
		.rule = "vhost-user: IOMMU support; I3, S5",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = while_a_miss_is_unanswered,
		.explain = "QEMU serves no miss while it waits for the acknowledgement: who waits "
			   "for the miss before it acknowledges, waits for ever.",
	},
	{
		.id = "iotlb-invalidate.nothing-afterwards",
		.title = "what was invalidated and is refused now is not written",
		.rule = RULE,
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = nothing_is_used_afterwards,
	},
	{
		.id = "iotlb-invalidate.storm",
		.title = "3000 INVALIDATEs, several under way at a time",
		.rule = "vhost-user: IOMMU support; I3",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 20,
		.backend = storm,
	},
};

const struct conform_area area_iotlb_invalidate = AREA("iotlb-invalidate",
                                                       "what an INVALIDATE takes away", cases);
