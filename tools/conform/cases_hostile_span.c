/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: buffers that no driver may give. */
#include "hostile.h"
#include "suite_backend.h"

/* A request whose data, to be written, is @len bytes at @addr. */
static void show_data(struct front *f, struct ring *ring, const struct span *header, uint64_t addr,
                      uint32_t len)
{
	ring_desc(ring, 0, header->addr, header->len, DESC_NEXT, 1);
	ring_desc(ring, 1, addr, len, DESC_NEXT | DESC_WRITE, 2);
	ring_desc(ring, 2, header->addr, 1, DESC_WRITE, 0);
	hostile_show(f, 0);
}

static void address_in_no_memory(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	show_data(f, ring, &h, HOSTILE_FAR, 4096);
}

static void header_in_no_memory(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, HOSTILE_FAR, h.len, DESC_NEXT, 1);
	ring_desc(ring, 1, h.addr, 1, DESC_WRITE, 0);
	hostile_show(f, 0);
}

static void buffer_over_the_end_of_memory(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);
	const struct ram_region *region = &f->ram.regions[1];
	uint64_t last = region->gpa + region->size - 512;

	show_data(f, ring, &h, last, 4096);
}

static void length_that_wraps(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	show_data(f, ring, &h, UINT64_MAX - 511, 4096);
}

static void length_of_four_gib(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	show_data(f, ring, &h, h.addr, UINT32_MAX);
}

static void lengths_that_sum_beyond_32_bits(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	for (uint16_t i = 0; i < 8; i++)
		ring_desc(ring, i, h.addr, UINT32_MAX / 4, DESC_NEXT, (uint16_t)(i + 1));
	ring_desc(ring, 8, h.addr, 1, DESC_WRITE, 0);
	hostile_show(f, 0);
}

static void length_of_nothing(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, 0, DESC_NEXT, 1);
	ring_desc(ring, 1, h.addr, 0, DESC_NEXT | DESC_WRITE, 2);
	ring_desc(ring, 2, h.addr, 0, DESC_WRITE, 0);
	hostile_show(f, 0);
}

static void data_that_is_the_ring(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	show_data(f, ring, &h, ring->desc_addr, 4096);
}

static void data_that_is_the_used_ring(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	show_data(f, ring, &h, ring->used_addr, 512);
}

static const struct conform_case cases[] = {
	{
		.id = "hostile-span.address-in-no-memory",
		.title = "a buffer that lies in no memory is refused",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = address_in_no_memory,
	},
	{
		.id = "hostile-span.header-in-no-memory",
		.title = "a chain that begins in no memory is refused",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = header_in_no_memory,
	},
	{
		.id = "hostile-span.buffer-over-the-end-of-memory",
		.title = "a buffer that goes on behind its region is refused",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = buffer_over_the_end_of_memory,
		.explain = "What lies behind the region in the file that was shared is not the "
			   "driver's to give.",
	},
	{
		.id = "hostile-span.length-that-wraps",
		.title = "a buffer that wraps around the address space is refused",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = length_that_wraps,
	},
	{
		.id = "hostile-span.length-of-four-gib",
		.title = "a buffer of 4 GiB less a byte is refused",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = length_of_four_gib,
	},
	{
		.id = "hostile-span.lengths-that-sum-beyond-32-bits",
		.title = "a chain of more than 4 GiB is outlived",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = lengths_that_sum_beyond_32_bits,
	},
	{
		.id = "hostile-span.length-of-nothing",
		.title = "a chain of empty buffers is outlived",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = length_of_nothing,
	},
	{
		.id = "hostile-span.data-that-is-the-ring",
		.title = "a buffer that lies upon the ring itself is outlived",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = data_that_is_the_ring,
		.explain = "The device then writes its own descriptors while it uses them.",
	},
	{
		.id = "hostile-span.data-that-is-the-used-ring",
		.title = "a buffer that lies upon the used ring is outlived",
		.rule = "virtio 1.2, 2.7.5",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = data_that_is_the_used_ring,
	},
};

const struct conform_area area_hostile_span = AREA("hostile-span",
                                                   "buffers that no driver may give", cases);
