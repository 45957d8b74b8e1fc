/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: indices, notifications and sizes of a split ring, all well meant. */
#include "blk.h"
#include "io.h"
#include "suite_backend.h"

#define NUM     8u
#define CALL_MS 500

static struct ring *begin(struct front *f, uint64_t features, const struct ring_setup *setup)
{
	front_open(f, &(struct front_setup){ .features = features });
	io_start_with(f, setup);
	return &f->rings[io_out_ring(f)];
}

/* More often than the ring is long. */
static void work_round(struct front *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		io_expect_works(f);
}

static void ring_goes_round(struct front *f)
{
	begin(f, 0, &(struct ring_setup){ .num = NUM });
	work_round(f, 3 * NUM);
	expect_canaries(f);
}

static void indices_wrap(struct front *f)
{
	const struct ring *ring = begin(f, 0, &(struct ring_setup){ .num = NUM, .base = 65530 });

	work_round(f, NUM);
	EXPECT(f, ring_used_index(ring) < 65530, "the used index to have gone round: it is %u",
	       ring_used_index(ring));
}

static void begins_where_told(struct front *f)
{
	const struct ring *ring = begin(f, 0, &(struct ring_setup){ .num = NUM, .base = 1234 });
	uint16_t base;

	io_expect_works(f);
	EXPECT(f, ring_used_index(ring) != 0 && ring_used_index(ring) >= 1235,
	       "the used index to go on from 1,234: it is %u", ring_used_index(ring));
	base = ring_avail_index(ring);
	EXPECT_EQUAL(f, front_ring_stop(f, io_out_ring(f)), base, "base when it is stopped");
}

static void smallest_ring(struct front *f)
{
	begin(f, 0, &(struct ring_setup){ .num = 4 });
	work_round(f, 8);
	expect_canaries(f);
}

static void large_ring(struct front *f)
{
	begin(f, 0, &(struct ring_setup){ .num = 256 });
	work_round(f, 4);
	expect_canaries(f);
}

static void chain_as_long_as_the_ring(struct front *f)
{
	struct span out[NUM - 2];

	begin(f, 0, &(struct ring_setup){ .num = NUM });
	for (unsigned i = 0; i < NUM - 2; i++) {
		out[i] = front_alloc(f, 512);
		front_pattern(&out[i], i);
	}
	io_out(f, out, NUM - 2);
	io_expect_done(f);
	io_expect_saw(f, out, NUM - 2);
}

static void called_when_done(struct front *f)
{
	const struct ring *ring = begin(f, 0, &(struct ring_setup){ 0 });

	io_expect_works(f);
	EXPECT(f, front_event(f, ring->call, CALL_MS), "a call for what was used: none came");
}

static void not_called_unasked(struct front *f)
{
	struct ring *ring = begin(f, 0, &(struct ring_setup){ 0 });
	struct span out = front_alloc(f, 512);

	/* A start may be told. */
	front_event(f, ring->call, FRONT_QUIET);
	ring_no_calls(ring, true);
	io_out(f, &out, 1);
	io_expect_done(f);
	EXPECT(f, !front_event(f, ring->call, FRONT_QUIET),
	       "no call, as the driver asked for none: there is one");
}

/* The first call after a start may come in any case. */
static struct ring *begin_with_events(struct front *f, uint16_t event)
{
	struct ring *ring = begin(f, FRONT_EVENT_IDX, &(struct ring_setup){ .event_idx = true });
	struct span out = front_alloc(f, 512);

	io_out(f, &out, 1);
	io_expect_done(f);
	front_event(f, ring->call, FRONT_QUIET);
	ring_used_event(ring, event);
	io_out(f, &out, 1);
	io_expect_done(f);
	return ring;
}

static void called_at_the_event_index(struct front *f)
{
	const struct ring *ring = begin_with_events(f, 1);

	EXPECT(f, front_event(f, ring->call, CALL_MS),
	       "a call when the event index is passed: none came");
}

static void not_called_before_the_event_index(struct front *f)
{
	const struct ring *ring = begin_with_events(f, 2);

	EXPECT(f, !front_event(f, ring->call, FRONT_QUIET),
	       "no call before the event index is passed: there is one");
}

/* The device asks for kicks in its way; each request is kicked only if it does. */
static void asks_for_the_kicks_it_needs(struct front *f)
{
	struct ring *ring = begin(f, FRONT_EVENT_IDX, &(struct ring_setup){ .event_idx = true });
	struct blk_request request = blk_request(f);
	struct span data = front_alloc(f, 512);
	const struct seg segs[] = {
		{ request.header.addr, 16, false },
		{ data.addr, data.len, true },
		{ request.status.addr, 1, true },
	};

	*(struct virtio_blk_outhdr *)request.header.ptr = (struct virtio_blk_outhdr){
		.type = VIRTIO_BLK_T_IN
	};
	trial_mute(f->trial);
	for (unsigned i = 0; i < 200; i++) {
		uint16_t old = ring_avail_index(ring);

		ring_show(ring, ring_add(ring, segs, 3, false));
		if (ring_wants_kick(ring, old))
			front_kick(f, 0);
		expect_used(f, 0);
	}
	trial_unmute(f->trial);
}

