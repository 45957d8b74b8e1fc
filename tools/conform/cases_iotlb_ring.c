/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: rings that are translated themselves: where they may lie, and how they move. */
#include <string.h>

#include "blk.h"
#include "front_jam.h"
#include "suite_backend.h"
#include "work.h"

#define TAINT 0xa5
#define LARGE 1024u /* four pages of descriptors, three of used elements */

static void open_with(struct front *f, const struct ring_setup *setup)
{
	work_open(f);
	work_start_rings(f, setup);
}

static void at_zero(struct front *f)
{
	open_with(f, &(struct ring_setup){ .at_zero = true });
	work_expect_works(f);
}

static void over_many_pages(struct front *f)
{
	open_with(f, &(struct ring_setup){ .num = LARGE });
	for (unsigned i = 0; i < 8; i++)
		work_expect_works(f);
	expect_canaries(f);
}

/* As often as it takes to come to each page of the descriptors, and round once. */
static void over_scattered_pages(struct front *f)
{
	struct span data;

	open_with(f, &(struct ring_setup){ .num = LARGE, .scattered = true });
	data = front_alloc(f, WORK_BYTES);
	trial_mute(f->trial);
	for (unsigned i = 0; i < LARGE; i++) {
		work_out(f, &data, 1);
		work_expect_out(f);
	}
	trial_unmute(f->trial);
	work_expect_works(f);
	expect_canaries(f);
}

static void not_before_it_is_enabled(struct front *f)
{
	work_open(f);
	front_ring_start(f, 0, &(struct ring_setup){ .disabled = true });
	work_linger(f, FRONT_QUIET);
	EXPECT_EQUAL(f, f->n_misses, 0, "misses of a ring that is not enabled");
}

/* A firmware leaves its rings behind when the operating system turns the IOMMU on. */
static void idle_is_left_alone(struct front *f)
{
	unsigned from;

	work_start(f);
	work_settle(f);
	work_linger(f, FRONT_QUIET);
	from = f->n_misses;
	expect_invalidate(f, 0, UINT64_MAX);
	work_linger(f, 2 * FRONT_QUIET);
	EXPECT_EQUAL(f, f->n_misses - from, 0, "misses of a ring that is idle");
	work_warm_up(f);
	work_expect_works(f);
}

static void expect_goes_on(struct front *f)
{
	work_warm_up(f);
	work_expect_works(f);
}

/* The parts of a ring: descriptors, available, used, a page each. */
enum part {
	PART_DESC,
	PART_AVAIL,
	PART_USED,
};

static struct span part_of(const struct ring *ring, enum part part)
{
	const struct span parts[] = {
		{ ring->desc_addr, (char *)ring->desc, (uint32_t)RAM_PAGE },
		{ ring->avail_addr, (char *)ring->avail, (uint32_t)RAM_PAGE },
		{ ring->used_addr, (char *)ring->used, (uint32_t)RAM_PAGE },
	};

	return parts[part];
}

static void invalidate_part(struct front *f, unsigned index, enum part part)
{
	struct span page = part_of(&f->rings[index], part);

	expect_invalidate(f, page.addr, RAM_PAGE);
}

static void invalidated_and_granted_again(struct front *f)
{
	work_start(f);
	for (unsigned i = PART_DESC; i <= PART_USED; i++) {
		invalidate_part(f, work_out_ring(f), i);
		expect_goes_on(f);
		invalidate_part(f, work_in_ring(f), i);
		expect_goes_on(f);
	}
}

static void moved_while_it_runs(struct front *f, unsigned index, enum part part)
{
	struct ring *ring = &f->rings[index];
	struct span old, moved;

	work_start(f);
	work_settle(f);
	work_linger(f, FRONT_QUIET);
	old = part_of(ring, part);
	expect_invalidate(f, old.addr, RAM_PAGE);
	moved = work_move(f, &old);
	front_fill(f, &old, TAINT);
	if (part == PART_DESC)
		ring->desc = (struct ring_desc *)moved.ptr;
	else if (part == PART_AVAIL)
		ring->avail = (uint16_t *)moved.ptr;
	else
		ring->used = (uint16_t *)moved.ptr;
	expect_goes_on(f);
	expect_bytes(f, &old, TAINT,
	             "the old place of a ring's page whose INVALIDATE was "
	             "acknowledged");
}

static void descriptors_move(struct front *f)
{
	moved_while_it_runs(f, work_out_ring(f), PART_DESC);
}

static void available_moves(struct front *f)
{
	moved_while_it_runs(f, work_out_ring(f), PART_AVAIL);
}

static void used_moves(struct front *f)
{
	moved_while_it_runs(f, work_out_ring(f), PART_USED);
}

static void used_of_what_is_received_moves(struct front *f)
{
	moved_while_it_runs(f, work_in_ring(f), PART_USED);
}

static void refused_halts(struct front *f)
{
	struct ring *ring = &f->rings[work_out_ring(f)];
	struct span data, desc;
	bool told = false;
	uint64_t uva;

	work_start(f);
	work_settle(f);
	desc = part_of(ring, PART_DESC);
	uva = front_uva(f, &desc, 0);
	expect_invalidate(f, desc.addr, RAM_PAGE);
	front_unmap(f, desc.addr, RAM_PAGE);
	data = front_alloc(f, WORK_BYTES);
	work_out(f, &data, 1);
	EXPECT(f, !work_out_done(f, FRONT_QUIET),
	       "nothing to be used while the descriptors are refused");
	for (unsigned i = 0; i < 10 && !(told = front_event(f, ring->err, FRONT_QUIET)); i++)
		front_serve(f, 1);
	EXPECT(f, told, "the ring's error eventfd to be signalled: a page of it was refused");
	front_map(f, desc.addr, RAM_PAGE, uva, PERM_RW);
	front_kick(f, ring->index);
	work_expect_out(f);
}

