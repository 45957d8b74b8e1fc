/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_net_port.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "bench_net_pool.h"

#define BIT(n) (UINT64_C(1) << (n))

/* linux/virtio_net.h brings in a ring of its own. */
#define NET_F_MRG_RXBUF 15
#define F_EVENT_IDX     29

#define RX_QUEUE        0u
#define TX_QUEUE        1u

/* Of the device: far from gpa and uva, so that none is taken for another. */
#define IOVA UINT64_C(0x4000000000)

/* Parts of a received frame: as many buffers as there may be, of one part each, or one of many. */
#define RX_PARTS_MOST (NET_RING_MOST + NET_PARTS_MOST)

struct net_port {
	struct net_port_config config;
	struct net_pool tx, rx;
	struct net_slot *prepared;
	/* A frame that is not complete. */
	struct net_slot *rx_slots[NET_RING_MOST];
	struct net_part rx_parts[RX_PARTS_MOST];
	unsigned n_rx_slots, n_rx_parts, rx_wanted;
};

uint64_t net_port_features(uint64_t offered, bool mergeable, bool event_idx)
{
	return offered &
	       (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |
	        (mergeable ? BIT(NET_F_MRG_RXBUF) : 0) | (event_idx ? BIT(F_EVENT_IDX) : 0));
}

unsigned net_port_least_pages(uint32_t frame)
{
	return (NET_HEADER + frame + NET_PAGE - 1) / NET_PAGE;
}

static bool is_mergeable(const struct net_port_config *config)
{
	return config->features & BIT(NET_F_MRG_RXBUF);
}

static struct net_pool_config tx_config(const struct net_port_config *config)
{
	unsigned parts = net_port_least_pages(config->frame);

	return (struct net_pool_config){
		.queue = TX_QUEUE,
		.pages = config->tx_pages,
		.parts = parts,
		.last = NET_HEADER + config->frame - (parts - 1) * NET_PAGE,
		.perm = config->least ? VHU_PERM_READ : VHU_PERM_RW,
	};
}

/* Buffers that a frame may be spread over hold multiples of 64 bytes. */
static struct net_pool_config rx_config(const struct net_port_config *config)
{
	unsigned parts = is_mergeable(config) ? 1 : net_port_least_pages(config->frame);
	uint32_t bytes = NET_HEADER + config->frame - (parts - 1) * NET_PAGE;

	return (struct net_pool_config){
		.queue = RX_QUEUE,
		.writable = true,
		.pages = config->rx_pages,
		.parts = parts,
		.last = bytes > NET_PAGE ? NET_PAGE : (bytes + 63) & ~63u,
		.perm = config->least ? VHU_PERM_WRITE : VHU_PERM_RW,
	};
}

static struct net_pool_config complete(const struct net_port_config *config,
                                       struct net_pool_config pool)
{
	pool.frontend = config->frontend;
	pool.iommu = config->iommu;
	pool.mem = config->mem;
	pool.ring = config->ring;
	pool.event_idx = config->features & BIT(F_EVENT_IDX);
	pool.each = config->each && config->iommu;
	pool.push = config->push;
	pool.iova = IOVA + pool.gpa;
	return pool;
}

static struct net_pool_config complete_rx(const struct net_port_config *config)
{
	return complete(config, rx_config(config));
}

static struct net_pool_config complete_tx(const struct net_port_config *config)
{
	const struct net_pool_config rx = complete_rx(config);
	struct net_pool_config tx = tx_config(config);

	tx.gpa = net_pool_bytes(&rx);
	return complete(config, tx);
}

uint64_t net_port_bytes(const struct net_port_config *config)
{
	const struct net_pool_config tx = complete_tx(config);

	return tx.gpa + net_pool_bytes(&tx);
}

static int give_buffers(struct net_port *port)
{
	struct net_slot *slot;
	int error = 0;

	while (!error && (slot = net_pool_next(&port->rx)))
		error = net_pool_add(&port->rx, slot);
	return error ? error : net_pool_kick(&port->rx);
}

int net_port_new(const struct net_port_config *config, struct net_port **ret)
{
	const struct net_pool_config tx = complete_tx(config), rx = complete_rx(config);
	struct net_port *port;
	int error;

	if (config->ring > NET_RING_MOST || config->tx_pages + config->rx_pages > NET_PAGES_MOST)
		return -EINVAL;
	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->config = *config;
	error = net_pool_start(&port->rx, &rx);
	if (!error)
		error = net_pool_start(&port->tx, &tx);
	if (!error)
		error = give_buffers(port);
	if (error)
		net_port_free(port);
	else
		*ret = port;
	return error;
}

