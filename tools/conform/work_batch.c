/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests that a device may take in one go. */
#include <string.h>

#include "blk.h"
#include "io.h"
#include "io_net.h"
#include "work.h"

#define SECTOR_BATCH 256u
#define SLOT         512u /* of the arrival's page */

static bool is_net(const struct front *f)
{
	return f->subject->device == DEVICE_NET;
}

struct batch {
	unsigned ring;
	uint16_t heads[WORK_BATCH];
	unsigned n;
};

static void add(struct front *f, struct batch *batch, const struct seg *segs, unsigned n)
{
	if (batch->n == WORK_BATCH)
		trial_error(f->trial, "the case's batch is too large");
	for (unsigned i = 0; i < n; i++)
		NOTE(f, "ring %u, request %u: %s %u bytes at 0x%llx", batch->ring, batch->n,
		     segs[i].writable ? "write" : "read", segs[i].len,
		     (unsigned long long)segs[i].addr);
	batch->heads[batch->n++] = ring_add(&f->rings[batch->ring], segs, n, false);
}

static void show(struct front *f, const struct batch *batch)
{
	struct ring *ring = &f->rings[batch->ring];
	uint16_t at = ring_avail_index(ring);

	for (unsigned i = 0; i < batch->n; i++)
		ring->avail[2 + (uint16_t)(at + i) % ring->num] = batch->heads[i];
	ring_jump(ring, (uint16_t)(at + batch->n));
	front_kick(f, batch->ring);
}

/* Header and status are in pages that hold nothing else. */
static void add_blk(struct front *f, struct batch *batch, uint32_t type, const struct span *data)
{
	const unsigned i = batch->n;
	const bool in = type == VIRTIO_BLK_T_IN;
	const struct virtio_blk_outhdr header = {
		.type = type,
		.sector = in ? 0 : SECTOR_BATCH + i,
	};
	const struct seg segs[] = {
		{ f->io.header.addr + sizeof(header) * i, sizeof(header), false },
		{ data->addr, BLK_SECTOR, in },
		{ f->io.status.addr + i, 1, true },
	};

	memcpy(f->io.header.ptr + sizeof(header) * i, &header, sizeof(header));
	f->io.status.ptr[i] = (char)BLK_UNTOLD;
	add(f, batch, segs, 3);
}

static void add_frame(struct front *f, struct batch *batch, const struct span *data)
{
	const struct seg segs[] = {
		{ f->io.header.addr, NET_HEADER, false },
		{ data->addr, WORK_SMALL, false },
	};

	memset(f->io.header.ptr, 0, NET_HEADER);
	memcpy(data->ptr + NET_ADDRESSES, net_departure(f)->ptr + NET_ADDRESSES, 2);
	add(f, batch, segs, 2);
}

static void send_frames(struct front *f, const struct span *const *spans, unsigned n)
{
	struct batch batch = { .ring = NET_TX };

	for (unsigned i = 0; i < n; i++)
		add_frame(f, &batch, spans[i]);
	show(f, &batch);
}

static struct span arrival_slot(struct front *f, unsigned i)
{
	struct span slot = *net_arrival(f);

	slot.addr += (uint64_t)SLOT * i;
	slot.ptr += SLOT * i;
	slot.len = SLOT;
	return slot;
}

static void out_net(struct front *f, const struct span *spans, unsigned n)
{
	const struct span *frames[WORK_BATCH];

	work_settle(f);
	for (unsigned i = 0; i < n; i++) {
		struct span slot = arrival_slot(f, i);

		memset(slot.ptr, 0, slot.len);
		frames[i] = &spans[i];
		net_expect_echo_into(f, &slot, 1);
	}
	send_frames(f, frames, n);
}

void work_out_batch(struct front *f, const struct span *spans, unsigned n)
{
	struct batch batch = { 0 };

	if (is_net(f)) {
		out_net(f, spans, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		add_blk(f, &batch, VIRTIO_BLK_T_OUT, &spans[i]);
	show(f, &batch);
}

static void in_net(struct front *f, const struct span *spans, unsigned n)
{
	const struct span *frames[WORK_BATCH];

	work_settle(f);
	for (unsigned i = 0; i < n; i++) {
		frames[i] = net_departure(f);
		net_expect_echo_into(f, &spans[i], 1);
	}
	send_frames(f, frames, n);
}

void work_in_batch(struct front *f, const struct span *spans, unsigned n)
{
	struct batch batch = { 0 };

	if (is_net(f)) {
		in_net(f, spans, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		add_blk(f, &batch, VIRTIO_BLK_T_IN, &spans[i]);
	show(f, &batch);
}

/* Nothing is answered to who is behind by now: of what it has not read nothing can be seen. */
static struct span read_sector(struct front *f, uint64_t sector)
{
	struct span got = front_alloc(f, BLK_SECTOR);
	struct ring_used_elem elem;

	while (ring_take(&f->rings[0], &elem))
		;
	EXPECT_EQUAL(f, blk_do(f, VIRTIO_BLK_T_IN, sector, &got, 1), VIRTIO_BLK_S_OK,
	             "status of reading it back");
	return got;
}

bool work_batch_saw(struct front *f, unsigned i, struct span *ret)
{
	if (!is_net(f)) {
		*ret = read_sector(f, SECTOR_BATCH + i);
		return true;
	}
	*ret = arrival_slot(f, i);
	return f->subject->echo && front_wait_used(f, NET_RX, i + 1, FRONT_QUIET);
}
