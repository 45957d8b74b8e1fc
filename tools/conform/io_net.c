/* SPDX-License-Identifier: BSD-3-Clause */
#include "io_net.h"

#include <string.h>

#define SEGS 64u

/* An Ethernet type that nobody uses: nothing on the way acts upon what is behind it. */
static const unsigned char frame_head[14] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };

static void prepare(struct front *f)
{
	if (f->io.arrived.ptr)
		return;
	f->io.arrived = front_alloc(f, NET_ROOM);
	f->io.config = front_alloc(f, 512);
	front_pattern(&f->io.config, 1);
}

const struct span *net_departure(struct front *f)
{
	prepare(f);
	return &f->io.config;
}

const struct span *net_arrival(struct front *f)
{
	prepare(f);
	return &f->io.arrived;
}

static void submit(struct front *f, unsigned ring, const struct span *header,
                   const struct span *spans, unsigned n)
{
	struct seg segs[SEGS];

	if (n + 1 > SEGS)
		trial_error(f->trial, "the case has too many segments");
	segs[0] = (struct seg){ header->addr, NET_HEADER, ring == NET_RX };
	for (unsigned i = 0; i < n; i++)
		segs[1 + i] = (struct seg){ spans[i].addr, spans[i].len, ring == NET_RX };
	f->io.head = front_submit(f, ring, segs, n + 1);
}

void net_expect_echo_into(struct front *f, const struct span *spans, unsigned n)
{
	submit(f, NET_RX, &f->io.status, spans, n);
}

/* What the case wants to be sent becomes a frame by its first bytes. */
void net_send(struct front *f, const struct span *spans, unsigned n)
{
	unsigned at = 0;

	for (unsigned i = 0; i < n; i++)
		for (uint32_t j = 0; j < spans[i].len && at < sizeof(frame_head); j++, at++)
			spans[i].ptr[j] = (char)frame_head[at];
	memset(f->io.header.ptr, 0, NET_HEADER);
	submit(f, NET_TX, &f->io.header, spans, n);
}

struct span net_expect_arrived(struct front *f)
{
	struct ring_used_elem elem = expect_used(f, NET_RX);

	EXPECT(f, elem.len > NET_HEADER, "a frame to arrive: %u bytes were written", elem.len);
	return f->io.arrived;
}
