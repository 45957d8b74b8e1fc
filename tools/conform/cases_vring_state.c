/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: rings that are started, enabled, disabled, stopped. What they carry is in
 * cases_ring.c; numbers and places that are none in cases_vring_wrong.c.
 */
#include "blk.h"
#include "io.h"
#include "suite_backend.h"

#define REPLY_ACK VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)
#define BIT_30    VHU_BIT(VHU_F_PROTOCOL_FEATURES)
#define RESET     VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE)

static void base_comes_back(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	front_ring_start(f, 0, &(struct ring_setup){ .base = 1234, .disabled = true });
	EXPECT_EQUAL(f, front_ring_stop(f, 0), 1234, "base of a ring of which nothing was used");
}

static void base_of_an_unused_ring(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	EXPECT_EQUAL(f, front_ring_stop(f, 0), 0, "base of a ring that was never started");
	expect_alive(f);
}

static void base_twice(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	front_ring_start(f, 0, &(struct ring_setup){ .base = 77, .disabled = true });
	EXPECT_EQUAL(f, front_ring_stop(f, 0), 77, "base");
	EXPECT_EQUAL(f, front_ring_stop(f, 0), 77, "base of a ring that is stopped already");
}

static struct span open_io(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	return front_alloc(f, 512);
}

static void do_one(struct front *f, const struct span *data)
{
	io_out(f, data, 1);
	io_expect_done(f);
}

static void base_counts_what_was_used(struct front *f)
{
	struct span data = open_io(f);

	for (unsigned i = 0; i < 3; i++)
		do_one(f, &data);
	EXPECT_EQUAL(f, front_ring_stop(f, io_out_ring(f)), 3, "base behind three chains");
}

#define PLACE 64 /* a sector that is written twice */

static void disabled_has_no_effect(struct front *f)
{
	struct span data = open_io(f), seen = front_alloc(f, 512);
	struct blk_request request = blk_request(f);

	front_fill(f, &data, 0x11);
	EXPECT_EQUAL(f, blk_do(f, VIRTIO_BLK_T_OUT, PLACE, &data, 1), VIRTIO_BLK_S_OK, "status");
	front_ring_enable(f, 0, false);
	front_fill(f, &data, 0x22);
	blk_submit(f, 0, &request, VIRTIO_BLK_T_OUT, PLACE, &data, 1);
	if (!front_wait_used(f, 0, 1, FRONT_QUIET)) {
		NOTE(f, "it waits");
		front_ring_enable(f, 0, true);
		expect_used(f, 0);
		return;
	}
	expect_used(f, 0);
	front_ring_enable(f, 0, true);
	EXPECT_EQUAL(f, blk_do(f, VIRTIO_BLK_T_IN, PLACE, &seen, 1), VIRTIO_BLK_S_OK, "status");
	expect_bytes(f, &seen, 0x11, "what was not to be overwritten by a disabled ring");
}

static void enabled_does_what_waits(struct front *f)
{
	struct span data;

	front_open(f, &(struct front_setup){ 0 });
	io_start_with(f, &(struct ring_setup){ .disabled = true });
	data = front_alloc(f, 512);
	io_out(f, &data, 1);
	NOTE(f, "enables and does not kick again");
	front_ring_enable(f, 0, true);
	front_ring_enable(f, io_out_ring(f), true);
	io_expect_done(f);
}

static void disabled_and_enabled(struct front *f)
{
	struct span data = open_io(f);
	unsigned ring = io_out_ring(f);

	for (unsigned i = 0; i < 5; i++) {
		do_one(f, &data);
		front_ring_enable(f, ring, false);
		front_ring_enable(f, ring, true);
	}
	do_one(f, &data);
	EXPECT_EQUAL(f, front_ring_stop(f, ring), 6, "base behind six chains");
}

static void stopped_is_left_alone(struct front *f)
{
	struct span data = open_io(f);

	do_one(f, &data);
	io_stop(f);
	io_out(f, &data, 1);
	expect_unused(f, io_out_ring(f));
	expect_alive(f);
}

static void used_index_is_final(struct front *f)
{
	unsigned ring, n = 16;
	uint16_t base, used;
	struct span data = open_io(f);

	ring = io_out_ring(f);
	for (unsigned i = 0; i < n; i++)
		io_out(f, &data, 1);
	base = front_ring_stop(f, ring);
	used = ring_used_index(&f->rings[ring]);
	EXPECT_EQUAL(f, used, base, "used index when GET_VRING_BASE is answered, and base");
	front_wait_used(f, ring, n + 1, FRONT_QUIET);
	EXPECT_EQUAL(f, ring_used_index(&f->rings[ring]), used, "used index some time later");
}

static void goes_on_from_its_base(struct front *f)
{
	struct span data = open_io(f);
	unsigned ring = io_out_ring(f);
	uint16_t base;

	do_one(f, &data);
	do_one(f, &data);
	base = front_ring_stop(f, ring);
	front_ring_announce(f, ring, base);
	front_ring_enable(f, ring, true);
	do_one(f, &data);
	EXPECT_EQUAL(f, front_ring_stop(f, ring), base + 1, "base behind one more chain");
}

static void does_what_waited_while_stopped(struct front *f)
{
	struct span data = open_io(f);
	unsigned ring = io_out_ring(f);
	uint16_t base;

	do_one(f, &data);
	base = front_ring_stop(f, ring);
	io_out(f, &data, 1);
	expect_unused(f, ring);
	NOTE(f, "starts anew, with a kick that is signalled already");
	front_ring_announce(f, ring, base);
	front_ring_enable(f, ring, true);
	io_expect_done(f);
}

