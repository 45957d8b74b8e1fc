/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/request.h"
#include "base/event.h"
#include "base/export.h"
#include "base/fd.h"
#include "base/log.h"

static void queue_woken(struct mail *mail)
{
	struct vhu_queue *queue = container_of(mail, struct vhu_queue, wake);

	/*
	 * The mail may be posted again. acq_rel: whoever found it posted has left its
	 * news behind; pairs with the exchange in queue_wake, of which one is the later.
	 */
	atomic_exchange_explicit(&queue->wake_posted, false, memory_order_acq_rel);
	if (atomic_exchange_explicit(&queue->unhalt, false, memory_order_acquire)) {
		queue->halted = false;
		atomic_store_explicit(&queue->halted_seen, false, memory_order_relaxed);
	}
	queue_schedule(queue);
}

void queue_wake(struct vhu_queue *queue)
{
	if (queue->leaving)
		return;
	/* acq_rel: see queue_woken; what was resolved is visible to who is woken */
	if (!atomic_exchange_explicit(&queue->wake_posted, true, memory_order_acq_rel))
		mailbox_post(&queue->lane->commands, &queue->wake);
}

/* Room for each request's device memory, aligned for anything. */
static size_t device_stride(const struct vhu_device_ops *ops)
{
	size_t align = alignof(max_align_t);

	return (ops->request_size + align - 1) / align * align;
}

static int queue_allocate(struct vhu_queue *queue, unsigned num)
{
	size_t stride = device_stride(queue->ops);

	queue->requests = calloc(num + 1, sizeof(*queue->requests));
	queue->slots = calloc(num + 1, sizeof(*queue->slots));
	queue->device_memory = stride ? calloc(num, stride) : NULL;
	if (!queue->requests || !queue->slots || (stride && !queue->device_memory))
		return -ENOMEM;
	for (unsigned i = 0; i < num; i++) {
		struct request *request = &queue->requests[i];

		request->device.queue = queue;
		list_init(&request->node);
		if (stride)
			request->device.priv = (char *)queue->device_memory + i * stride;
	}
	return 0;
}

int queue_new(const struct queue_config *config, void (*report)(struct mail *mail),
              struct vhu_queue **ret)
{
	struct vhu_queue *queue = calloc(1, sizeof(*queue));
	int error = -ENOMEM;

	if (!queue)
		return -ENOMEM;
	queue->ops = config->ops;
	queue->dev = config->dev;
	queue->index = config->index;
	queue->kick.fd = queue->watch.fd = -1;
	queue->call_fd = queue->err_fd = -1;
	queue->wake.deliver = queue_woken;
	queue->report.mail.deliver = report;
	list_init(&queue->report.node);
	list_init(&queue->node);
	list_init(&queue->ahead);
	list_init(&queue->issued);
	list_init(&queue->held);
	retain_init(&queue->retain);
	snprintf(queue->subject, sizeof(queue->subject), "%s/q%u", config->subject, config->index);
	error = vring_start(&queue->ring, &config->ring);
	if (!error)
		error = queue_allocate(queue, config->ring.num);
	if (error) {
		queue_free(queue);
		return error;
	}
	queue->enabled = config->enabled;
	queue->owed = true;
	queue->kick.fd = config->kick_fd;
	queue->call_fd = config->call_fd;
	queue->err_fd = config->err_fd;
	*ret = queue;
	return 0;
}

void queue_free(struct vhu_queue *queue)
{
	if (!queue)
		return;
	for (unsigned i = 0; queue->requests && i <= queue->ring.config.num; i++) {
		chain_done(&queue->requests[i].chain);
		iov_list_done(&queue->requests[i].out);
		iov_list_done(&queue->requests[i].in);
	}
	vring_done(&queue->ring);
	retain_done(&queue->retain);
	free(queue->requests);
	free(queue->slots);
	free(queue->device_memory);
	fd_close(&queue->kick.fd);
	fd_close(&queue->call_fd);
	fd_close(&queue->err_fd);
	free(queue);
}