/* It is never asked for more often than is needed. */
static void each_page_of_it_once(struct front *f)
{
	struct span ring;

	work_start(f);
	for (unsigned i = 0; i < 8; i++)
		work_expect_works(f);
	ring = part_of(&f->rings[work_out_ring(f)], PART_DESC);
	EXPECT_EQUAL(f, front_misses_of(f, ring.addr, RAM_PAGE), 1, "misses of the descriptors");
}

static void pushed_pages(struct front *f)
{
	work_open(f);
	front_ring_layout(f, 0, &(struct ring_setup){ 0 });
	for (unsigned i = PART_DESC; i <= PART_USED; i++) {
		struct span page = part_of(&f->rings[0], i);

		front_push(f, &page);
	}
	front_ring_announce(f, 0, 0);
	front_ring_enable(f, 0, true);
	front_kick(f, 0);
	work_linger(f, FRONT_QUIET);
	EXPECT_EQUAL(f, f->n_misses, 0, "misses of a ring whose pages were told before");
}

static void end_of_the_space(struct front *f)
{
	struct ring *ring = &f->rings[0];
	struct message addr;

	work_open(f);
	front_ring_layout(f, 0, &(struct ring_setup){ .num = LARGE });
	ring->desc_addr = 0 - RAM_PAGE;
	addr = front_ring_addr(f, 0);
	front_ring_try(f, 0, &addr);
	if (f->main.fd >= 0) {
		front_kick(f, 0);
		work_linger(f, FRONT_QUIET);
	}
	expect_serves_anew(f);
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb-ring.at-zero",
		.title = "a ring at address 0",
		.rule = "S7",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = at_zero,
		.explain = "0 is an address like any other for a device behind an IOMMU.",
	},
	{
		.id = "iotlb-ring.large",
		.title = "a ring of 1024 over eight pages",
		.rule = "vhost-user: Ring states, IOMMU support; S7",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = over_many_pages,
	},
	{
		.id = "iotlb-ring.scattered",
		.title = "the same where no two of its pages are adjacent in memory",
		.rule = "vhost-user: Ring states, IOMMU support; S7",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 20,
		.backend = over_scattered_pages,
		.explain = "Who takes the pointer of the first page for that of the "
			   "whole reads descriptors from memory that was never mapped.",
	},
	{
		.id = "iotlb-ring.not-before-it-is-enabled",
		.title = "a ring that is not enabled is not translated",
		.rule = "S7",
		.level = LEVEL_CONTRACT,
		.needs = { .features = FRONT_IOMMU },
		.backend = not_before_it_is_enabled,
	},
	{
		.id = "iotlb-ring.idle-is-left-alone",
		.title = "an idle ring that was invalidated is translated at its next kick",
		.rule = "S7",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = idle_is_left_alone,
		.explain = "The firmware leaves its rings set up when the operating "
			   "system turns the IOMMU on, and flushes. Who looks at that "
			   "ring then makes the guest log a DMA fault.",
	},
	{
		.id = "iotlb-ring.invalidated",
		.title = "each part of a running ring is invalidated and granted again",
		.rule = "vhost-user: Ring states, IOMMU support",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 20,
		.backend = invalidated_and_granted_again,
	},
	{
		.id = "iotlb-ring.descriptors-move",
		.title = "descriptors of a running ring move elsewhere",
		.rule = "vhost-user: Ring states, IOMMU support; I2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = descriptors_move,
	},
	{
		.id = "iotlb-ring.available-ring-moves",
		.title = "so does its available ring",
		.rule = "vhost-user: Ring states, IOMMU support; I2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = available_moves,
	},
	{
		.id = "iotlb-ring.used-ring-moves",
		.title = "so does its used ring, and the old one is not written",
		.rule = "vhost-user: Ring states, IOMMU support; I2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = used_moves,
	},
	{
		.id = "iotlb-ring.used-ring-of-writes-moves",
		.title = "the same of the ring whose buffers are written",
		.rule = "vhost-user: Ring states, IOMMU support; I2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = used_of_what_is_received_moves,
	},
	{
		.id = "iotlb-ring.refused",
		.title = "a ring with a page that is refused halts, says so, and goes on at a kick",
		.rule = "S4b",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = refused_halts,
	},
	{
		.id = "iotlb-ring.each-page-once",
		.title = "a ring's page is asked for once",
		.rule = "S1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = each_page_of_it_once,
	},
	{
		.id = "iotlb-ring.pushed",
		.title = "a ring whose pages were told before needs no miss",
		.rule = "U5",
		.level = LEVEL_CONTRACT,
		.needs = { .features = FRONT_IOMMU },
		.backend = pushed_pages,
	},
	{
		.id = "iotlb-ring.beyond-the-end",
		.title = "a ring that goes beyond the end of the space kills nobody",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.needs = { .features = FRONT_IOMMU },
		.backend = end_of_the_space,
	},
};

const struct conform_area area_iotlb_ring = AREA("iotlb-ring",
                                                 "rings that are translated themselves", cases);
