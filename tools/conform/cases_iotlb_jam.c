/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: a back-channel that is full, while the main channel asks. This is a front-end
 * that waits for an acknowledgement and serves nothing meanwhile, as QEMU does: who
 * can't reply until there is room has stopped the machine.
 */
#include "front_jam.h"
#include "suite_backend.h"
#include "work.h"

#define SETTLE_MS 30

/* One page that is known, and one that a request needs whose miss can't be sent. */
struct stuck {
	struct span known, unknown;
};

static struct stuck open_stuck_without(struct front *f, uint64_t protocol)
{
	struct stuck stuck;

	front_open_jammable(
		f, &(struct front_setup){ .features = FRONT_IOMMU, .protocol_without = protocol });
	work_start_rings(f, NULL);
	stuck.known = front_alloc(f, WORK_BYTES);
	work_expect_reads(f, &stuck.known, 1);
	work_settle(f);
	stuck.unknown = front_alloc(f, WORK_BYTES);
	front_jam(f);
	work_out(f, &stuck.unknown, 1);
	front_wait_used(f, 0, UINT16_MAX, SETTLE_MS);
	return stuck;
}

static struct stuck open_stuck(struct front *f)
{
	return open_stuck_without(f, 0);
}

/* Once there is room everything goes on as if nothing had been. */
static void expect_recovers(struct front *f)
{
	front_unjam(f);
	work_expect_out(f);
	work_warm_up(f);
	work_expect_works(f);
}

static void features(struct front *f)
{
	open_stuck(f);
	expect_alive(f);
	expect_recovers(f);
}

static void invalidate(struct front *f)
{
	struct stuck stuck = open_stuck(f);

	expect_invalidate(f, stuck.known.addr, RAM_PAGE);
	expect_recovers(f);
}

static void update(struct front *f)
{
	struct stuck stuck = open_stuck(f);

	front_push(f, &stuck.known);
	expect_recovers(f);
}

static void ring_page(struct front *f)
{
	const struct ring *ring = &f->rings[work_out_ring(f)];

	open_stuck(f);
	expect_invalidate(f, ring->desc_addr, RAM_PAGE);
	expect_recovers(f);
}

static void used_page(struct front *f)
{
	const struct ring *ring = &f->rings[work_out_ring(f)];

	open_stuck(f);
	expect_invalidate(f, ring->used_addr, RAM_PAGE);
	expect_recovers(f);
}

static void flush(struct front *f)
{
	open_stuck(f);
	expect_invalidate(f, 0, UINT64_MAX);
	expect_recovers(f);
}

static void stop(struct front *f)
{
	unsigned index = work_out_ring(f);

	open_stuck(f);
	EXPECT_EQUAL(f, front_ring_stop(f, index),
	             (uint16_t)(ring_avail_index(&f->rings[index]) - 1),
	             "base of a ring of which the last request is not done");
}

static void disable(struct front *f)
{
	open_stuck(f);
	front_ring_enable(f, work_out_ring(f), false);
	front_ring_enable(f, work_out_ring(f), true);
	expect_recovers(f);
}

static void features_again(struct front *f)
{
	open_stuck(f);
	front_set_features(f, FRONT_IOMMU);
	expect_recovers(f);
}

static void disconnect(struct front *f)
{
	open_stuck(f);
	expect_serves_anew(f);
}

/* What can't be asked for is told, and no reply can be waited for. */
static void update_is_enough(struct front *f)
{
	struct stuck stuck = open_stuck_without(f, VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK));

	front_push(f, &stuck.unknown);
	EXPECT(f, work_out_done(f, (int)f->trial->patience_ms),
	       "an UPDATE to be enough: the request waits for its miss to be sent");
	front_unjam(f);
	work_expect_works(f);
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb-jam.get-features",
		.title = "GET_FEATURES is answered",
		.rule = "S5",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = features,
	},
	{
		.id = "iotlb-jam.invalidate",
		.title = "INVALIDATE of another page is acknowledged",
		.rule = "S5, I3",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = invalidate,
		.explain = "A front-end that waits for this reply serves no miss "
			   "meanwhile, and QEMU is one. Who replies only when its miss "
			   "was sent, or answered, never does.",
	},
	{
		.id = "iotlb-jam.update",
		.title = "UPDATE is acknowledged",
		.rule = "S5",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = update,
		.explain = "A front-end that waits for this reply serves no miss "
			   "meanwhile, and QEMU is one. Who replies only when its miss "
			   "was sent, or answered, never does.",
	},
	{
		.id = "iotlb-jam.ring-page",
		.title = "INVALIDATE of a page of the ring's descriptors is acknowledged",
		.rule = "S5, I3",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = ring_page,
		.explain = "A front-end that waits for this reply serves no miss "
			   "meanwhile, and QEMU is one. Who replies only when its miss "
			   "was sent, or answered, never does.",
	},
	{
		.id = "iotlb-jam.used-ring-page",
		.title = "INVALIDATE of a page of its used ring is acknowledged",
		.rule = "S5, I3",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = used_page,
		.explain = "A front-end that waits for this reply serves no miss "
			   "meanwhile, and QEMU is one. Who replies only when its miss "
			   "was sent, or answered, never does.",
	},
	{
		.id = "iotlb-jam.flush",
		.title = "a flush is acknowledged",
		.rule = "S5, I3",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = flush,
		.explain = "A front-end that waits for this reply serves no miss "
			   "meanwhile, and QEMU is one. Who replies only when its miss "
			   "was sent, or answered, never does.",
	},
	{
		.id = "iotlb-jam.stop",
		.title = "GET_VRING_BASE is answered",
		.rule = "S5",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = stop,
		.explain = "A front-end that waits for this reply serves no miss "
			   "meanwhile, and QEMU is one. Who replies only when its miss "
			   "was sent, or answered, never does.",
	},
	{
		.id = "iotlb-jam.disable",
		.title = "a ring is disabled and enabled",
		.rule = "S5",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = disable,
		.explain = "A front-end that waits for this reply serves no miss "
			   "meanwhile, and QEMU is one. Who replies only when its miss "
			   "was sent, or answered, never does.",
	},
	{
		.id = "iotlb-jam.features-again",
		.title = "SET_FEATURES with what was set is accepted",
		.rule = "S5, M1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = features_again,
	},
	{
		.id = "iotlb-jam.disconnect",
		.title = "the connection ends, and the next is served",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = disconnect,
	},
	{
		.id = "iotlb-jam.update-is-enough",
		.title = "without REPLY_ACK: a request whose miss was never sent goes on when it "
			 "is told",
		.rule = "U5",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = update_is_enough,
	},
};

const struct conform_area area_iotlb_jam = AREA("iotlb-jam", "a back-channel that is full", cases);
