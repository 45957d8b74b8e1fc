/* SPDX-License-Identifier: BSD-3-Clause */
/* The device as a whole: features, configuration space, queues. Requests are in
 * blk_request.c. */
#include "devices/blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "devices/blk_internal.h"

#define BIT(n)       (1ull << (n))
#define SEGMENTS_MAX 126 /* with header and status, a ring of 128 descriptors */

static bool options_are_sane(const struct blk_options *options)
{
	unsigned size = options->block_size;

	return options->num_queues >= 1 && options->num_queues <= BLK_QUEUES_MAX &&
	       size >= BLK_SECTOR && size <= 4096 && (size & (size - 1)) == 0 &&
	       size >= options->storage->align && options->storage->size >= size;
}

int blk_new(const struct blk_options *options, struct blk **ret)
{
	struct blk *blk;

	if (!options_are_sane(options))
		return -EINVAL;
	blk = calloc(1, sizeof(*blk));
	if (!blk)
		return -ENOMEM;
	blk->storage = options->storage;
	blk->engine = options->engine;
	blk->num_queues = options->num_queues;
	blk->block_size = options->block_size;
	blk->sectors = options->storage->size / options->block_size *
	               (options->block_size / BLK_SECTOR);
	blk->write_back = true;
	if (options->serial)
		memcpy(blk->serial, options->serial, strnlen(options->serial, BLK_SERIAL_MAX));
	for (unsigned i = 0; i < BLK_QUEUES_MAX; i++)
		blk->queues[i].blk = blk;
	*ret = blk;
	return 0;
}

void blk_free(struct blk *blk)
{
	free(blk);
}

void blk_count(const struct blk *blk, struct blk_counters *ret)
{
	*ret = (struct blk_counters){ 0 };
	for (unsigned i = 0; i < blk->num_queues; i++) {
		const struct blk_queue *queue = &blk->queues[i];

		ret->bytes_read += atomic_load_explicit(&queue->bytes_read, memory_order_relaxed);
		ret->bytes_written += atomic_load_explicit(&queue->bytes_written,
		                                           memory_order_relaxed);
		ret->errors += atomic_load_explicit(&queue->errors, memory_order_relaxed);
	}
}

static unsigned max_queues(void *dev)
{
	const struct blk *blk = dev;

	return blk->num_queues;
}

static uint64_t features(void *dev)
{
	const struct blk *blk = dev;

	return BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_FLUSH) |
	       BIT(VIRTIO_BLK_F_CONFIG_WCE) | (blk->num_queues > 1 ? BIT(VIRTIO_BLK_F_MQ) : 0) |
	       (blk->storage->read_only ? BIT(VIRTIO_BLK_F_RO) : 0);
}

static void features_set(void *dev, uint64_t negotiated)
{
	struct blk *blk = dev;

	atomic_store(&blk->features, negotiated);
}

static bool has_feature(const struct blk *blk, unsigned bit)
{
	return atomic_load_explicit(&blk->features, memory_order_relaxed) & BIT(bit);
}

/*
 * A driver that knows no flush gets every write stable (virtio 5.2.6.2), and so
 * does one that has chosen write-through in the configuration space.
 */
bool blk_is_write_through(const struct blk *blk)
{
	if (!has_feature(blk, VIRTIO_BLK_F_FLUSH))
		return true;
	return has_feature(blk, VIRTIO_BLK_F_CONFIG_WCE) &&
	       !atomic_load_explicit(&blk->write_back, memory_order_relaxed);
}

/* Without flush a driver finds the cache switched off (virtio 5.2.5.2). */
static bool shown_write_back(const struct blk *blk)
{
	if (has_feature(blk, VIRTIO_BLK_F_CONFIG_WCE) && !has_feature(blk, VIRTIO_BLK_F_FLUSH))
		return false;
	return atomic_load(&blk->write_back);
}

static int config_get(void *dev, uint32_t offset, void *buf, uint32_t len)
{
	const struct blk *blk = dev;
	struct virtio_blk_config config = {
		.capacity = htole64(blk->sectors),
		.seg_max = htole32(SEGMENTS_MAX),
		.blk_size = htole32(blk->block_size),
		.wce = shown_write_back(blk),
		.num_queues = htole16((uint16_t)blk->num_queues),
	};
	uint32_t known = offset < sizeof(config) ? (uint32_t)sizeof(config) - offset : 0;

	memset(buf, 0, len);
	memcpy(buf, (const char *)&config + (known ? offset : 0), known < len ? known : len);
	return 0;
}

/*
 * The cache mode is all that can be written. A reset keeps it: front-ends show
 * their driver a copy read once, and a driver that reads write-through there
 * sends no flush.
 */
static int config_set(void *dev, uint32_t offset, const void *buf, uint32_t len, bool migration)
{
	const uint32_t at = offsetof(struct virtio_blk_config, wce);
	struct blk *blk = dev;
	uint8_t value;

	if (offset > at || len <= at - offset)
		return -EINVAL;
	if (!migration && len != 1)
		return -EINVAL;
	value = ((const uint8_t *)buf)[at - offset];
	if (value > 1)
		return -EINVAL;
	atomic_store(&blk->write_back, value == 1);
	return 0;
}

static void reset(void *dev)
{
	features_set(dev, 0);
}

static void queue_ready(void *dev, struct vhu_queue *vq)
{
	struct blk *blk = dev;
	struct engine_queue *engine = blk->queues[vhu_queue_index(vq)].engine;

	engine->ops->reap(engine);
}

static void queue_stop(void *dev, struct vhu_queue *vq)
{
	struct blk *blk = dev;
	struct blk_queue *queue = &blk->queues[vhu_queue_index(vq)];

	if (!queue->engine)
		return;
	bounce_done(&queue->bounce);
	queue->engine->ops->stop(queue->engine);
	queue->engine = NULL;
}

static int queue_start(void *dev, struct vhu_queue *vq)
{
	struct blk *blk = dev;
	struct blk_queue *queue = &blk->queues[vhu_queue_index(vq)];
	int error = engine_start(blk->engine, blk->storage, vhu_queue_size(vq), &queue->engine);

	if (error) {
		queue->engine = NULL;
		return error;
	}
	if (blk->storage->align > 1)
		error = bounce_init(&queue->bounce, queue->engine);
	if (!error && queue->engine->fd >= 0)
		error = vhu_queue_watch(vq, queue->engine->fd, queue_ready);
	if (error)
		queue_stop(dev, vq);
	return error;
}

static void submit_end(void *dev, struct vhu_queue *vq)
{
	struct blk *blk = dev;
	struct engine_queue *engine = blk->queues[vhu_queue_index(vq)].engine;

	if (engine->ops->submit_end)
		engine->ops->submit_end(engine);
}

const struct vhu_device_ops blk_ops = {
	.name = "blk",
	.status_len = 1,
	.request_size = sizeof(struct blk_request),
	.max_queues = max_queues,
	.features = features,
	.features_set = features_set,
	.config_get = config_get,
	.config_set = config_set,
	.reset = reset,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.submit = blk_submit,
	.submit_end = submit_end,
	.refused = blk_refused,
};
