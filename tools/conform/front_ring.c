/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings: laid out in memory, handed over, kicked and waited for. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "front.h"

#define NUM_DEFAULT 64u

static void make_event(struct front *f, int *fd)
{
	int error;

	fd_close(fd);
	error = fd_event(fd);
	if (error)
		trial_error(f->trial, "no eventfd: %s", strerror(-error));
}

void front_ring_layout(struct front *f, unsigned index, const struct ring_setup *setup)
{
	struct ring *ring = &f->rings[index < FRONT_RINGS ? index : 0];
	uint16_t num = setup->num ? setup->num : NUM_DEFAULT;
	struct ring_shape shape = ring_shape(num, setup->indirect);
	struct span memory;

	if (index >= FRONT_RINGS)
		trial_error(f->trial, "the case needs ring %u, there are %u", index, FRONT_RINGS);
	memory = front_span(f, &(struct span_setup){ .len = (uint32_t)shape.size,
	                                             .iova = setup->iova,
	                                             .at_zero = setup->at_zero,
	                                             .scattered = setup->scattered });
	ring->num = num;
	ring->event_idx = setup->event_idx;
	ring->desc_addr = memory.addr;
	ring->avail_addr = memory.addr + shape.avail;
	ring->used_addr = memory.addr + shape.used;
	ring->tables_addr = memory.addr + shape.tables;
	ring->desc = (struct ring_desc *)memory.ptr;
	ring->avail = (uint16_t *)(memory.ptr + shape.avail);
	ring->used = (uint16_t *)(memory.ptr + shape.used);
	ring->tables = setup->indirect ? (struct ring_desc *)(memory.ptr + shape.tables) : NULL;
	ring->avail[1] = ring->used[1] = ring->seen = setup->base;
	ring->next_desc = 0;
	make_event(f, &ring->kick);
	make_event(f, &ring->call);
	make_event(f, &ring->err);
}

/* Without an IOMMU the message names rings by uva, of memory that is contiguous there. */
static uint64_t message_addr(const struct front *f, uint64_t addr)
{
	const struct ram_region *region = &f->ram.regions[0];

	return f->features & FRONT_IOMMU ? addr : region->uva + (addr - region->gpa);
}

struct message front_ring_addr(const struct front *f, unsigned index)
{
	const struct ring *ring = &f->rings[index];
	struct message message = msg_empty(VHU_FE_SET_VRING_ADDR);

	message.header.size = sizeof(message.payload.addr);
	message.payload.addr.index = index;
	message.payload.addr.desc = message_addr(f, ring->desc_addr);
	message.payload.addr.avail = message_addr(f, ring->avail_addr);
	message.payload.addr.used = message_addr(f, ring->used_addr);
	return message;
}

static void send_state(struct front *f, uint32_t request, unsigned index, uint32_t num)
{
	struct message message = msg_state(request, index, num);

	expect_ack(f, &message);
}

static void send_event(struct front *f, uint32_t request, unsigned index, int fd)
{
	struct message message = msg_vring_fd(request, index, fd);

	expect_ack(f, &message);
}

void front_ring_announce(struct front *f, unsigned index, uint16_t base)
{
	struct ring *ring = &f->rings[index];
	struct message addr = front_ring_addr(f, index);

	send_state(f, VHU_FE_SET_VRING_NUM, index, ring->num);
	send_state(f, VHU_FE_SET_VRING_BASE, index, base);
	expect_ack(f, &addr);
	send_event(f, VHU_FE_SET_VRING_CALL, index, ring->call);
	send_event(f, VHU_FE_SET_VRING_ERR, index, ring->err);
	send_event(f, VHU_FE_SET_VRING_KICK, index, ring->kick);
}

