/* SPDX-License-Identifier: BSD-3-Clause */
#include "work.h"

#include <string.h>

#include "base/clock.h"
#include "blk.h"
#include "io.h"
#include "io_net.h"

#define SECTOR_IN  0u
#define SECTOR_OUT 128u
#define WARM_UPS   20
#define ROOM       32768u
#define NUDGE_MS   2

static bool is_net(const struct front *f)
{
	return f->subject->device == DEVICE_NET;
}

unsigned work_out_ring(const struct front *f)
{
	return io_out_ring(f);
}

unsigned work_in_ring(const struct front *f)
{
	return io_in_ring(f);
}

static unsigned outstanding(const struct front *f, unsigned index)
{
	const struct ring *ring = &f->rings[index];

	return (uint16_t)(ring_avail_index(ring) - ring_used_index(ring));
}

static void forget_arrivals(struct front *f)
{
	struct ring_used_elem elem;

	while (ring_take(&f->rings[NET_RX], &elem))
		;
}

static void submit_blk(struct front *f, uint32_t type, uint64_t sector, const struct span *spans,
                       unsigned n)
{
	struct blk_request request = { f->io.header, f->io.status, 0 };

	blk_submit(f, 0, &request, type, sector, spans, n);
	f->io.head = request.head;
}

/* One buffer is there for what comes back, and nothing old. */
static void send_frame(struct front *f, const struct span *spans, unsigned n)
{
	forget_arrivals(f);
	if (!outstanding(f, NET_RX))
		net_expect_echo_into(f, net_arrival(f), 1);
	net_send(f, spans, n);
}

void work_out(struct front *f, const struct span *spans, unsigned n)
{
	if (is_net(f))
		send_frame(f, spans, n);
	else
		submit_blk(f, VIRTIO_BLK_T_OUT, SECTOR_OUT, spans, n);
}

void work_nudge(struct front *f)
{
	struct ring_used_elem elem;

	if (!is_net(f))
		return;
	while (ring_take(&f->rings[NET_TX], &elem))
		;
	if (!outstanding(f, NET_TX))
		net_send(f, net_departure(f), 1);
}

void work_settle(struct front *f)
{
	for (unsigned i = 0; is_net(f) && i < WARM_UPS && outstanding(f, NET_RX); i++) {
		trial_mute(f->trial);
		work_nudge(f);
		trial_unmute(f->trial);
		front_wait_used(f, NET_RX, 1, NUDGE_MS);
		forget_arrivals(f);
	}
	if (is_net(f))
		forget_arrivals(f);
}

void work_in(struct front *f, const struct span *spans, unsigned n)
{
	work_settle(f);
	if (is_net(f))
		net_expect_echo_into(f, spans, n);
	else
		submit_blk(f, VIRTIO_BLK_T_IN, SECTOR_IN, spans, n);
}

static bool take(struct front *f, unsigned index, int ms)
{
	struct ring_used_elem elem;

	return front_wait_used(f, index, 1, ms) && ring_take(&f->rings[index], &elem);
}

bool work_out_done(struct front *f, int ms)
{
	return take(f, io_out_ring(f), ms);
}

bool work_in_done(struct front *f, int ms)
{
	uint64_t end = clock_ns() + (uint64_t)trial_left(f->trial, ms) * 1000000;

	if (!is_net(f))
		return take(f, 0, ms);
	NOTE(f, "sends frames until one of them has come back");
	do {
		trial_mute(f->trial);
		work_nudge(f);
		trial_unmute(f->trial);
		if (take(f, NET_RX, NUDGE_MS))
			return true;
	} while (clock_ns() < end);
	return false;
}

bool work_went_well(const struct front *f)
{
	return is_net(f) || (uint8_t)*f->io.status.ptr == VIRTIO_BLK_S_OK;
}

static void expect_well(struct front *f, unsigned index, bool done, const char *what)
{
	EXPECT(f, done,
	       "%s to be done: it is not, within %u ms; misses: %u, available index %u, used "
	       "index %u",
	       what, f->trial->patience_ms, f->n_misses, ring_avail_index(&f->rings[index]),
	       ring_used_index(&f->rings[index]));
	EXPECT(f, work_went_well(f), "%s to succeed: its status is %u", what,
	       (unsigned char)*f->io.status.ptr);
}

void work_expect_out(struct front *f)
{
	expect_well(f, io_out_ring(f), work_out_done(f, (int)f->trial->patience_ms),
	            "what the device reads");
}

void work_expect_in(struct front *f)
{
	expect_well(f, io_in_ring(f), work_in_done(f, (int)f->trial->patience_ms),
	            "what the device writes");
}

void work_expect_failed(struct front *f)
{
	if (is_net(f)) {
		work_linger(f, FRONT_QUIET);
		return;
	}
	EXPECT(f, take(f, 0, (int)f->trial->patience_ms), "the request to be used: it is not");
	EXPECT(f, (uint8_t)*f->io.status.ptr != BLK_UNTOLD, "a status: there is none");
	EXPECT(f, !work_went_well(f), "the request to fail: its status is success");
}