/* What the used element of a request with 1,024 bytes of data says. */
static uint32_t used_length(struct front *f, uint32_t type)
{
	struct blk_request request;
	struct span data;

	begin(f, 0, &(struct ring_setup){ 0 });
	request = blk_request(f);
	data = front_alloc(f, 1024);
	blk_submit(f, 0, &request, type, 0, &data, 1);
	return expect_used(f, 0).len;
}

static void used_length_of_a_read(struct front *f)
{
	EXPECT_EQUAL(f, used_length(f, VIRTIO_BLK_T_IN), 1025,
	             "bytes written by a read of 1,024, the status with them");
}

static void used_length_of_a_write(struct front *f)
{
	EXPECT_EQUAL(f, used_length(f, VIRTIO_BLK_T_OUT), 1,
	             "bytes written by a write: its status");
}

static void several_at_once(struct front *f)
{
	struct blk_request requests[NUM];
	unsigned seen = 0;
	struct span in;

	begin(f, 0, &(struct ring_setup){ .num = 64 });
	in = front_alloc(f, 512);
	for (unsigned i = 0; i < NUM; i++) {
		requests[i] = blk_request(f);
		blk_submit(f, 0, &requests[i], VIRTIO_BLK_T_IN, i, &in, 1);
	}
	for (unsigned i = 0; i < NUM; i++) {
		struct ring_used_elem elem = expect_used(f, 0);

		for (unsigned k = 0; k < NUM; k++)
			seen |= requests[k].head == elem.id ? 1u << k : 0;
	}
	EXPECT_EQUAL(f, seen, (1u << NUM) - 1, "which of eight requests were used, as bits");
	expect_unused(f, 0);
}

static void tables_are_read(struct front *f)
{
	begin(f, FRONT_INDIRECT, &(struct ring_setup){ .num = NUM, .indirect = true });
	work_round(f, 2 * NUM);
	expect_canaries(f);
}

static const struct conform_case cases[] = {
	{
		.id = "split.ring-goes-round",
		.title = "a ring is used over and over",
		.rule = "virtio 1.2, 2.7",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = ring_goes_round,
	},
	{
		.id = "split.indices-wrap",
		.title = "indices go on from 65,535 to 0",
		.rule = "virtio 1.2, 2.7.6",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = indices_wrap,
	},
	{
		.id = "split.begins-where-told",
		.title = "a ring begins at its base, and tells it when it is stopped",
		.rule = "vhost-user: SET_VRING_BASE, GET_VRING_BASE",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = begins_where_told,
	},
	{
		.id = "split.smallest-ring",
		.title = "a ring of four descriptors works",
		.rule = "virtio 1.2, 2.7",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_BLK,
		.backend = smallest_ring,
	},
	{
		.id = "split.large-ring",
		.title = "a ring of 256 descriptors works",
		.rule = "virtio 1.2, 2.7",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = large_ring,
	},
	{
		.id = "split.chain-as-long-as-the-ring",
		.title = "a chain of all descriptors of a ring works",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .echo = true },
		.backend = chain_as_long_as_the_ring,
	},
	{
		.id = "split.called-when-done",
		.title = "the driver is called when something was used",
		.rule = "virtio 1.2, 2.7.7",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = called_when_done,
	},
	{
		.id = "split.not-called-unasked",
		.title = "a driver that asks for no calls gets none",
		.rule = "virtio 1.2, 2.7.7",
		.level = LEVEL_SHOULD,
		.needs.device = DEVICE_IO,
		.backend = not_called_unasked,
	},
	{
		.id = "split.called-at-the-event-index",
		.title = "with event_idx the driver is called when its index is passed",
		.rule = "virtio 1.2, 2.7.7",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_BLK, .features = FRONT_EVENT_IDX },
		.backend = called_at_the_event_index,
	},
	{
		.id = "split.not-called-before-the-event-index",
		.title = "with event_idx the driver is not called before its index is passed",
		.rule = "virtio 1.2, 2.7.7",
		.level = LEVEL_SHOULD,
		.needs = { .device = DEVICE_BLK, .features = FRONT_EVENT_IDX },
		.backend = not_called_before_the_event_index,
	},
	{
		.id = "split.asks-for-the-kicks-it-needs",
		.title = "with event_idx no kick is lost: two hundred requests, kicked only if "
			 "asked",
		.rule = "virtio 1.2, 2.7.10",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_BLK, .features = FRONT_EVENT_IDX },
		.backend = asks_for_the_kicks_it_needs,
		.explain =
			"The device must look at the ring once more after it has asked for kicks.",
	},
	{
		.id = "split.used-length-of-a-read",
		.title = "a read's used element counts data and status",
		.rule = "virtio 1.2, 2.7.8",
		.level = LEVEL_SHOULD,
		.needs.device = DEVICE_BLK,
		.backend = used_length_of_a_read,
	},
	{
		.id = "split.used-length-of-a-write",
		.title = "a write's used element counts its status alone",
		.rule = "virtio 1.2, 2.7.8",
		.level = LEVEL_SHOULD,
		.needs.device = DEVICE_BLK,
		.backend = used_length_of_a_write,
	},
	{
		.id = "split.several-at-once",
		.title = "each of several requests is used once",
		.rule = "virtio 1.2, 2.7.8",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_BLK,
		.backend = several_at_once,
	},
	{
		.id = "split.tables-are-read",
		.title = "indirect tables are read",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = tables_are_read,
	},
};

const struct conform_area area_split = AREA(
	"split", "indices, notifications and sizes of split rings", cases);
