/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "pattern.h"
#include "record.h"

#define THREADS    2u
#define IN_FLIGHT  1024u
#define CONFIG_MAX 256u

/*
 * Which thread had a frame before is known to the driver alone, who told the
 * other one by way of the ring: no order that the thread sanitizer could see.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define SHARED_BEGIN()                              \
	do {                                        \
		AnnotateIgnoreReadsBegin(NULL, 0);  \
		AnnotateIgnoreWritesBegin(NULL, 0); \
	} while (0)
#define SHARED_END()                              \
	do {                                      \
		AnnotateIgnoreWritesEnd(NULL, 0); \
		AnnotateIgnoreReadsEnd(NULL, 0);  \
	} while (0)
#endif
#endif
#ifndef SHARED_BEGIN
#define SHARED_BEGIN()
#define SHARED_END()
#endif

/* The device's part of a request. */
struct job {
	struct list node; /* of its queue's done ones, or of those whose batch ends */
	struct vhu_request *request;
	uint32_t delay_us;
};

/* Where a queue's completions come from; lives as long as the device. */
struct desk {
	pthread_mutex_t lock; /* of done and wake */
	struct list done;
	int wake;          /* eventfd; -1: the queue is stopped */
	struct list batch; /* the queue's worker alone */
	unsigned given;    /* to the device and not completed; the queue's worker alone */
};

struct device {
	struct desk desks[DEVICE_QUEUES];
	pthread_t threads[THREADS];
	pthread_mutex_t lock; /* of those below */
	pthread_cond_t more;
	struct job *later[IN_FLIGHT];
	unsigned n_later;
	bool quit;
	uint8_t config[CONFIG_MAX]; /* the session's thread alone */
};

static unsigned max_queues(void *dev)
{
	(void)dev;
	return DEVICE_QUEUES;
}

/* Compares what is read, from byte @skip of it on, to the pattern. */
static bool reads_pattern(const struct vhu_request *req, uint64_t skip, uint64_t key)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < req->n_out; i++) {
		const char *base = req->out[i].iov_base;
		uint64_t len = req->out[i].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		if (!pattern_is(key, at, base + skip, len - skip))
			return false;
		at += len - skip;
		skip = 0;
	}
	return true;
}

static void write_pattern(const struct vhu_request *req, uint64_t key, uint64_t len)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < req->n_in && at < len; i++) {
		uint64_t n = req->in[i].iov_len < len - at ? req->in[i].iov_len : len - at;

		pattern_fill(key, at, req->in[i].iov_base, n);
		at += n;
	}
}

static void write_status(const struct vhu_request *req, uint8_t status)
{
	const struct iovec *last = &req->in[req->n_in - 1];

	__atomic_store_n((uint8_t *)last->iov_base + last->iov_len - 1, status, __ATOMIC_RELEASE);
}

static struct device_header read_header(const struct vhu_request *req)
{
	struct device_header header;
	char *to = (char *)&header;
	size_t left = sizeof(header);

	SHARED_BEGIN();
	for (unsigned i = 0; i < req->n_out && left; i++) {
		size_t n = req->out[i].iov_len < left ? req->out[i].iov_len : left;

		memcpy(to, req->out[i].iov_base, n);
		to += n;
		left -= n;
	}
	SHARED_END();
	if (left || header.magic != DEVICE_MAGIC)
		record_fail("the device was given a request without a header");
	return header;
}

/* All of the device's accesses to shared memory, but for the header's reading. */
static void execute(const struct vhu_request *req)
{
	const struct device_header header = read_header(req);

	if (req->out_len != sizeof(header) + header.out_len || req->in_len != header.in_len + 1)
		record_fail("a request of %u and %u bytes came as %u and %u", header.out_len,
		            header.in_len, (unsigned)(req->out_len - sizeof(header)),
		            (unsigned)req->in_len - 1);
	SHARED_BEGIN();
	if (!reads_pattern(req, sizeof(header), header.out_key))
		record_fail("the device has read what the driver did not write");
	write_pattern(req, header.in_key, header.in_len);
	write_status(req, STATUS_OK);
	SHARED_END();
}

static struct desk *desk_of(void *dev, const struct vhu_queue *queue)
{
	struct device *device = dev;

	return &device->desks[vhu_queue_index(queue)];
}

static void complete(struct desk *desk, struct vhu_request *req)
{
	desk->given--;
	vhu_request_complete(req, (uint32_t)req->in_len);
}

static void do_later(struct device *device, struct job *job)
{
	pthread_mutex_lock(&device->lock);
	if (device->n_later == IN_FLIGHT)
		record_fail("the device was given too many requests at a time");
	device->later[device->n_later++] = job;
	pthread_cond_signal(&device->more);
	pthread_mutex_unlock(&device->lock);
}

static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *req)
{
	const struct device_header header = read_header(req);
	struct desk *desk = desk_of(dev, queue);
	struct job *job = req->priv;

	*job = (struct job){ .request = req, .delay_us = header.delay_us };
	if (++desk->given > vhu_queue_size(queue))
		record_fail("the device was given more requests than the ring has descriptors");
	switch (header.when) {
	case DEVICE_BATCH_END: list_append(&desk->batch, &job->node); break;
	case DEVICE_LATER: do_later(dev, job); break;
	default:
		execute(req);
		complete(desk, req);
		break;
	}
}