static void queue_kicked(struct loop_source *source, uint32_t events)
{
	struct vhu_queue *queue = container_of(source, struct vhu_queue, kick);

	int fd = source->fd, error = event_take(fd);

	if (error) {
		/* Somebody else took the event, or there is none and never will be. */
		if (error != -EAGAIN || (events & (EPOLLHUP | EPOLLERR))) {
			loop_remove(queue->lane->loop, source);
			fd_close(&fd);
		}
		return;
	}
	counter_add(&queue->lane->counters.kicks, 1);
	queue->owed = true;
	queue->halted = false;
	atomic_store_explicit(&queue->halted_seen, false, memory_order_relaxed);
	queue_schedule(queue);
}

/* Who has held us up once would do it again, by each fd it has given. */
static void queue_signal(struct vhu_queue *queue, int fd)
{
	struct lane *lane = queue->lane;

	if (fd < 0 || atomic_load_explicit(&lane->held_up, memory_order_relaxed))
		return;
	if (event_signal(&lane->loop->guard, fd) == -ETIMEDOUT)
		lane_held_up(lane);
}

int queue_start(struct vhu_queue *queue, struct lane *lane)
{
	int fd = queue->kick.fd, error;

	queue->lane = lane;
	queue->kick.fd = -1;
	error = loop_add(lane->loop, &queue->kick, fd, EPOLLIN, queue_kicked);
	if (error) {
		fd_close(&fd);
		return error;
	}
	lane_add_queue(lane, queue);
	if (queue->ops->queue_start)
		error = queue->ops->queue_start(queue->dev, queue);
	if (error) {
		queue_stopped(queue);
		queue_signal(queue, queue->err_fd);
		return error;
	}
	queue_schedule(queue);
	return 0;
}

void queue_stopped(struct vhu_queue *queue)
{
	int kick = queue->kick.fd;

	loop_remove(queue->lane->loop, &queue->kick);
	fd_close(&kick);
	if (queue->watch.fd >= 0)
		loop_remove(queue->lane->loop, &queue->watch);
	vring_unmap(&queue->ring);
	lane_remove_queue(queue->lane, queue);
	queue->due = false;
	queue_note_rest(queue, true);
}

void queue_note_rest(struct vhu_queue *queue, bool rests)
{
	if (queue->restless == !rests)
		return;
	queue->restless = !rests;
	gauge_add(&queue->lane->restless, rests ? -1 : 1);
}

/* Without an fd the call is owed until there is one. */
static void queue_call(struct vhu_queue *queue)
{
	queue->call_owed = queue->call_fd < 0;
	if (queue->call_owed)
		return;
	queue_signal(queue, queue->call_fd);
	counter_add(&queue->lane->counters.calls, 1);
}

/* Takes over @fd in place of *mine. */
static void replace_fd(int *mine, int fd)
{
	fd_close(mine);
	*mine = fd;
}

static void set_call(struct vhu_queue *queue, int fd)
{
	replace_fd(&queue->call_fd, fd);
	if (queue->call_owed)
		queue_call(queue);
}

static int set_kick(struct vhu_queue *queue, int fd)
{
	int old = queue->kick.fd, error;

	loop_remove(queue->lane->loop, &queue->kick);
	fd_close(&old);
	error = loop_add(queue->lane->loop, &queue->kick, fd, EPOLLIN, queue_kicked);
	if (error)
		fd_close(&fd);
	queue->owed = true;
	return error;
}

static int set_addresses(struct vhu_queue *queue, const struct lane_command *command)
{
	struct vring_config config = queue->ring.config;

	config.desc = command->desc;
	config.avail = command->avail;
	config.used = command->used;
	/* Re-sent with live dirty logging: nothing moved, nothing is to be redone (M1). */
	if (config.desc == queue->ring.config.desc && config.avail == queue->ring.config.avail &&
	    config.used == queue->ring.config.used)
		return 0;
	if (queue->n_issued)
		return -EBUSY;
	queue_release_held(queue, true);
	queue_publish(queue);
	return vring_move(&queue->ring, &config);
}

