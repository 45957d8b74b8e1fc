/* SPDX-License-Identifier: BSD-3-Clause */
/* The trivial device of the rig, which can hold requests back as a disk would. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "support/rig.h"

struct rig_device {
	unsigned n_queues;
	uint64_t features;
	unsigned char config[VHU_CONFIG_MAX];
	_Atomic bool hold;
	_Atomic bool sweep;         /* the next request submitted lets all go that are held */
	void (*then)(void *opaque); /* at the end of the next batch, with this: */
	void *then_opaque;
	_Atomic int batch;    /* an enum rig_batch; written last of these */
	_Atomic int at_drain; /* an enum rig_drain */
	_Atomic unsigned submitted, refused, resets, drains;
	pthread_mutex_t lock;
	int release[RIG_QUEUES_MAX];      /* eventfds of started queues, or -1; under the lock */
	struct list held[RIG_QUEUES_MAX]; /* the queue's worker alone */
};

/* What becomes of then. */
enum rig_batch {
	BATCH_DONE, /* it has run, or there is none */
	BATCH_AWAITED,
	BATCH_OPEN, /* a request of it was submitted */
};

struct held {
	struct list node;
	struct vhu_request *request;
};

struct rig_device *rig_device_new(unsigned queues, uint64_t features)
{
	struct rig_device *device = calloc(1, sizeof(*device));

	assert_non_null(device);
	pthread_mutex_init(&device->lock, NULL);
	device->n_queues = queues;
	device->features = features;
	for (unsigned i = 0; i < VHU_CONFIG_MAX; i++)
		device->config[i] = (unsigned char)i;
	for (unsigned i = 0; i < RIG_QUEUES_MAX; i++) {
		device->release[i] = -1;
		list_init(&device->held[i]);
	}
	return device;
}

void rig_device_free(struct rig_device *device)
{
	pthread_mutex_destroy(&device->lock);
	free(device);
}

static unsigned max_queues(void *dev)
{
	return ((struct rig_device *)dev)->n_queues;
}

static uint64_t features(void *dev)
{
	return ((struct rig_device *)dev)->features;
}

static int config_get(void *dev, uint32_t offset, void *buf, uint32_t len)
{
	memcpy(buf, ((struct rig_device *)dev)->config + offset, len);
	return 0;
}

static int config_set(void *dev, uint32_t offset, const void *buf, uint32_t len, bool migration)
{
	memcpy(((struct rig_device *)dev)->config + offset, buf, len);
	return 0;
}

static void reset(void *dev)
{
	atomic_fetch_add(&((struct rig_device *)dev)->resets, 1);
}

/* Returns the eventfd there was. */
static int set_release(struct rig_device *device, unsigned index, int fd)
{
	int old;

	pthread_mutex_lock(&device->lock);
	old = device->release[index];
	device->release[index] = fd;
	pthread_mutex_unlock(&device->lock);
	return old;
}

static char *gather(const struct vhu_request *req)
{
	char *bytes = malloc(req->out_len + 1), *at = bytes;

	if (!bytes)
		abort();
	for (unsigned i = 0; i < req->n_out; i++) {
		memcpy(at, req->out[i].iov_base, req->out[i].iov_len);
		at += req->out[i].iov_len;
	}
	return bytes;
}

/* All accesses to the driver's memory happen here. */
static void complete(struct vhu_request *req)
{
	char *bytes = gather(req);
	uint64_t n = 0;

	for (unsigned i = 0; i < req->n_in; i++) {
		char *to = req->in[i].iov_base;

		for (size_t j = 0; j < req->in[i].iov_len; j++, n++) {
			if (n + 1 == req->in_len)
				to[j] = RIG_OK;
			else
				to[j] = req->out_len ? bytes[n % req->out_len] : RIG_FILL;
		}
	}
	free(bytes);
	vhu_request_complete(req, (uint32_t)n);
}

static void complete_held(void *dev, struct vhu_queue *queue)
{
	struct rig_device *device = dev;
	unsigned index = vhu_queue_index(queue);
	struct list *node;

	/* Nobody else changes it while the queue runs. */
	fd_drain(device->release[index]);
	while ((node = list_pop(&device->held[index])))
		complete(container_of(node, struct held, node)->request);
}

static int queue_start(void *dev, struct vhu_queue *queue)
{
	struct rig_device *device = dev;
	unsigned index = vhu_queue_index(queue);
	int fd, error = fd_event(&fd);

	if (error)
		return error;
	error = vhu_queue_watch(queue, fd, complete_held);
	if (error)
		fd_close(&fd);
	else
		set_release(device, index, fd);
	return error;
}

