/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One direction of a port: a queue and its buffers. A slot is the buffers of one
 * descriptor chain; slots are used in turn.
 *
 * Thread: the front-end's.
 */
#ifndef TOOLS_BENCH_NET_POOL_H
#define TOOLS_BENCH_NET_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <vhu/frontend.h>

#include "bench_net_frame.h"

#define NET_PAGE       4096u
#define NET_PARTS_MOST 17u /* of a frame of 64 KiB with its header */
#define NET_BATCH      32u /* slots taken at a time */

struct net_pool_config {
	struct vhu_frontend *frontend;
	struct vhu_iommu *iommu; /* NULL: addresses are guest physical */
	struct vhu_guestmem *mem;
	unsigned queue;
	uint16_t ring;
	bool event_idx;
	bool writable;  /* by the device */
	unsigned pages; /* 0: no buffers */
	unsigned parts; /* of a slot */
	uint32_t last;  /* bytes of its last part; the others are pages */
	bool each;      /* map each slot before, unmap it after */
	bool push;      /* mappings are sent before they are missed */
	uint8_t perm;   /* VHU_PERM_* of buffers */
	uint64_t gpa;   /* of the ring; buffers follow */
	uint64_t iova;  /* of the ring; buffers follow */
};

struct net_slot {
	unsigned index;
	uint32_t written; /* by the device */
};

struct net_pool {
	struct net_pool_config config;
	struct vhu_vq *vq;
	struct net_part *parts;
	struct net_slot *slots;
	unsigned *free; /* indices of slots: a ring */
	unsigned n_slots, n_free, next_free;
	unsigned depth; /* slots that the ring takes */
	unsigned busy;  /* slots that the device has */
	bool quiet;     /* the device knows that no call is wanted */
};

uint64_t net_pool_bytes(const struct net_pool_config *config);

/* 0; -EINVAL: too few pages for one slot; -errno. */
int net_pool_start(struct net_pool *pool, const struct net_pool_config *config);
int net_pool_stop(struct net_pool *pool);
void net_pool_free(struct net_pool *pool);

static inline struct net_part *net_pool_parts(const struct net_pool *pool,
                                              const struct net_slot *slot)
{
	return pool->parts + (size_t)slot->index * pool->config.parts;
}

/* The slot to be used next; NULL: the device has as many as its ring takes. */
struct net_slot *net_pool_next(const struct net_pool *pool);
/* Gives it to the device, which net_pool_kick() shows. */
int net_pool_add(struct net_pool *pool, struct net_slot *slot);
int net_pool_kick(struct net_pool *pool);

/* Slots the device is done with, unmapped where that is due; their number or -errno. */
int net_pool_get(struct net_pool *pool, struct net_slot *slots[NET_BATCH]);
void net_pool_release(struct net_pool *pool, struct net_slot *slot);

#endif
