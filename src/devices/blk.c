/* SPDX-License-Identifier: BSD-3-Clause */
/* The device as a whole: making it, its queues, its size and its lock. The
 * configuration space is in blk_config.c, requests are in blk_request.c. */
#include "devices/blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "devices/blk_internal.h"
#include "devices/lock.h"

static bool options_are_sane(const struct blk_options *options)
{
	unsigned size = options->block_size;

	return options->num_queues >= 1 && options->num_queues <= BLK_QUEUES_MAX &&
	       size >= BLK_SECTOR && size <= 4096 && (size & (size - 1)) == 0 &&
	       size >= options->storage->align && options->storage->size >= size;
}

/* Only whole blocks are shown. */
static uint64_t whole_sectors(const struct blk *blk, uint64_t size)
{
	return size / blk->block_size * (blk->block_size / BLK_SECTOR);
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
	blk->quick = options->quick;
	blk->locking = options->locking && options->storage->fd >= 0;
	pthread_mutex_init(&blk->lock, NULL);
	atomic_store(&blk->sectors, whole_sectors(blk, options->storage->size));
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
	if (blk)
		pthread_mutex_destroy(&blk->lock);
	free(blk);
}

const struct engine_ops *blk_engine(const struct blk *blk)
{
	return blk->engine;
}

int blk_resize(struct blk *blk, uint64_t size)
{
	uint64_t before = blk_sectors(blk), sectors = whole_sectors(blk, size);

	if (sectors == before)
		return 0;
	if (sectors < before)
		return -ERANGE;
	atomic_store(&blk->sectors, sectors);
	return 1;
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
		ret->unsupported += atomic_load_explicit(&queue->unsupported, memory_order_relaxed);
	}
}

static unsigned max_queues(void *dev)
{
	const struct blk *blk = dev;

	return blk->num_queues;
}

static void reset(void *dev)
{
	blk_features_set(dev, 0);
}

static void queue_ready(void *dev, struct vhu_queue *vq)
{
	struct blk *blk = dev;
	struct engine_queue *engine = blk->queues[vhu_queue_index(vq)].engine;

	engine->ops->reap(engine);
}

static int lock_storage(const struct blk *blk)
{
	const struct storage *storage = blk->storage;
	int error = lock_take(storage->fd, !storage->read_only);

	switch (error) {
	case 0: return 0;
	case -EAGAIN:
		log_error("blk",
		          "%s is in use by another program (its locks say so): the disk is not "
		          "served; end that program, or switch locking off",
		          storage->name);
		return -EBUSY;
	default:
		log_warning("blk", "%s can't be locked (%s): nothing keeps others from using it",
		            storage->name, strerror(-error));
		return 0;
	}
}

/*
 * The first queue that starts takes the lock, the last that stops lets go: when a
 * machine migrates, its disk has stopped here before it starts there.
 */
static int begin_use(struct blk *blk)
{
	int error = 0;

	pthread_mutex_lock(&blk->lock);
	if (blk->locking && !blk->n_running)
		error = lock_storage(blk);
	if (!error)
		blk->n_running++;
	pthread_mutex_unlock(&blk->lock);
	return error;
}

static void end_use(struct blk *blk)
{
	pthread_mutex_lock(&blk->lock);
	if (--blk->n_running == 0 && blk->locking)
		lock_release(blk->storage->fd);
	pthread_mutex_unlock(&blk->lock);
}

static void queue_stop(void *dev, struct vhu_queue *vq)
{
	struct blk *blk = dev;
	struct blk_queue *queue = &blk->queues[vhu_queue_index(vq)];

	if (!queue->engine)
		return;
	quick_done(&queue->quick);
	bounce_done(&queue->bounce);
	queue->engine->ops->stop(queue->engine);
	queue->engine = NULL;
	end_use(blk);
}

static int queue_start(void *dev, struct vhu_queue *vq)
{
	struct blk *blk = dev;
	struct blk_queue *queue = &blk->queues[vhu_queue_index(vq)];
	const struct storage *storage = blk->storage;
	int error = begin_use(blk);

	if (error)
		return error;
	error = engine_start(blk->engine, storage, vhu_queue_size(vq), &queue->engine);
	if (error) {
		queue->engine = NULL;
		end_use(blk);
		return error;
	}
	queue->quick = (struct quick){ 0 };
	if (blk->quick)
		quick_init(&queue->quick, storage);
	if (storage->align > 1 || storage->memory_align > 1)
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
	.features = blk_features,
	.features_set = blk_features_set,
	.config_get = blk_config_get,
	.config_set = blk_config_set,
	.reset = reset,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.submit = blk_submit,
	.submit_end = submit_end,
	.refused = blk_refused,
};
