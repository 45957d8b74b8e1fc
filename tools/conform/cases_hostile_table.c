/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: indirect tables as no driver may make them. */
#include "hostile.h"
#include "suite_backend.h"

static void indirect_in_indirect(struct front *f)
{
	struct ring *ring = hostile_begin(f, true);

	ring->tables[0] = (struct ring_desc){ ring->tables_addr, 16, DESC_INDIRECT, 0 };
	ring_desc(ring, 0, ring->tables_addr, 16, DESC_INDIRECT, 0);
	hostile_show(f, 0);
}

static void indirect_with_next(struct front *f)
{
	struct ring *ring = hostile_begin(f, true);
	struct span h = hostile_header(f);

	ring->tables[0] = (struct ring_desc){ h.addr, h.len, 0, 0 };
	ring_desc(ring, 0, ring->tables_addr, 16, DESC_INDIRECT | DESC_NEXT, 1);
	ring_desc(ring, 1, h.addr, 1, DESC_WRITE, 0);
	hostile_show(f, 0);
}

static void indirect_of_odd_size(struct front *f)
{
	struct ring *ring = hostile_begin(f, true);
	struct span h = hostile_header(f);

	ring->tables[0] = (struct ring_desc){ h.addr, h.len, DESC_NEXT, 1 };
	ring_desc(ring, 0, ring->tables_addr, 23, DESC_INDIRECT, 0);
	hostile_show(f, 0);
}

static void indirect_of_nothing(struct front *f)
{
	struct ring *ring = hostile_begin(f, true);

	ring_desc(ring, 0, ring->tables_addr, 0, DESC_INDIRECT, 0);
	hostile_show(f, 0);
}

static void indirect_of_four_gib(struct front *f)
{
	struct ring *ring = hostile_begin(f, true);

	ring_desc(ring, 0, ring->tables_addr, UINT32_MAX & ~15u, DESC_INDIRECT, 0);
	hostile_show(f, 0);
}

static void indirect_in_no_memory(struct front *f)
{
	struct ring *ring = hostile_begin(f, true);

	ring_desc(ring, 0, HOSTILE_FAR, 16, DESC_INDIRECT, 0);
	hostile_show(f, 0);
}

static void indirect_with_a_loop(struct front *f)
{
	struct ring *ring = hostile_begin(f, true);
	struct span h = hostile_header(f);

	ring->tables[0] = (struct ring_desc){ h.addr, h.len, DESC_NEXT, 0 };
	ring_desc(ring, 0, ring->tables_addr, 16, DESC_INDIRECT, 0);
	hostile_show(f, 0);
}

static void indirect_next_out_of_range(struct front *f)
{
	struct ring *ring = hostile_begin(f, true);
	struct span h = hostile_header(f);

	ring->tables[0] = (struct ring_desc){ h.addr, h.len, DESC_NEXT, 77 };
	ring_desc(ring, 0, ring->tables_addr, 32, DESC_INDIRECT, 0);
	hostile_show(f, 0);
}

static const struct conform_case cases[] = {
	{
		.id = "hostile-table.indirect-in-indirect",
		.title = "an indirect table in an indirect table is outlived",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = indirect_in_indirect,
	},
	{
		.id = "hostile-table.indirect-with-next",
		.title = "an indirect descriptor with a next is outlived",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = indirect_with_next,
	},
	{
		.id = "hostile-table.indirect-of-odd-size",
		.title = "an indirect table of a size that is no multiple of 16 is outlived",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = indirect_of_odd_size,
	},
	{
		.id = "hostile-table.indirect-of-nothing",
		.title = "an indirect table of no descriptors is outlived",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = indirect_of_nothing,
	},
	{
		.id = "hostile-table.indirect-of-four-gib",
		.title = "an indirect table of 4 GiB is outlived",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = indirect_of_four_gib,
	},
	{
		.id = "hostile-table.indirect-in-no-memory",
		.title = "an indirect table that lies in no memory is outlived",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = indirect_in_no_memory,
	},
	{
		.id = "hostile-table.indirect-with-a-loop",
		.title = "a loop in an indirect table is outlived",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = indirect_with_a_loop,
	},
	{
		.id = "hostile-table.indirect-next-out-of-range",
		.title = "a next beyond an indirect table is outlived",
		.rule = "virtio 1.2, 2.7.5.3",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = FRONT_INDIRECT },
		.backend = indirect_next_out_of_range,
	},
};

const struct conform_area area_hostile_table = AREA(
	"hostile-table", "indirect tables as no driver may make them", cases);
