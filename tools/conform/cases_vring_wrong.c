/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: rings that there are not, of sizes that are none, and where nothing is. */
#include "front.h"
#include "suite_backend.h"

#define REPLY_ACK VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)
#define BIT_30    VHU_BIT(VHU_F_PROTOCOL_FEATURES)

static struct message with_index(uint32_t request, uint32_t index)
{
	struct message message = msg_of_table(request, -1);

	if (message_spec(MESSAGE_MAIN, request)->layout == MESSAGE_LAYOUT_VRING_FD)
		message.payload.u64 = (index & VHU_VRING_INDEX_MASK) | VHU_VRING_NOFD;
	else
		message.payload.state.index = index;
	return message;
}

static void no_such_ring(struct front *f)
{
	uint32_t request = f->trial->which->request;
	bool by_fd = message_spec(MESSAGE_MAIN, request)->layout == MESSAGE_LAYOUT_VRING_FD;
	struct message message = with_index(request, by_fd ? 255 : UINT32_MAX);

	front_open(f, &(struct front_setup){ 0 });
	if (by_fd && f->subject->queues > 255)
		trial_skip(f->trial, "every ring that can be named exists");
	expect_refused_and_serves(f, &message);
}

static void wrong_num(struct front *f)
{
	struct message message = msg_state(VHU_FE_SET_VRING_NUM, 0, f->trial->which->request);

	front_open(f, &(struct front_setup){ 0 });
	expect_refused_and_serves(f, &message);
}

static void enable_neither_0_nor_1(struct front *f)
{
	struct message message = msg_state(VHU_FE_SET_VRING_ENABLE, 0, 2);

	front_open(f, &(struct front_setup){ 0 });
	expect_refused(f, &message);
}

/* Whether it is refused or never works is its own affair; what lies there is nobody's. */
static void try_ring(struct front *f, const struct message *addr)
{
	struct seg seg = { f->ram.regions[0].gpa + RAM_PAGE, 16, false };

	if (front_ring_try(f, 0, addr)) {
		front_submit(f, 0, &seg, 1);
		front_wait_used(f, 0, 1, FRONT_QUIET);
		if (front_event(f, f->rings[0].err, 0))
			NOTE(f, "the error eventfd is signalled");
	}
	expect_canaries(f);
	expect_serves_anew(f);
}

static void descriptors_outside(struct front *f)
{
	struct message addr;

	front_open(f, &(struct front_setup){ 0 });
	front_ring_layout(f, 0, &(struct ring_setup){ 0 });
	addr = front_ring_addr(f, 0);
	addr.payload.addr.desc += UINT64_C(1) << 44;
	try_ring(f, &addr);
}

/* It ends outside of its region, where the file goes on. */
static void used_ring_outside(struct front *f)
{
	const struct ram_region *region;
	struct message addr;

	front_open(f, &(struct front_setup){ 0 });
	front_ring_layout(f, 0, &(struct ring_setup){ 0 });
	region = &f->ram.regions[0];
	addr = front_ring_addr(f, 0);
	addr.payload.addr.used = region->uva + region->size - 4;
	try_ring(f, &addr);
}

static void misaligned(struct front *f)
{
	struct message addr;

	front_open(f, &(struct front_setup){ 0 });
	front_ring_layout(f, 0, &(struct ring_setup){ 0 });
	addr = front_ring_addr(f, 0);
	addr.payload.addr.desc += 8;
	addr.payload.addr.used += 2;
	addr.payload.addr.avail += 1;
	try_ring(f, &addr);
}

#define NO_SUCH_RING(name, number)                                                \
	{                                                                         \
		.id = "vring-state.no-such-ring." name,                           \
		.title = #number ": of a ring that does not exist it is refused", \
		.rule = "vhost-user: " #number, .level = LEVEL_SHOULD,            \
		.needs = { .protocol = REPLY_ACK, .features = BIT_30 },           \
		.request = VHU_FE_##number, .backend = no_such_ring,              \
	}

#define WRONG_NUM(name, value)                                                                    \
	{                                                                                         \
		.id = "vring-state.num." name, .title = "SET_VRING_NUM of " #value " is refused", \
		.rule = "vhost-user: SET_VRING_NUM; virtio 1.2, 2.7", .level = LEVEL_SHOULD,      \
		.needs.protocol = REPLY_ACK, .request = (value), .backend = wrong_num,            \
	}

static const struct conform_case cases[] = {
	{
		.id = "vring-state.descriptors-outside",
		.title = "the back-end outlives a descriptor table outside of all regions",
		.rule = "vhost-user: SET_VRING_ADDR",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = descriptors_outside,
	},
	{
		.id = "vring-state.used-ring-outside",
		.title = "nothing is written where a used ring goes beyond its region",
		.rule = "vhost-user: SET_VRING_ADDR",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = used_ring_outside,
	},
	{
		.id = "vring-state.misaligned",
		.title = "the back-end outlives misaligned ring addresses",
		.rule = "virtio 1.2, 2.7",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = misaligned,
	},
	{
		.id = "vring-state.enable-2",
		.title = "SET_VRING_ENABLE of neither 0 nor 1 is refused",
		.rule = "vhost-user: SET_VRING_ENABLE",
		.level = LEVEL_SHOULD,
		.needs = { .protocol = REPLY_ACK, .features = BIT_30 },
		.backend = enable_neither_0_nor_1,
	},
	WRONG_NUM("zero", 0),
	WRONG_NUM("no-power-of-two", 48),
	WRONG_NUM("beyond-the-largest", 65536),
	NO_SUCH_RING("set-vring-num", SET_VRING_NUM),
	NO_SUCH_RING("set-vring-addr", SET_VRING_ADDR),
	NO_SUCH_RING("set-vring-base", SET_VRING_BASE),
	NO_SUCH_RING("set-vring-enable", SET_VRING_ENABLE),
	NO_SUCH_RING("set-vring-kick", SET_VRING_KICK),
	NO_SUCH_RING("set-vring-call", SET_VRING_CALL),
	NO_SUCH_RING("set-vring-err", SET_VRING_ERR),
};

const struct conform_area more_vring_state = MORE(cases);
