/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frames of vhu bench net: a number and a pattern made of it, by which a frame
 * that comes back is known and every byte of it verified.
 *
 * A frame lies behind a virtio_net_hdr of 12 bytes, in parts of memory that hold
 * multiples of 8 bytes, but for the last.
 *
 * Thread: any.
 */
#ifndef TOOLS_BENCH_NET_FRAME_H
#define TOOLS_BENCH_NET_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#define NET_HEADER      12u    /* bytes: struct virtio_net_hdr_mrg_rxbuf */
#define NET_FRAME_LEAST 64u    /* bytes */
#define NET_FRAME_MOST  65536u /* bytes */

/* Memory of a frame: where this process has it, and how the device names it. */
struct net_part {
	unsigned char *ptr;
	uint64_t addr;
	uint32_t len;
};

/* Header, addresses, number; and the pattern if @whole. The first part has 64 bytes at least. */
void net_frame_fill(const struct net_part *parts, unsigned n, uint64_t number, bool whole);

/* Whether it is one of ours, and then its number. */
bool net_frame_is_ours(const struct net_part *parts, unsigned n, uint64_t *ret_number);

/*
 * How many of its bytes are not as they were sent; the two MAC addresses may have
 * been swapped on the way.
 */
uint32_t net_frame_differing(const struct net_part *parts, unsigned n, uint64_t number);

#endif
