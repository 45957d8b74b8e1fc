/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: indices, kicks and places of rings as no driver may have them. */
#include <errno.h>

#include "base/fd.h"
#include "hostile.h"
#include "suite_backend.h"

#define KICKS      2000u
#define TELLING_MS 500

static void available_index_jumps(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, 0, 0);
	ring_jump(ring, HOSTILE_NUM + 1);
	hostile_kick(f);
}

static void available_index_jumps_far(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, 0, 0);
	ring_jump(ring, 0x8000);
	hostile_kick(f);
}

static void available_index_goes_back(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);

	io_expect_works(f);
	ring_jump(ring, (uint16_t)(ring_avail_index(ring) - 1));
	hostile_kick(f);
}

static void used_index_is_changed(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span out = front_alloc(f, 512);

	io_expect_works(f);
	ring->used[1] = 0x7777;
	io_out(f, &out, 1);
	hostile_kick(f);
}

static void same_head_many_times(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct span h = hostile_header(f);

	ring_desc(ring, 0, h.addr, h.len, 0, 0);
	for (unsigned i = 1; i < HOSTILE_NUM; i++)
		ring_show(ring, 0);
	hostile_show(f, 0);
}

static void storm_of_kicks(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);

	for (unsigned i = 0; i < KICKS; i++)
		fd_signal(ring->kick);
	io_expect_works(f);
	expect_alive(f);
}

static void kick_that_is_never_empty(struct front *f)
{
	const struct ring *ring = hostile_begin(f, false);

	for (unsigned i = 0; i < 100; i++)
		fd_signal(ring->kick);
	expect_alive(f);
	expect_serves_anew(f);
}

static void parts_upon_each_other(struct front *f)
{
	struct message addr;

	front_open(f, &(struct front_setup){ 0 });
	front_ring_layout(f, 0, &(struct ring_setup){ .num = HOSTILE_NUM });
	addr = front_ring_addr(f, 0);
	addr.payload.addr.avail = addr.payload.addr.desc;
	addr.payload.addr.used = addr.payload.addr.desc;
	if (front_ring_try(f, 0, &addr)) {
		ring_show(&f->rings[0], 0);
		front_kick(f, 0);
		front_wait_used(f, 0, 1, FRONT_QUIET);
	}
	expect_canaries(f);
	expect_serves_anew(f);
}

static void end_of_memory_cuts_the_ring(struct front *f)
{
	const struct ram_region *region;
	struct message addr;

	front_open(f, &(struct front_setup){ 0 });
	front_ring_layout(f, 0, &(struct ring_setup){ .num = HOSTILE_NUM });
	region = &f->ram.regions[0];
	addr = front_ring_addr(f, 0);
	/* Flags and index of the used ring are inside, its elements are not. */
	addr.payload.addr.used = region->uva + region->size - 8;
	if (front_ring_try(f, 0, &addr)) {
		front_kick(f, 0);
		front_wait_used(f, 0, 1, FRONT_QUIET);
	}
	expect_canaries(f);
	expect_serves_anew(f);
}

/* A back-end that ends the connection has told, too. */
static void broken_ring_is_told(struct front *f)
{
	struct ring *ring = hostile_begin(f, false);
	struct message reply;

	ring_show(ring, UINT16_MAX);
	front_kick(f, io_out_ring(f));
	EXPECT(f,
	       front_event(f, ring->err, TELLING_MS) ||
	               link_recv(&f->main, &reply, FRONT_QUIET) == -ENOTCONN,
	       "the ring's error eventfd to be signalled, or the connection to end: neither");
}

static const struct conform_case cases[] = {
	{
		.id = "hostile-ring.available-index-jumps",
		.title = "an available index further ahead than the ring is long is outlived",
		.rule = "virtio 1.2, 2.7.6",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = available_index_jumps,
	},
	{
		.id = "hostile-ring.available-index-jumps-far",
		.title = "an available index that jumps by 32,768 is outlived",
		.rule = "virtio 1.2, 2.7.6",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = available_index_jumps_far,
		.explain = "Who believes it walks heads that were never shown, over and over.",
	},
	{
		.id = "hostile-ring.available-index-goes-back",
		.title = "an available index that goes back is outlived",
		.rule = "virtio 1.2, 2.7.6.1",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = available_index_goes_back,
	},
	{
		.id = "hostile-ring.used-index-is-changed",
		.title = "a used index that the driver overwrites is outlived",
		.rule = "virtio 1.2, 2.7.8",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = used_index_is_changed,
		.explain =
			"It is the device's to write. What is read back from there is the driver's "
			"word.",
	},
	{
		.id = "hostile-ring.same-head-many-times",
		.title = "the same chain shown again while it is in use is outlived",
		.rule = "virtio 1.2, 2.7.13",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = same_head_many_times,
	},
	{
		.id = "hostile-ring.storm-of-kicks",
		.title = "two thousand kicks for nothing hinder nobody",
		.rule = "vhost-user: SET_VRING_KICK",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = storm_of_kicks,
	},
	{
		.id = "hostile-ring.kicked-while-it-ends",
		.title = "kicks do not outlive their connection",
		.rule = "vhost-user: SET_VRING_KICK",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = kick_that_is_never_empty,
	},
	{
		.id = "hostile-ring.parts-upon-each-other",
		.title = "a ring whose three parts are one is refused or outlived",
		.rule = "vhost-user: SET_VRING_ADDR",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = parts_upon_each_other,
	},
	{
		.id = "hostile-ring.end-of-memory-cuts-the-ring",
		.title = "a used ring that goes on behind its region is refused",
		.rule = "vhost-user: SET_VRING_ADDR",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = end_of_memory_cuts_the_ring,
		.explain =
			"Nothing may be written behind the region, though the file goes on there.",
	},
	{
		.id = "hostile-ring.broken-ring-is-told",
		.title = "a ring that was given up is told by its error eventfd",
		.rule = "vhost-user: SET_VRING_ERR",
		.level = LEVEL_SHOULD,
		.needs.device = DEVICE_IO,
		.backend = broken_ring_is_told,
	},
};

const struct conform_area area_hostile_ring = AREA(
	"hostile-ring", "indices, kicks and places as no driver may have them", cases);
