/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device: touches the ends of every piece it was given, at once or when it is
 * let go, and looks beforehand whether the front-end could have known.
 */
#include <errno.h>

#include "backend.h"
#include "base/fd.h"

#define VIEWS_MAX 8u

/* The memory table that a request was translated by. */
struct held {
	struct list node;
	struct vhu_request *request;
	struct region_view views[VIEWS_MAX];
	unsigned n_views;
};

/* Readable when held requests are to be completed; of both queues. */
static int release_fds[QUEUES];

static unsigned max_queues(void *dev)
{
	return QUEUES;
}

static uint64_t features(void *dev)
{
	return 0;
}

static int config_get(void *dev, uint32_t offset, void *buf, uint32_t len)
{
	memset(buf, 0x11, len);
	return ((struct play *)dev)->fails ? -EIO : 0;
}

static int config_set(void *dev, uint32_t offset, const void *buf, uint32_t len, bool migration)
{
	assert_true(offset + len <= VHU_CONFIG_MAX);
	return ((struct play *)dev)->fails ? -EIO : 0;
}

/* UINT64_MAX: not in the memory that was shared when it was submitted. */
static uint64_t user_address(const struct held *held, const char *ptr)
{
	for (unsigned i = 0; i < held->n_views; i++) {
		const struct region_view *view = &held->views[i];

		if (ptr >= view->ptr && (uint64_t)(ptr - view->ptr) < view->size)
			return view->uva + (uint64_t)(ptr - view->ptr);
	}
	return UINT64_MAX;
}

static void touch(const struct play *play, const struct held *held, char *byte, uint8_t perm)
{
	static volatile char seen;

	if (held->n_views <= VIEWS_MAX)
		assert_true(told_allows_user(&play->told, user_address(held, byte), 1, perm));
	if (perm == PERM_WRITE)
		*byte = 0x5a;
	else
		seen = *byte;
	(void)seen;
}

static uint64_t touch_all(const struct play *play, const struct held *held, const struct iovec *iov,
                          unsigned n, uint8_t perm)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0);
		touch(play, held, iov[i].iov_base, perm);
		touch(play, held, (char *)iov[i].iov_base + iov[i].iov_len - 1, perm);
		len += iov[i].iov_len;
	}
	return len;
}

static void complete(struct play *play, struct held *held)
{
	struct vhu_request *request = held->request;

	assert_int_equal(touch_all(play, held, request->out, request->n_out, PERM_READ),
	                 request->out_len);
	assert_int_equal(touch_all(play, held, request->in, request->n_in, PERM_WRITE),
	                 request->in_len);
	play->n_device--;
	vhu_request_complete(request, (uint32_t)request->in_len);
}

static void release(struct play *play, struct list *node)
{
	list_remove(node);
	play->n_held--;
	complete(play, container_of(node, struct held, node));
}

void device_release(struct play *play, unsigned n, bool newest)
{
	while (n-- && !list_is_empty(&play->held))
		release(play, newest ? play->held.prev : play->held.next);
}

void device_release_later(struct play *play)
{
	for (unsigned i = 0; i < QUEUES; i++)
		fd_signal(release_fds[i]);
}

static void release_ready(void *dev, struct vhu_queue *queue)
{
	struct play *play = dev;
	struct list *node, *next;

	fd_drain(release_fds[vhu_queue_index(queue)]);
	list_for_each_safe (node, next, &play->held)
		if (container_of(node, struct held, node)->request->queue == queue)
			release(play, node);
}

static int start(void *dev, struct vhu_queue *queue)
{
	struct play *play = dev;

	fd_drain(release_fds[vhu_queue_index(queue)]);
	return play->fails
	               ? -EIO
	               : vhu_queue_watch(queue, release_fds[vhu_queue_index(queue)], release_ready);
}

static void stop(void *dev, struct vhu_queue *queue)
{
	struct play *play = dev;
	struct list *node;

	list_for_each (node, &play->held)
		assert_ptr_not_equal(container_of(node, struct held, node)->request->queue, queue);
}

static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *request)
{
	struct play *play = dev;
	struct held *held = request->priv;
	const struct memtable *table = server_session(play->server)->table;

	held->request = request;
	held->n_views = memtable_count(table);
	for (unsigned i = 0; i < held->n_views && i < VIEWS_MAX; i++)
		held->views[i] = memtable_region(table, i);
	assert_true(++play->n_device <= QUEUES * VRING_NUM_MAX);
	if (!play->holds) {
		complete(play, held);
		return;
	}
	list_append(&play->held, &held->node);
	play->n_held++;
}

static void refused(void *dev, struct vhu_queue *queue, struct vhu_request *request)
{
	assert_int_equal(request->n_out, 0);
	assert_int_equal(request->in_len, device_ops.status_len);
	submit(dev, queue, request);
}

struct vhu_device_ops device_ops = {
	.name = "fuzz",
	.request_size = sizeof(struct held),
	.max_queues = max_queues,
	.features = features,
	.config_get = config_get,
	.config_set = config_set,
	.queue_start = start,
	.queue_stop = stop,
	.submit = submit,
	.refused = refused,
};

void device_init(void)
{
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(fd_event(&release_fds[i]), 0);
}