static void queue_drain(void *dev, struct vhu_queue *queue)
{
	struct rig_device *device = dev;
	int what = atomic_load(&device->at_drain);
	struct list *node, *held = &device->held[vhu_queue_index(queue)];

	atomic_fetch_add(&device->drains, 1);
	for (bool first = true; what != RIG_DRAIN_KEEP && (node = list_pop(held)); first = false) {
		struct vhu_request *request = container_of(node, struct held, node)->request;

		if (what == RIG_DRAIN_RETURN || (what == RIG_DRAIN_RETURN_FIRST && first))
			vhu_request_return(request);
		else
			complete(request);
	}
}

static void queue_stop(void *dev, struct vhu_queue *queue)
{
	struct rig_device *device = dev;
	int fd = set_release(device, vhu_queue_index(queue), -1);

	fd_close(&fd);
}

/* All queues have one worker; see rig_release_by_next(). */
static void sweep(struct rig_device *device)
{
	struct list *node;

	atomic_store(&device->hold, false);
	for (unsigned i = 0; i < device->n_queues; i++)
		while ((node = list_pop(&device->held[i])))
			complete(container_of(node, struct held, node)->request);
}

static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *req)
{
	struct rig_device *device = dev;
	struct held *held = req->priv;
	int awaited = BATCH_AWAITED;

	atomic_compare_exchange_strong(&device->batch, &awaited, BATCH_OPEN);
	if (atomic_exchange(&device->sweep, false))
		sweep(device);
	if (atomic_load(&device->hold)) {
		held->request = req;
		list_append(&device->held[vhu_queue_index(queue)], &held->node);
		atomic_fetch_add(&device->submitted, 1);
		return;
	}
	atomic_fetch_add(&device->submitted, 1);
	complete(req);
}

static void submit_end(void *dev, struct vhu_queue *queue)
{
	struct rig_device *device = dev;

	(void)queue;
	if (atomic_load(&device->batch) != BATCH_OPEN)
		return;
	device->then(device->then_opaque);
	atomic_store(&device->batch, BATCH_DONE);
}

static void refused(void *dev, struct vhu_queue *queue, struct vhu_request *req)
{
	struct rig_device *device = dev;

	atomic_fetch_add(&device->refused, 1);
	if (req->in_len)
		*(char *)req->in[req->n_in - 1].iov_base = RIG_REFUSED;
	vhu_request_complete(req, req->in_len ? 1 : 0);
}

const struct vhu_device_ops rig_device_ops = {
	.name = "rig",
	.status_len = 1,
	.request_size = sizeof(struct held),
	.max_queues = max_queues,
	.features = features,
	.config_get = config_get,
	.config_set = config_set,
	.reset = reset,
	.queue_start = queue_start,
	.queue_drain = queue_drain,
	.queue_stop = queue_stop,
	.submit = submit,
	.submit_end = submit_end,
	.refused = refused,
};

void rig_hold(struct rig *rig)
{
	atomic_store(&rig->device->hold, true);
}

void rig_release_by_next(struct rig *rig)
{
	assert_true(rig->config.n_workers <= 1);
	atomic_store(&rig->device->sweep, true);
}

void rig_at_batch_end(struct rig *rig, void (*then)(void *opaque), void *opaque)
{
	rig->device->then = then;
	rig->device->then_opaque = opaque;
	atomic_store(&rig->device->batch, BATCH_AWAITED);
}

void rig_wait_batch_end(struct rig *rig)
{
	for (int ms = 0; atomic_load(&rig->device->batch) != BATCH_DONE; ms++) {
		if (ms >= PEER_PATIENCE)
			fail_msg("no batch of requests has ended");
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

void rig_release(struct rig *rig)
{
	atomic_store(&rig->device->hold, false);
	pthread_mutex_lock(&rig->device->lock);
	for (unsigned i = 0; i < rig->device->n_queues; i++)
		if (rig->device->release[i] >= 0)
			fd_signal(rig->device->release[i]);
	pthread_mutex_unlock(&rig->device->lock);
}

void rig_at_drain(struct rig *rig, enum rig_drain what)
{
	atomic_store(&rig->device->at_drain, what);
}

unsigned rig_drains(struct rig *rig)
{
	return atomic_load(&rig->device->drains);
}

unsigned rig_submitted(struct rig *rig)
{
	return atomic_load(&rig->device->submitted);
}

void rig_wait_submitted(struct rig *rig, unsigned n)
{
	for (int ms = 0; rig_submitted(rig) < n; ms++) {
		if (ms >= PEER_PATIENCE)
			fail_msg("the device has got %u requests of %u", rig_submitted(rig), n);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

unsigned rig_refused(struct rig *rig)
{
	return atomic_load(&rig->device->refused);
}

unsigned rig_resets(struct rig *rig)
{
	return atomic_load(&rig->device->resets);
}