bool front_ring_try(struct front *f, unsigned index, const struct message *addr)
{
	const struct ring *ring = &f->rings[index];
	const struct message messages[] = {
		msg_state(VHU_FE_SET_VRING_NUM, index, ring->num),
		msg_state(VHU_FE_SET_VRING_BASE, index, 0),
		*addr,
		msg_vring_fd(VHU_FE_SET_VRING_CALL, index, ring->call),
		msg_vring_fd(VHU_FE_SET_VRING_ERR, index, ring->err),
		msg_vring_fd(VHU_FE_SET_VRING_KICK, index, ring->kick),
		msg_state(VHU_FE_SET_VRING_ENABLE, index, 1),
	};
	bool accepted = true;

	for (unsigned i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		accepted &= front_try(f, &messages[i]);
	return accepted;
}

void front_ring_start(struct front *f, unsigned index, const struct ring_setup *setup)
{
	front_ring_layout(f, index, setup);
	front_ring_announce(f, index, setup->base);
	if (!setup->disabled)
		front_ring_enable(f, index, true);
	front_add_status(f, VIRTIO_CONFIG_S_DRIVER_OK);
}

void front_ring_enable(struct front *f, unsigned index, bool enable)
{
	if (f->features & VHU_BIT(VHU_F_PROTOCOL_FEATURES))
		send_state(f, VHU_FE_SET_VRING_ENABLE, index, enable);
}

uint16_t front_ring_stop(struct front *f, unsigned index)
{
	struct message message = msg_state(VHU_FE_GET_VRING_BASE, index, 0), reply;

	front_send(f, &message);
	reply = expect_reply(f, VHU_FE_GET_VRING_BASE);
	EXPECT_EQUAL(f, reply.payload.state.index, index, "ring in the reply to GET_VRING_BASE");
	return (uint16_t)reply.payload.state.num;
}

void front_kick(struct front *f, unsigned index)
{
	NOTE(f, "kicks ring %u, available index %u", index, ring_avail_index(&f->rings[index]));
	fd_signal(f->rings[index].kick);
}

uint16_t front_submit(struct front *f, unsigned index, const struct seg *segs, unsigned n)
{
	struct ring *ring = &f->rings[index];
	uint16_t head = ring_add(ring, segs, n, ring->tables != NULL);

	for (unsigned i = 0; i < n; i++)
		NOTE(f, "ring %u, chain %u: %s %u bytes at 0x%llx", index, head,
		     segs[i].writable ? "write" : "read", segs[i].len,
		     (unsigned long long)segs[i].addr);
	ring_show(ring, head);
	front_kick(f, index);
	return head;
}

static bool is_used(const struct ring *ring, unsigned n)
{
	return (uint16_t)(ring_used_index(ring) - ring->seen) >= n;
}

/* Looks every millisecond, so that a call that is missing is not missed. */
bool front_wait_used(struct front *f, unsigned index, unsigned n, int ms)
{
	uint64_t end = clock_ns() + (uint64_t)trial_left(f->trial, ms) * 1000000;
	struct pollfd poller = { .fd = f->back.fd, .events = POLLIN };

	while (!is_used(&f->rings[index], n)) {
		if (clock_ns() >= end)
			return false;
		poller.fd = f->jammed ? -1 : f->back.fd;
		if (poll(&poller, 1, 1) > 0)
			front_serve(f, 0);
	}
	return true;
}

struct ring_used_elem expect_used(struct front *f, unsigned index)
{
	struct ring_used_elem elem = { 0 };

	if (!front_wait_used(f, index, 1, (int)f->trial->patience_ms))
		trial_fail(f->trial, "a used element in ring %u: none within %u ms, used index %u",
		           index, f->trial->patience_ms, ring_used_index(&f->rings[index]));
	ring_take(&f->rings[index], &elem);
	NOTE(f, "ring %u: chain %u is used, %u bytes written", index, elem.id, elem.len);
	return elem;
}

void expect_unused(struct front *f, unsigned index)
{
	if (front_wait_used(f, index, 1, FRONT_QUIET))
		trial_fail(f->trial, "nothing used in ring %u: used index %u", index,
		           ring_used_index(&f->rings[index]));
}

bool front_event(struct front *f, int fd, int ms)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	if (poll(&poller, 1, trial_left(f->trial, ms)) != 1)
		return false;
	return fd_drain(fd);
}