static void submit_end(void *dev, struct vhu_queue *queue)
{
	struct desk *desk = desk_of(dev, queue);
	struct list *node;

	while ((node = list_pop(&desk->batch))) {
		struct vhu_request *req = container_of(node, struct job, node)->request;

		execute(req);
		complete(desk, req);
	}
}

static void refused(void *dev, struct vhu_queue *queue, struct vhu_request *req)
{
	(void)dev;
	(void)queue;
	if (req->n_out || req->in_len != 1)
		record_fail("a refused request came with more than its status");
	SHARED_BEGIN();
	write_status(req, STATUS_REFUSED);
	SHARED_END();
	vhu_request_complete(req, 1);
}

/* Out of order: any of those that wait. */
static struct job *take_later(struct device *device, unsigned *at)
{
	struct job *job = NULL;

	pthread_mutex_lock(&device->lock);
	while (!device->n_later && !device->quit)
		pthread_cond_wait(&device->more, &device->lock);
	if (device->n_later) {
		unsigned i = *at = (*at * 5 + 1) % device->n_later;

		job = device->later[i];
		device->later[i] = device->later[--device->n_later];
	}
	pthread_mutex_unlock(&device->lock);
	return job;
}

static void *work(void *opaque)
{
	struct device *device = opaque;
	struct job *job;
	unsigned at = 0;

	while ((job = take_later(device, &at))) {
		struct desk *desk = desk_of(device, job->request->queue);

		if (job->delay_us)
			usleep(job->delay_us);
		execute(job->request);
		/* Under the lock to the end: once completed, the queue may stop. */
		pthread_mutex_lock(&desk->lock);
		list_append(&desk->done, &job->node);
		fd_signal(desk->wake);
		pthread_mutex_unlock(&desk->lock);
	}
	return NULL;
}

static void complete_done(void *dev, struct vhu_queue *queue)
{
	struct desk *desk = desk_of(dev, queue);
	struct list *node;

	fd_drain(desk->wake);
	for (;;) {
		pthread_mutex_lock(&desk->lock);
		node = list_pop(&desk->done);
		pthread_mutex_unlock(&desk->lock);
		if (!node)
			return;
		complete(desk, container_of(node, struct job, node)->request);
	}
}

static void set_wake(struct desk *desk, int fd)
{
	pthread_mutex_lock(&desk->lock);
	desk->wake = fd;
	pthread_mutex_unlock(&desk->lock);
}

static int queue_start(void *dev, struct vhu_queue *queue)
{
	struct desk *desk = desk_of(dev, queue);
	int fd, error = fd_event(&fd);

	if (desk->wake >= 0)
		record_fail("a queue was started twice");
	if (error)
		return error;
	error = vhu_queue_watch(queue, fd, complete_done);
	if (error)
		fd_close(&fd);
	else
		set_wake(desk, fd);
	return error;
}

static void queue_stop(void *dev, struct vhu_queue *queue)
{
	struct desk *desk = desk_of(dev, queue);
	int fd = desk->wake;

	if (fd < 0)
		record_fail("a queue was stopped twice");
	if (desk->given)
		record_fail("a queue was stopped while the device had %u requests", desk->given);
	set_wake(desk, -1);
	fd_close(&fd);
}

static int config_get(void *dev, uint32_t offset, void *buf, uint32_t len)
{
	memcpy(buf, ((struct device *)dev)->config + offset, len);
	return 0;
}

static int config_set(void *dev, uint32_t offset, const void *buf, uint32_t len, bool migration)
{
	(void)migration;
	memcpy(((struct device *)dev)->config + offset, buf, len);
	return 0;
}

static void reset(void *dev)
{
	struct device *device = dev;

	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		if (device->desks[i].wake >= 0)
			record_fail("a device was reset while queue %u ran", i);
}

const struct vhu_device_ops device_ops = {
	.name = "soak",
	.status_len = 1,
	.request_size = sizeof(struct job),
	.max_queues = max_queues,
	.config_get = config_get,
	.config_set = config_set,
	.reset = reset,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.submit = submit,
	.submit_end = submit_end,
	.refused = refused,
};

struct device *device_new(void)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		record_fail("there is no memory for a device");
	pthread_mutex_init(&device->lock, NULL);
	pthread_cond_init(&device->more, NULL);
	for (unsigned i = 0; i < DEVICE_QUEUES; i++) {
		struct desk *desk = &device->desks[i];

		pthread_mutex_init(&desk->lock, NULL);
		list_init(&desk->done);
		list_init(&desk->batch);
		desk->wake = -1;
	}
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&device->threads[i], NULL, work, device))
			record_fail("there is no thread for the device");
	return device;
}

void device_free(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	device->quit = true;
	pthread_cond_broadcast(&device->more);
	pthread_mutex_unlock(&device->lock);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(device->threads[i], NULL);
	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		pthread_mutex_destroy(&device->desks[i].lock);
	pthread_cond_destroy(&device->more);
	pthread_mutex_destroy(&device->lock);
	free(device);
}