static void status_keeps_the_index(struct front *f)
{
	struct message message = msg_u64(VHU_FE_SET_STATUS, 0);
	struct span data = open_io(f);

	do_one(f, &data);
	do_one(f, &data);
	expect_ack(f, &message);
	EXPECT_EQUAL(f, front_ring_stop(f, io_out_ring(f)), 2,
	             "base behind two chains, asked for after status 0");
}

static void reset_stops(struct front *f)
{
	struct message message = msg_empty(VHU_FE_RESET_DEVICE);
	struct span data = open_io(f);

	do_one(f, &data);
	expect_ack(f, &message);
	io_out(f, &data, 1);
	expect_unused(f, io_out_ring(f));
	expect_alive(f);
}

static void works_after_reset(struct front *f)
{
	struct message message = msg_empty(VHU_FE_RESET_DEVICE);
	struct span data = open_io(f);

	do_one(f, &data);
	expect_ack(f, &message);
	f->status = 0;
	front_set_features(f, 0);
	front_share(f);
	io_start(f);
	io_expect_works(f);
}

static void one_stops_alone(struct front *f)
{
	struct span data;

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	front_ring_start(f, 1, &(struct ring_setup){ 0 });
	data = front_alloc(f, 512);
	do_one(f, &data);
	front_ring_stop(f, 1);
	do_one(f, &data);
}

static const struct conform_case cases[] = {
	{
		.id = "vring-state.base-comes-back",
		.title = "GET_VRING_BASE returns what SET_VRING_BASE has set",
		.rule = "vhost-user: GET_VRING_BASE",
		.level = LEVEL_MUST,
		.backend = base_comes_back,
	},
	{
		.id = "vring-state.base-of-an-unused-ring",
		.title = "GET_VRING_BASE of a ring that was never started is answered",
		.rule = "vhost-user: GET_VRING_BASE",
		.level = LEVEL_SHOULD,
		.backend = base_of_an_unused_ring,
	},
	{
		.id = "vring-state.base-twice",
		.title = "GET_VRING_BASE of a ring that is stopped is answered likewise",
		.rule = "vhost-user: GET_VRING_BASE",
		.level = LEVEL_SHOULD,
		.backend = base_twice,
	},
	{
		.id = "vring-state.base-counts-what-was-used",
		.title = "GET_VRING_BASE returns the index of the next chain",
		.rule = "vhost-user: GET_VRING_BASE",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = base_counts_what_was_used,
	},
	{
		.id = "vring-state.disabled-has-no-effect",
		.title = "what is written through a disabled ring changes no disk",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_BLK, .features = BIT_30 },
		.backend = disabled_has_no_effect,
	},
	{
		.id = "vring-state.enabled-does-what-waits",
		.title = "what was kicked while disabled is done once enabled",
		.rule = "vhost-user: Ring states; S7",
		.level = LEVEL_SHOULD,
		.needs = { .device = DEVICE_BLK, .features = BIT_30 },
		.backend = enabled_does_what_waits,
		.explain = "The kick's eventfd may have been read while the ring was disabled. If\n"
			   "nothing remembers it, the driver waits for ever.",
	},
	{
		.id = "vring-state.disabled-and-enabled",
		.title = "disabling and enabling loses nothing",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .features = BIT_30 },
		.backend = disabled_and_enabled,
	},
	{
		.id = "vring-state.stopped-is-left-alone",
		.title = "a ring is not looked at after GET_VRING_BASE",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = stopped_is_left_alone,
	},
	{
		.id = "vring-state.used-index-is-final",
		.title = "when GET_VRING_BASE is answered all that was taken is used",
		.rule = "vhost-user: GET_VRING_BASE (all that is in flight completes first)",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = used_index_is_final,
		.explain =
			"What follows is a migration, or the end of the memory. A request that\n"
			"is counted by the base and not in the used ring is lost; one that ends\n"
			"later writes into memory that may be another's.",
	},
	{
		.id = "vring-state.goes-on-from-its-base",
		.title = "a ring that was stopped goes on where it was",
		.rule = "vhost-user: SET_VRING_BASE",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = goes_on_from_its_base,
	},
	{
		.id = "vring-state.does-what-waited-while-stopped",
		.title = "what was made available while stopped is done after the start",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = does_what_waited_while_stopped,
	},
	{
		.id = "vring-state.status-keeps-the-index",
		.title = "status 0 before GET_VRING_BASE loses no index",
		.rule = "B1",
		.level = LEVEL_CONTRACT,
		.needs = { .device = DEVICE_IO,
	                   .protocol = VHU_BIT(VHU_PROTOCOL_F_STATUS) | REPLY_ACK },
		.backend = status_keeps_the_index,
		.explain = "QEMU 7.2 sends them in this order when a machine is reset.",
	},
	{
		.id = "vring-state.reset-stops",
		.title = "RESET_DEVICE stops all rings",
		.rule = "vhost-user: RESET_DEVICE",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .protocol = RESET | REPLY_ACK },
		.backend = reset_stops,
	},
	{
		.id = "vring-state.works-after-reset",
		.title = "after RESET_DEVICE the device can be set up again",
		.rule = "vhost-user: RESET_DEVICE",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .protocol = RESET | REPLY_ACK },
		.backend = works_after_reset,
	},
	{
		.id = "vring-state.one-stops-alone",
		.title = "a ring that is stopped stops no other",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_BLK, .queues = 2 },
		.backend = one_stops_alone,
	},
};

const struct conform_area area_vring_state = AREA(
	"vring-state", "starting, stopping, enabling of rings", cases, .more = &more_vring_state);
