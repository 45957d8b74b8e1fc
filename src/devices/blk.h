/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio block device (virtio 5.2) on a storage. Knows requests and
 * configuration, nothing of rings or sockets: it is served by way of
 * vhu/device.h, whose rules on threads hold.
 */
#ifndef DEVICES_BLK_H
#define DEVICES_BLK_H

#include <stdbool.h>
#include <stdint.h>
#include <vhu/device.h>

#include "devices/engine.h"

struct blk;

/* What a storage of any size is counted in, whatever the block size (virtio 5.2.4). */
#define BLK_SECTOR     512
#define BLK_SERIAL_MAX 20
#define BLK_QUEUES_MAX 64

struct blk_options {
	const struct storage *storage; /* outlives the device */
	const struct engine_ops *engine;
	unsigned num_queues; /* 1 to BLK_QUEUES_MAX */
	unsigned block_size; /* a power of two, 512 to 4096, not below the storage's align */
	const char *serial;  /* cut at BLK_SERIAL_MAX bytes; NULL: none */
	bool locking;        /* lock a file while a queue runs; see lock.h */
	bool quick;          /* do at once what need not wait, before the engine; see quick.h */
};

/* Since the device was made, all queues together. */
struct blk_counters {
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t errors;      /* requests that ended with an error status */
	uint64_t unsupported; /* of them, those for what the disk does not do */
};

/* The functions to serve it with; their dev is a struct blk. */
extern const struct vhu_device_ops blk_ops;

/* 0, -EINVAL for what the options must not be, -ENOMEM. */
int blk_new(const struct blk_options *options, struct blk **ret);

/* Every queue is stopped. */
void blk_free(struct blk *blk);

/* Its engine. */
const struct engine_ops *blk_engine(const struct blk *blk);

/*
 * The storage has @size bytes now. 1: the disk has grown, and whoever serves it
 * tells the front-end; 0: not by a whole block; -ERANGE: the storage has shrunk,
 * the disk keeps its size and I/O at its end fails. The session's thread.
 */
int blk_resize(struct blk *blk, uint64_t size);

/* Any thread. */
void blk_count(const struct blk *blk, struct blk_counters *ret);

#endif