int queue_set(struct vhu_queue *queue, const struct lane_command *command)
{
	int error = 0;

	switch (command->set) {
	case LANE_SET_CALL: set_call(queue, command->fd); break;
	case LANE_SET_ERR: replace_fd(&queue->err_fd, command->fd); break;
	case LANE_SET_KICK: error = set_kick(queue, command->fd); break;
	case LANE_SET_ENABLE:
		queue->owed = queue->owed || (command->enable && !queue->enabled);
		queue->enabled = command->enable;
		break;
	case LANE_SET_ADDRESSES: error = set_addresses(queue, command); break;
	}
	queue_schedule(queue);
	return error;
}

void queue_schedule(struct vhu_queue *queue)
{
	queue->due = true;
	lane_schedule(queue->lane);
}

void queue_break(struct vhu_queue *queue, const char *why)
{
	if (queue->broken)
		return;
	queue->broken = true;
	counter_add(&queue->lane->counters.ring_errors, 1);
	log_error(queue->subject, "ring broken: %s; it stays so until the driver resets the device",
	          why);
	queue_signal(queue, queue->err_fd);
}

void queue_halt(struct vhu_queue *queue, const char *why)
{
	queue->halted = true;
	queue->ring_retries = 0;
	atomic_store_explicit(&queue->halted_seen, true, memory_order_relaxed);
	counter_add(&queue->lane->counters.ring_errors, 1);
	log_error(queue->subject, "ring halted until its next kick: %s", why);
	queue_signal(queue, queue->err_fd);
}

void queue_show(struct vhu_queue *queue)
{
	unsigned n = queue->n_put;

	if (!n)
		return;
	queue->n_put = 0;
	queue->shown = true;
	vring_publish(&queue->ring);
	gauge_add(&queue->lane->busy, -(int)n);
}

void queue_publish(struct vhu_queue *queue)
{
	queue_show(queue);
	if (!queue->shown)
		return;
	queue->shown = false;
	if (vring_wants_call(&queue->ring))
		queue_call(queue);
}

void queue_release_held(struct vhu_queue *queue, bool all)
{
	/* acquire: pairs with the session's store when it has read replies */
	uint64_t answered = atomic_load_explicit(queue->lane->answered, memory_order_acquire);
	struct list *node, *next;

	list_for_each_safe (node, next, &queue->held) {
		struct request *request = container_of(node, struct request, node);
		const struct slot *slot = &queue->slots[request->chain.head];

		if (!all && atomic_load_explicit(&slot->ticket, memory_order_acquire) > answered)
			continue;
		list_remove(node);
		request_put(request);
	}
	if (list_is_empty(&queue->held))
		atomic_store_explicit(&queue->holding, false, memory_order_relaxed);
}

void queue_drain(struct vhu_queue *queue)
{
	/* A device may end its server from inside of its own functions. */
	bool in_batch = queue->in_batch;

	if (!queue->n_issued || !queue->ops->queue_drain)
		return;
	queue->in_batch = true;
	queue->ops->queue_drain(queue->dev, queue);
	queue->in_batch = in_batch;
	queue_publish(queue);
}

VHU_EXPORT unsigned vhu_queue_index(const struct vhu_queue *queue)
{
	return queue->index;
}

VHU_EXPORT unsigned vhu_queue_size(const struct vhu_queue *queue)
{
	return queue->ring.config.num;
}

VHU_EXPORT void vhu_queue_set_priv(struct vhu_queue *queue, void *priv)
{
	queue->priv = priv;
}

VHU_EXPORT void *vhu_queue_priv(const struct vhu_queue *queue)
{
	return queue->priv;
}

static void watch_ready(struct loop_source *source, uint32_t events)
{
	struct vhu_queue *queue = container_of(source, struct vhu_queue, watch);

	(void)events;
	queue->in_batch = true;
	queue->watch_ready(queue->dev, queue);
	queue->in_batch = false;
	queue_publish(queue);
	lane_settle(queue->lane);
}

VHU_EXPORT int vhu_queue_watch(struct vhu_queue *queue, int fd,
                               void (*ready)(void *dev, struct vhu_queue *queue))
{
	if (queue->watch.fd >= 0)
		return -EBUSY;
	queue->watch_ready = ready;
	return loop_add(queue->lane->loop, &queue->watch, fd, EPOLLIN, watch_ready);
}