/* Transmission first: a device may give receive buffers back when there is nothing to come. */
int net_port_stop(struct net_port *port)
{
	int error = net_pool_stop(&port->tx), other = net_pool_stop(&port->rx);

	return error ? error : other;
}

void net_port_free(struct net_port *port)
{
	if (!port)
		return;
	net_pool_free(&port->rx);
	net_pool_free(&port->tx);
	free(port);
}

unsigned net_port_tx_room(const struct net_port *port)
{
	return port->tx.depth;
}

unsigned net_port_rx_room(const struct net_port *port)
{
	const struct net_pool_config *rx = &port->rx.config;
	uint32_t bytes = NET_HEADER + port->config.frame;
	unsigned slots = rx->parts > 1 ? 1 : (bytes + rx->last - 1) / rx->last;

	return port->rx.depth / slots;
}

unsigned net_port_untaken(const struct net_port *port)
{
	return port->tx.busy;
}

const struct net_part *net_port_prepare(struct net_port *port, unsigned *ret_n)
{
	port->prepared = net_pool_next(&port->tx);
	if (!port->prepared)
		return NULL;
	*ret_n = port->tx.config.parts;
	return net_pool_parts(&port->tx, port->prepared);
}

int net_port_send(struct net_port *port)
{
	return net_pool_add(&port->tx, port->prepared);
}

int net_port_kick(struct net_port *port)
{
	return net_pool_kick(&port->tx);
}

int net_port_reap(struct net_port *port)
{
	struct net_slot *slots[NET_BATCH];
	int n = net_pool_get(&port->tx, slots);

	for (int i = 0; i < n; i++)
		net_pool_release(&port->tx, slots[i]);
	return n;
}

/* How many buffers the frame has that begins in this one; 0: nonsense. */
static unsigned buffers_wanted(const struct net_port *port, const struct net_slot *slot)
{
	uint16_t n = 1;

	if (slot->written <= NET_HEADER)
		return 0;
	if (is_mergeable(&port->config))
		memcpy(&n, net_pool_parts(&port->rx, slot)->ptr + NET_HEADER - sizeof(n),
		       sizeof(n));
	n = le16toh(n);
	return n <= port->rx.depth ? n : 0;
}

/* What the device has written to a slot, as parts of the frame. */
static int append(struct net_port *port, struct net_slot *slot)
{
	const struct net_part *parts = net_pool_parts(&port->rx, slot);
	uint32_t left = slot->written;

	for (unsigned i = 0; i < port->rx.config.parts && left; i++) {
		struct net_part *part = &port->rx_parts[port->n_rx_parts++];

		*part = parts[i];
		if (part->len > left)
			part->len = left;
		left -= part->len;
	}
	port->rx_slots[port->n_rx_slots++] = slot;
	return left ? -EPROTO : 0;
}

/* 1: that was a whole frame; 0: there is more to come; -EPROTO. */
static int take_slot(struct net_port *port, struct net_slot *slot, net_port_handler handler,
                     void *opaque)
{
	int error;

	if (!port->n_rx_slots) {
		port->rx_wanted = buffers_wanted(port, slot);
		if (!port->rx_wanted)
			return -EPROTO;
	}
	error = append(port, slot);
	if (error || port->n_rx_slots < port->rx_wanted)
		return error;
	handler(port->rx_parts, port->n_rx_parts, opaque);
	for (unsigned i = 0; i < port->n_rx_slots; i++)
		net_pool_release(&port->rx, port->rx_slots[i]);
	port->n_rx_slots = port->n_rx_parts = 0;
	return 1;
}

int net_port_receive(struct net_port *port, net_port_handler handler, void *opaque)
{
	struct net_slot *slots[NET_BATCH];
	int n = net_pool_get(&port->rx, slots), frames = 0;

	if (n <= 0)
		return n;
	for (int i = 0; i < n; i++) {
		int got = take_slot(port, slots[i], handler, opaque);

		if (got < 0)
			return got;
		frames += got;
	}
	n = give_buffers(port);
	return n ? n : frames;
}

int net_port_wait(struct net_port *port, int timeout_ms)
{
	port->rx.quiet = false;
	return vhu_vq_wait(port->rx.vq, timeout_ms);
}
