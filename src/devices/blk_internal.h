/* SPDX-License-Identifier: BSD-3-Clause */
/* What blk.c (the device) and blk_request.c (its requests) share. */
#ifndef DEVICES_BLK_INTERNAL_H
#define DEVICES_BLK_INTERNAL_H

#include <linux/virtio_blk.h>
#include <stdatomic.h>

#include "devices/blk.h"
#include "devices/bounce.h"

/* Counters are written by the queue's worker alone, and read by any thread. */
struct blk_queue {
	struct blk *blk;
	struct engine_queue *engine; /* NULL: stopped */
	struct bounce bounce;
	_Atomic uint64_t bytes_read, bytes_written, errors;
};

struct blk {
	const struct storage *storage;
	const struct engine_ops *engine;
	uint64_t sectors;
	unsigned num_queues;
	unsigned block_size;
	char serial[VIRTIO_BLK_ID_BYTES];
	/* Written by the session's thread, read by the workers. */
	_Atomic uint64_t features;
	_Atomic bool write_back;
	struct blk_queue queues[BLK_QUEUES_MAX];
};

/* A request's priv memory. */
struct blk_request {
	struct transfer transfer;
	struct bounce_job job;
	struct vhu_request *req;
	struct blk_queue *queue;
	uint8_t *status;
	uint64_t bytes;
};

static inline void blk_add(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, before + n, memory_order_relaxed);
}

/* Whether a write must be stable before it is completed. */
bool blk_is_write_through(const struct blk *blk);

void blk_submit(void *dev, struct vhu_queue *vq, struct vhu_request *req);
void blk_refused(void *dev, struct vhu_queue *vq, struct vhu_request *req);

#endif
