/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What io.c needs of a network device: frames sent on ring 1, and buffers on ring 0
 * in which they come back, if they do.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_IO_NET_H
#define CONFORM_IO_NET_H

#include "front.h"

#define NET_RX        0u
#define NET_TX        1u
#define NET_HEADER    12u /* virtio_net_hdr_v1 */
#define NET_ADDRESSES 12u /* of a frame; a switch may swap them */
#define NET_ROOM      4096u

/* Posts a receive buffer, the header in a piece of its own before it. */
void net_expect_echo_into(struct front *f, const struct span *spans, unsigned n);
void net_send(struct front *f, const struct span *spans, unsigned n);
/* What io_in() sends: a frame with a pattern. */
const struct span *net_departure(struct front *f);
/* Where what io_out() sent comes back. */
const struct span *net_arrival(struct front *f);
/* Waits for the next frame and returns net_arrival(). */
struct span net_expect_arrived(struct front *f);

#endif
