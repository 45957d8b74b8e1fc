/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-net driver with one pair of queues, for vhu bench net: buffers on a
 * given number of pages, used in turn, so that all of them are live in the device's
 * IOTLB. Knows how frames travel, not what is in them.
 *
 * No descriptor crosses a page, and pages that follow each other for the device
 * do not in memory: a back-end can neither merge them nor mistake them for one.
 *
 * Thread: the front-end's.
 */
#ifndef TOOLS_BENCH_NET_PORT_H
#define TOOLS_BENCH_NET_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vhu/frontend.h>

#include "bench_net_frame.h"

#define NET_PAGES_MOST (1u << 18) /* of both directions */
#define NET_RING_MOST  1024u

struct net_port;

struct net_port_config {
	struct vhu_frontend *frontend; /* features set, memory shared */
	struct vhu_iommu *iommu;       /* NULL: addresses are guest physical */
	struct vhu_guestmem *mem;      /* net_port_bytes() from gpa 0 on */
	uint64_t features;             /* as negotiated */
	uint16_t ring;                 /* descriptors of each */
	uint32_t frame;                /* bytes of a frame, at the most */
	unsigned tx_pages, rx_pages;   /* 0: no buffers there */
	bool each;                     /* map each frame's pages before it, unmap them after it */
	bool push;                     /* mappings are sent before they are missed */
	bool least;                    /* no permission that is not needed */
};

/* Of all that a back-end may offer, what this driver makes use of. */
uint64_t net_port_features(uint64_t offered, bool mergeable, bool event_idx);

/* Pages that one direction needs at least. */
unsigned net_port_least_pages(uint32_t frame);

/* Memory of rings and buffers, a multiple of 4096. */
uint64_t net_port_bytes(const struct net_port_config *config);

/* Starts both queues, with all receive buffers given. 0; -EINVAL: too few pages; -errno. */
int net_port_new(const struct net_port_config *config, struct net_port **ret);

/* Takes both queues back and unmaps all. What the first failure was. */
int net_port_stop(struct net_port *port);
void net_port_free(struct net_port *port);

/* Frames that may be sent and not be reaped; frames that the receive buffers hold. */
unsigned net_port_tx_room(const struct net_port *port);
unsigned net_port_rx_room(const struct net_port *port);

/* Frames that were sent and not reaped. */
unsigned net_port_untaken(const struct net_port *port);

/*
 * Memory for the next frame to send, in *@ret_n parts; NULL: the ring is full. Then
 * net_port_send() adds it, and net_port_kick() shows what was added.
 */
const struct net_part *net_port_prepare(struct net_port *port, unsigned *ret_n);
int net_port_send(struct net_port *port);
int net_port_kick(struct net_port *port);

/* Takes back what was sent. Number of frames; -errno. */
int net_port_reap(struct net_port *port);

/* A frame with its header, valid within the call. */
typedef void (*net_port_handler)(const struct net_part *parts, unsigned n, void *opaque);

/*
 * Hands on what has arrived and gives its buffers anew. Number of frames; -EPROTO:
 * the device wrote nonsense; -errno.
 */
int net_port_receive(struct net_port *port, net_port_handler handler, void *opaque);

/* Sleeps until something has arrived, at most; serves the front-end meanwhile. As vhu_vq_wait(). */
int net_port_wait(struct net_port *port, int timeout_ms);

#endif
