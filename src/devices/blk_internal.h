/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device (blk.c), its configuration space (blk_config.c) and its requests
 * (blk_request.c, blk_zeroes.c) share. */
#ifndef DEVICES_BLK_INTERNAL_H
#define DEVICES_BLK_INTERNAL_H

#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdatomic.h>

#include "devices/blk.h"
#include "devices/bounce.h"
#include "devices/quick.h"

/* Counters are written by the queue's worker alone, and read by any thread. */
struct blk_queue {
	struct blk *blk;
	struct engine_queue *engine; /* NULL: stopped */
	struct bounce bounce;
	struct quick quick;
	_Atomic uint64_t bytes_read, bytes_written, errors, unsupported;
};

struct blk {
	const struct storage *storage;
	const struct engine_ops *engine;
	_Atomic uint64_t sectors; /* grows on the session's thread */
	unsigned num_queues;
	unsigned block_size;
	bool quick;
	char serial[VIRTIO_BLK_ID_BYTES];
	/* Written by the session's thread, read by the workers. */
	_Atomic uint64_t features;
	_Atomic bool write_back;
	/* The storage is locked while a queue runs. */
	bool locking;
	pthread_mutex_t lock;
	unsigned n_running; /* under the lock */
	struct blk_queue queues[BLK_QUEUES_MAX];
};

/*
 * Limits of DISCARD and WRITE_ZEROES: ranges of a request, and sectors of a range.
 * Zeros may have to be written, and whoever stops a queue waits for them.
 */
#define BLK_RANGES_MAX          16
#define BLK_DISCARD_SECTORS_MAX (1u << 21)
#define BLK_ZEROES_SECTORS_MAX  (1u << 17)

struct blk_range {
	uint64_t sector;
	uint32_t sectors;
	bool unmap;
};

/* A request's priv memory. */
struct blk_request {
	struct transfer transfer;
	struct bounce_job job;
	struct vhu_request *req;
	struct blk_queue *queue;
	uint8_t *status;
	uint64_t bytes;
	/* Of a DISCARD or WRITE_ZEROES. */
	bool discards;
	unsigned char n_ranges, range_at;
	struct blk_range ranges[BLK_RANGES_MAX];
};

static inline void blk_add(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, before + n, memory_order_relaxed);
}

static inline uint64_t blk_sectors(const struct blk *blk)
{
	return atomic_load_explicit(&blk->sectors, memory_order_relaxed);
}

static inline bool blk_has_feature(const struct blk *blk, unsigned bit)
{
	return atomic_load_explicit(&blk->features, memory_order_relaxed) >> bit & 1;
}

/* blk_config.c */
uint64_t blk_features(void *dev);
void blk_features_set(void *dev, uint64_t negotiated);
int blk_config_get(void *dev, uint32_t offset, void *buf, uint32_t len);
int blk_config_set(void *dev, uint32_t offset, const void *buf, uint32_t len, bool migration);
/* Whether a write must be stable before it is completed. */
bool blk_is_write_through(const struct blk *blk);

/* blk_request.c */
void blk_submit(void *dev, struct vhu_queue *vq, struct vhu_request *req);
void blk_refused(void *dev, struct vhu_queue *vq, struct vhu_request *req);
void blk_complete(struct blk_request *request, uint8_t status);
/* Gives request->transfer to the engine. */
void blk_start_transfer(struct blk_request *request);
bool blk_is_in_range(const struct blk *blk, uint64_t sector, uint64_t bytes);

/* blk_zeroes.c */
void blk_zeroes(struct blk_request *request, bool discards, struct iovec *iov, unsigned n);

#endif
