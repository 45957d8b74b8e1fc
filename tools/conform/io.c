/* SPDX-License-Identifier: BSD-3-Clause */
#include "io.h"

#include <string.h>

#include "blk.h"
#include "io_net.h"

#define SECTORS_USED 512u

static bool is_net(const struct front *f)
{
	return f->subject->device == DEVICE_NET;
}

unsigned io_out_ring(const struct front *f)
{
	return is_net(f) ? NET_TX : 0;
}

unsigned io_in_ring(const struct front *f)
{
	return is_net(f) ? NET_RX : 0;
}

static void check_device(struct front *f)
{
	if (f->subject->device == DEVICE_ANY)
		trial_error(f->trial, "the case moves data and does not say so in its needs");
	if (f->subject->device == DEVICE_BLK && f->offered & VHU_BIT(VIRTIO_BLK_F_RO))
		trial_skip(f->trial, "the disk can't be written");
}

void io_start_with(struct front *f, const struct ring_setup *setup)
{
	struct ring_setup second = *setup;

	check_device(f);
	second.iova = 0;
	second.at_zero = false;
	f->io.header = front_alloc(f, 16);
	f->io.status = front_alloc(f, 16);
	front_ring_start(f, 0, setup);
	if (is_net(f))
		front_ring_start(f, 1, &second);
	f->io.ready = true;
}

void io_start(struct front *f)
{
	io_start_with(f, &(struct ring_setup){ 0 });
}

void io_stop(struct front *f)
{
	front_ring_stop(f, 0);
	if (is_net(f))
		front_ring_stop(f, 1);
}

static uint32_t total(const struct span *spans, unsigned n)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += spans[i].len;
	return bytes;
}

static void submit_blk(struct front *f, uint32_t type, const struct span *spans, unsigned n)
{
	struct blk_request request = { f->io.header, f->io.status, 0 };

	blk_submit(f, 0, &request, type, f->io.sector, spans, n);
	f->io.head = request.head;
}

void io_out(struct front *f, const struct span *spans, unsigned n)
{
	f->io.bytes = total(spans, n);
	f->io.turn++;
	if (is_net(f)) {
		net_expect_echo_into(f, net_arrival(f), 1);
		net_send(f, spans, n);
		return;
	}
	f->io.sector = (f->io.turn * 16u) % SECTORS_USED;
	submit_blk(f, VIRTIO_BLK_T_OUT, spans, n);
}

void io_in(struct front *f, const struct span *spans, unsigned n)
{
	if (is_net(f)) {
		net_expect_echo_into(f, spans, n);
		net_send(f, net_departure(f), 1);
		return;
	}
	submit_blk(f, VIRTIO_BLK_T_IN, spans, n);
}

bool io_wait(struct front *f, int ms)
{
	return front_wait_used(f, io_out_ring(f), 1, ms);
}

void io_expect_done(struct front *f)
{
	struct ring_used_elem elem = expect_used(f, io_out_ring(f));

	if (is_net(f))
		return;
	EXPECT_EQUAL(f, elem.id, f->io.head, "head of the used chain");
	EXPECT_EQUAL(f, (uint8_t)*f->io.status.ptr, VIRTIO_BLK_S_OK, "status of the request");
}

/* A frame that can't be read may be dropped, its buffer used, or wait for ever. */
void io_expect_failed(struct front *f)
{
	if (is_net(f)) {
		io_wait(f, FRONT_QUIET);
		return;
	}
	expect_used(f, 0);
	EXPECT(f, (uint8_t)*f->io.status.ptr != BLK_UNTOLD,
	       "a status to be written: there is none");
	EXPECT(f, (uint8_t)*f->io.status.ptr != VIRTIO_BLK_S_OK,
	       "the request to fail: its status is success");
}

/* Spans as one piece, byte by byte. */
struct cursor {
	const struct span *spans;
	unsigned n;
	uint32_t at; /* in the first of them */
};

static char *next_byte(struct cursor *cursor)
{
	while (cursor->n && cursor->at == cursor->spans->len) {
		cursor->spans++;
		cursor->n--;
		cursor->at = 0;
	}
	return cursor->n ? cursor->spans->ptr + cursor->at++ : NULL;
}

/* As long as there are both; what a switch may change is skipped. */
static void compare(struct front *f, struct cursor wanted, struct cursor got, const char *what)
{
	uint32_t skip = is_net(f) ? NET_ADDRESSES : 0;
	const char *w, *g;

	for (uint32_t i = 0; (w = next_byte(&wanted)) && (g = next_byte(&got)); i++)
		if (i >= skip && *w != *g)
			trial_fail(f->trial, "%s: byte %u of it to be 0x%02x, it is 0x%02x", what,
			           i, (unsigned char)*w, (unsigned char)*g);
}

void io_expect_saw(struct front *f, const struct span *spans, unsigned n)
{
	struct span got;

	if (is_net(f)) {
		got = net_expect_arrived(f);
	} else {
		got = front_alloc(f, f->io.bytes);
		NOTE(f, "what has the device read?");
		io_in(f, &got, 1);
		io_expect_done(f);
	}
	compare(f, (struct cursor){ spans, n, 0 }, (struct cursor){ &got, 1, 0 },
	        "what the device has read");
}

void io_expect_same(struct front *f, const struct span *spans, unsigned n, const struct span *of,
                    unsigned n_of)
{
	struct cursor wanted = { of, n_of, 0 };

	if (is_net(f)) {
		net_expect_arrived(f);
		wanted = (struct cursor){ net_departure(f), 1, 0 };
	}
	compare(f, wanted, (struct cursor){ spans, n, 0 }, "what the device has written");
}

void io_expect_works(struct front *f)
{
	struct span out = front_alloc(f, 512);

	front_pattern(&out, trial_random(f->trial));
	io_out(f, &out, 1);
	io_expect_done(f);
	if (!is_net(f) || f->subject->echo)
		io_expect_saw(f, &out, 1);
}
