/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: chains linked as no driver may. */
#include "hostile.h"
#include "suite_backend.h"

static void chain_with_a_loop(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, DESC_NEXT, 1);
	ring_desc(ring, 1, h.addr, h.len, DESC_NEXT, 0);
	hostile_show(f, 0);
}

static void descriptor_after_itself(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, DESC_NEXT, 0);
	hostile_show(f, 0);
}

static void loop_behind_a_status(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);
	struct span data = front_alloc(f, 4096);

	ring_desc(ring, 0, h.addr, h.len, DESC_NEXT, 1);
	ring_desc(ring, 1, data.addr, data.len, DESC_NEXT | DESC_WRITE, 2);
	ring_desc(ring, 2, data.addr, data.len, DESC_NEXT | DESC_WRITE, 1);
	hostile_show(f, 0);
}

static void head_out_of_range(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, 0, 0);
	hostile_show(f, HOSTILE_NUM);
}

static void head_far_out_of_range(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, 0, 0);
	hostile_show(f, UINT16_MAX);
}

static void next_out_of_range(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, DESC_NEXT, HOSTILE_NUM);
	hostile_show(f, 0);
}

static void next_far_out_of_range(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, DESC_NEXT, UINT16_MAX);
	hostile_show(f, 0);
}

static void readable_after_writable(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);
	struct span data = front_alloc(f, 512);

	ring_desc(ring, 0, h.addr, h.len, DESC_NEXT, 1);
	ring_desc(ring, 1, data.addr, data.len, DESC_NEXT | DESC_WRITE, 2);
	ring_desc(ring, 2, data.addr, data.len, DESC_NEXT, 3);
	ring_desc(ring, 3, h.addr, 1, DESC_WRITE, 0);
	hostile_show(f, 0);
}

static void flags_that_are_none(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, 0xfff0, 0);
	hostile_show(f, 0);
}

static void nothing_but_a_header(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, 0, 0);
	hostile_show(f, 0);
}

static void header_cut_short(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, 5, DESC_NEXT, 1);
	ring_desc(ring, 1, h.addr, 1, DESC_WRITE, 0);
	hostile_show(f, 0);
}

static void only_writable(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);
	struct span data = front_alloc(f, 512);

	ring_desc(ring, 0, data.addr, data.len, DESC_NEXT | DESC_WRITE, 1);
	ring_desc(ring, 1, h.addr, 1, DESC_WRITE, 0);
	hostile_show(f, 0);
}

static void indirect_not_negotiated(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, 16, DESC_INDIRECT, 0);
	hostile_show(f, 0);
}

static const struct conform_case cases[] = {
	{
		.id = "hostile.chain-with-a-loop",
		.title = "a chain that leads back to itself ends nobody",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = chain_with_a_loop,
		.explain = "A walk that counts no descriptors never ends, or fills a list of its "
			   "own beyond its end.",
	},
	{
		.id = "hostile.descriptor-after-itself",
		.title = "a descriptor that is its own next ends nobody",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = descriptor_after_itself,
	},
	{
		.id = "hostile.loop-behind-a-status",
		.title = "a loop among writable descriptors ends nobody",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = loop_behind_a_status,
	},
	{
		.id = "hostile.head-out-of-range",
		.title = "a head beyond the descriptors is refused",
		.rule = "virtio 1.2, 2.7.6",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = head_out_of_range,
	},
	{
		.id = "hostile.head-far-out-of-range",
		.title = "a head of 65,535 is refused",
		.rule = "virtio 1.2, 2.7.6",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = head_far_out_of_range,
	},
	{
		.id = "hostile.next-out-of-range",
		.title = "a next beyond the descriptors is refused",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = next_out_of_range,
	},
	{
		.id = "hostile.next-far-out-of-range",
		.title = "a next of 65,535 is refused",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = next_far_out_of_range,
	},
	{
		.id = "hostile.readable-after-writable",
		.title = "what is to be read behind what is to be written is outlived",
		.rule = "virtio 1.2, 2.7.4.2",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = readable_after_writable,
	},
	{
		.id = "hostile.flags-that-are-none",
		.title = "flags that have no meaning are outlived",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = flags_that_are_none,
	},
	{
		.id = "hostile.nothing-but-a-header",
		.title = "a request that ends where its header does is outlived",
		.rule = "virtio 1.2, 5.2.6",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_BLK,
		.backend = nothing_but_a_header,
	},
	{
		.id = "hostile.header-cut-short",
		.title = "a request whose header is too short is outlived",
		.rule = "virtio 1.2, 5.2.6",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = header_cut_short,
	},
	{
		.id = "hostile.only-writable",
		.title = "a chain without anything to read is outlived",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = only_writable,
	},
	{
		.id = "hostile.indirect-not-negotiated",
		.title = "an indirect table is refused where it was not negotiated",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_CONTRACT,
		.needs.device = DEVICE_IO,
		.backend = indirect_not_negotiated,
	},
};

const struct conform_area area_hostile = AREA("hostile", "chains linked as no driver may", cases);