/* What lies in the spans, and what is expected, as far as both go. */
static void compare(struct front *f, const struct span *spans, unsigned n, const char *other,
                    uint32_t len, bool spans_are_right, const char *what)
{
	uint32_t at = 0, skip = is_net(f) ? NET_ADDRESSES : 0;

	for (unsigned i = 0; i < n; i++)
		for (uint32_t j = 0; j < spans[i].len && at < len; j++, at++) {
			unsigned char mine = (unsigned char)spans[i].ptr[j];
			unsigned char theirs = (unsigned char)other[at];

			if (at >= skip && mine != theirs)
				trial_fail(
					f->trial,
					"%s: byte %u of it, at 0x%llx, to be 0x%02x, it is 0x%02x",
					what, at, (unsigned long long)(spans[i].addr + j),
					spans_are_right ? mine : theirs,
					spans_are_right ? theirs : mine);
		}
}

static uint32_t total(const struct span *spans, unsigned n)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += spans[i].len;
	return bytes;
}

static bool arrives(struct front *f)
{
	return take(f, NET_RX, FRONT_QUIET);
}

static struct span read_back(struct front *f, uint32_t len)
{
	struct span got;

	if (!f->io.arrived.ptr)
		f->io.arrived = front_alloc(f, ROOM);
	if (len > ROOM)
		trial_error(f->trial, "the case reads too much back");
	got = f->io.arrived;
	got.len = len;
	NOTE(f, "what has the device read?");
	submit_blk(f, VIRTIO_BLK_T_IN, SECTOR_OUT, &got, 1);
	expect_well(f, 0, take(f, 0, (int)f->trial->patience_ms), "reading it back");
	return got;
}

void work_expect_saw(struct front *f, const struct span *spans, unsigned n)
{
	uint32_t len = total(spans, n);
	struct span got = f->io.arrived;

	if (!is_net(f))
		got = read_back(f, len);
	else if (!f->subject->echo || !arrives(f))
		return;
	compare(f, spans, n, got.ptr, len, true, "what the device has read");
}

void work_expect_reads(struct front *f, const struct span *spans, unsigned n)
{
	work_out(f, spans, n);
	work_expect_out(f);
	for (unsigned i = 0; is_net(f) && i < WARM_UPS && !front_wait_used(f, NET_RX, 1, 20); i++) {
		work_out(f, spans, n);
		work_expect_out(f);
	}
	work_expect_saw(f, spans, n);
}

const char *work_pattern(const struct front *f, unsigned *ret_skip)
{
	*ret_skip = is_net(f) ? NET_ADDRESSES : 0;
	return f->io.config.ptr;
}

void work_expect_filled(struct front *f, const struct span *spans, unsigned n)
{
	compare(f, spans, n, f->io.config.ptr, WORK_BYTES, false, "what the device has written");
}

void work_expect_writes(struct front *f, const struct span *spans, unsigned n)
{
	work_in(f, spans, n);
	work_expect_in(f);
	work_expect_filled(f, spans, n);
}

void work_expect_works(struct front *f)
{
	struct span out = front_alloc(f, WORK_BYTES), in = front_alloc(f, WORK_BYTES);

	front_pattern(&out, trial_random(f->trial));
	work_expect_reads(f, &out, 1);
	if (!is_net(f) || f->subject->echo)
		work_expect_writes(f, &in, 1);
}

/* A frame comes back only when all that it needs is known. */
static void warm_up_net(struct front *f)
{
	const struct span *frame = net_departure(f);

	for (unsigned i = 0; i < WARM_UPS; i++) {
		work_out(f, frame, 1);
		work_expect_out(f);
		if (!f->subject->echo || take(f, NET_RX, 20))
			return;
	}
	trial_fail(f->trial, "a frame that comes back: of %d none did", WARM_UPS);
}

static void warm_up_blk(struct front *f)
{
	if (!f->io.config.ptr)
		f->io.config = front_alloc(f, WORK_BYTES);
	front_pattern(&f->io.config, 1);
	submit_blk(f, VIRTIO_BLK_T_OUT, SECTOR_IN, &f->io.config, 1);
	expect_well(f, 0, take(f, 0, (int)f->trial->patience_ms), "a write");
}

void work_warm_up(struct front *f)
{
	if (is_net(f))
		warm_up_net(f);
	else
		warm_up_blk(f);
}

void work_push_rings(struct front *f)
{
	for (unsigned i = 0; i < (is_net(f) ? 2 : 1); i++) {
		struct ring_shape shape = ring_shape(f->rings[i].num, f->rings[i].tables);
		struct span ring = { f->rings[i].desc_addr, NULL, (uint32_t)shape.size };

		front_push(f, &ring);
	}
}

void work_open(struct front *f)
{
	front_open(f, &(struct front_setup){ .features = FRONT_IOMMU });
}

void work_start_rings(struct front *f, const struct ring_setup *setup)
{
	io_start_with(f, setup ? setup : &(struct ring_setup){ 0 });
	work_warm_up(f);
}

void work_start(struct front *f)
{
	work_open(f);
	work_start_rings(f, NULL);
}

struct span work_start_page(struct front *f)
{
	work_start(f);
	return front_alloc(f, WORK_BYTES);
}
