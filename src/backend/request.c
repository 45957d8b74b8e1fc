/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/request.h"

#include <assert.h>
#include <errno.h>

#include "base/export.h"
#include "base/log.h"
#include "vring/prefetch.h"

int request_take(struct vhu_queue *queue, struct request **ret)
{
	struct chain *chain = &queue->requests[queue->ring.config.num].chain;
	struct request *request;
	int r = vring_take(&queue->ring, chain);

	if (r < 0) {
		queue_break(queue, queue->ring.fault);
		return -EPROTO;
	}
	if (r == 0)
		return 0;
	vring_prefetch(&queue->ring, &queue->lane->view);
	request = &queue->requests[chain->head];
	if (request->state != REQUEST_FREE) {
		queue_break(queue, "the driver made a chain available that is still in use");
		return -EPROTO;
	}
	/* The spare request lends its chain and gets the slot's old one. */
	struct chain spare = request->chain;

	request->chain = *chain;
	*chain = spare;
	request->state = REQUEST_AHEAD;
	request->order = queue->n_taken++;
	request->table = (struct segment){ 0 };
	request->faulted = false;
	request->probed = false;
	request->watched = false;
	request->retries = 0;
	atomic_store_explicit(&queue->slots[request->chain.head].state, SLOT_IDLE,
	                      memory_order_relaxed);
	list_append(&queue->ahead, &request->node);
	queue->n_ahead++;
	*ret = request;
	return 1;
}

static int merge(int worst, int r)
{
	/* A final hole outweighs one that may be filled. */
	return worst && worst != -EAGAIN ? worst : r ? r : worst;
}

static int load_table(struct request *request, struct translate_view *view, struct hole_list *holes)
{
	struct vhu_queue *queue = request->device.queue;
	struct segment table = request->chain.table;
	const char *fault = NULL;
	int r = chain_load_table(&request->chain, view, holes, &fault);

	if (r == -EPROTO)
		queue_break(queue, fault);
	if (r == 0)
		request->table = table;
	return r;
}

/* The last status_len bytes of the device-writable part. */
static int prepare_status(struct request *request, struct translate_view *view,
                          struct hole_list *holes)
{
	const struct chain *chain = &request->chain;
	uint64_t wanted = request->device.queue->ops->status_len;
	uint64_t skip;
	int worst = 0;

	if (chain->in_len < wanted)
		return 0;
	skip = chain->in_len - wanted;
	for (unsigned i = chain->n_out; i < chain->n; i++) {
		const struct segment *segment = &chain->segments[i];

		if (skip >= segment->len) {
			skip -= segment->len;
			continue;
		}
		worst = merge(worst, translate(view, segment->addr + skip, segment->len - skip,
		                               PERM_WRITE, &request->in, holes));
		skip = 0;
	}
	return worst;
}

static int prepare_all(struct request *request, struct translate_view *view,
                       struct hole_list *holes)
{
	const struct chain *chain = &request->chain;
	int worst = 0;

	/* What can't be is not looked up any further. */
	for (unsigned i = 0; i < chain->n && (!worst || worst == -EAGAIN); i++) {
		const struct segment *segment = &chain->segments[i];
		struct iov_list *list = i < chain->n_out ? &request->out : &request->in;

		worst = merge(worst, translate(view, segment->addr, segment->len, segment->perm,
		                               list, holes));
	}
	return worst;
}

int request_prepare(struct request *request, struct hole_list *holes)
{
	struct vhu_queue *queue = request->device.queue;
	struct translate_view *view = retain_view(&queue->retain, &queue->lane->view);
	int r = 0;

	request->out.n = request->in.n = 0;
	if (request->faulted) {
		r = prepare_status(request, view, holes);
	} else {
		if (request->chain.table.len)
			r = load_table(request, view, holes);
		if (r == 0)
			r = prepare_all(request, view, holes);
	}
	/* Without memory for it a request fails like one that is refused. */
	if (r && r != -EAGAIN && r != -EPROTO)
		r = -EFAULT;
	return r;
}

int request_refuse(struct request *request)
{
	struct vhu_queue *queue = request->device.queue;

	if (request->chain.table.len) {
		queue_break(queue, "an indirect table was refused");
		return -EPROTO;
	}
	if (request->faulted) {
		queue_break(queue, "the status bytes of a chain were refused");
		return -EPROTO;
	}
	request->faulted = true;
	request->retries = 0;
	counter_add(&queue->lane->counters.refused, 1);
	return 0;
}

static uint64_t pages_of(const struct request *request)
{
	uint64_t pages = chain_pages(&request->chain);

	if (request->table.len)
		pages += (request->table.addr + (request->table.len - 1)) / TRANSLATE_PAGE -
		         request->table.addr / TRANSLATE_PAGE + 1;
	return pages;
}

void request_issue(struct request *request)
{
	struct vhu_queue *queue = request->device.queue;
	struct vhu_request *device = &request->device;

	assert(request->state == REQUEST_AHEAD);
	list_remove(&request->node);
	queue->n_ahead--;
	list_append(&queue->issued, &request->node);
	queue->n_issued++;
	gauge_add(&queue->lane->busy, 1);
	request->state = REQUEST_ISSUED;
	counter_add(&queue->lane->counters.requests, 1);
	counter_add(&queue->lane->counters.pages_needed, pages_of(request));

	device->out = request->out.iov;
	device->in = request->in.iov;
	device->n_out = request->out.n;
	device->n_in = request->in.n;
	device->out_len = request->faulted ? 0 : request->chain.out_len;
	device->in_len = request->chain.in_len;
	if (!request->faulted) {
		queue->ops->submit(queue->dev, queue, device);
		return;
	}
	device->in_len = request->in.n ? queue->ops->status_len : 0;
	if (queue->ops->refused && device->in_len)
		queue->ops->refused(queue->dev, queue, device);
	else
		vhu_request_complete(device, 0);
}

bool request_overlaps(const struct request *request, struct range range)
{
	struct range table;

	if (chain_overlaps(&request->chain, range))
		return true;
	return range_make(request->table.addr, request->table.len, &table) &&
	       range_overlaps(table, range);
}

void request_put(struct request *request)
{
	struct vhu_queue *queue = request->device.queue;

	vring_put(&queue->ring, request->chain.head, request->written);
	queue->n_put++;
	request->state = REQUEST_FREE;
}

/* Rule S10: a chain some of whose misses are unanswered is not given back yet. */
static bool must_hold(const struct vhu_queue *queue, const struct request *request)
{
	const struct slot *slot = &queue->slots[request->chain.head];

	/* acquire: pairs with the store of answered by the session's reader of replies */
	return !queue->stopping && !queue->frozen &&
	       atomic_load_explicit(&slot->ticket, memory_order_acquire) >
	               atomic_load_explicit(queue->lane->answered, memory_order_acquire);
}

static void hold(struct vhu_queue *queue, struct request *request)
{
	request->state = REQUEST_HELD;
	list_append(&queue->held, &request->node);
	/* Dekker with announce_answered(): one of the two sees the other's store. */
	atomic_store(&queue->holding, true);
	if (atomic_load(&queue->slots[request->chain.head].ticket) <=
	    atomic_load(queue->lane->answered))
		queue_schedule(queue);
}

/* It is the device's no longer, and no drain waits for it. */
static void request_leave(struct request *request)
{
	struct vhu_queue *queue = request->device.queue;

	assert(request->state == REQUEST_ISSUED);
	list_remove(&request->node);
	queue->n_issued--;
	iov_list_trim(&request->out);
	iov_list_trim(&request->in);
	if (!request->watched)
		return;
	request->watched = false;
	queue->lane->drain_left--;
}

VHU_EXPORT void vhu_request_complete(struct vhu_request *device, uint32_t written)
{
	struct request *request = container_of(device, struct request, device);
	struct vhu_queue *queue = device->queue;

	request_leave(request);
	request->written = written;
	if (request->faulted && device->in_len == 0)
		request->written = 0;
	if (must_hold(queue, request))
		hold(queue, request);
	else
		request_put(request);
	if (!queue->in_batch)
		queue_schedule(queue);
}

/* To its place in ring order. */
static void put_ahead(struct vhu_queue *queue, struct request *request)
{
	struct list *behind = &queue->ahead;

	while (behind->prev != &queue->ahead &&
	       container_of(behind->prev, struct request, node)->order > request->order)
		behind = behind->prev;
	list_append(behind, &request->node);
	queue->n_ahead++;
	request->state = REQUEST_AHEAD;
}

VHU_EXPORT void vhu_request_return(struct vhu_request *device)
{
	struct request *request = container_of(device, struct request, device);
	struct vhu_queue *queue = device->queue;

	request_leave(request);
	put_ahead(queue, request);
	request->faulted = false;
	request->probed = false;
	request->retries = 0;
	gauge_add(&queue->lane->busy, -1);
	queue_schedule(queue);
}

static void request_give_back(struct vhu_queue *queue, struct request *request)
{
	request->written = 0;
	gauge_add(&queue->lane->busy, 1);
	request_put(request);
}

/*
 * Without its used ring nobody can be told. The next start can't make up for it: it has
 * but an index, by which a driver that began anew looks like one that goes on.
 */
static void give_back_none(struct vhu_queue *queue)
{
	unsigned n = 0;

	while (list_pop(&queue->ahead))
		n++;
	if (n)
		log_warning(queue->subject,
		            "%u requests that were not done can't be given back, for the ring's "
		            "pages are gone; the driver has them again when it resets the device",
		            n);
}

void request_rewind(struct vhu_queue *queue)
{
	uint64_t end = queue->n_taken;
	struct list *node;

	while (!list_is_empty(&queue->ahead)) {
		node = queue->ahead.prev;
		if (container_of(node, struct request, node)->order + 1 != end)
			break;
		list_remove(node);
		end--;
	}
	if (!vring_is_mapped(&queue->ring))
		give_back_none(queue);
	while ((node = list_pop(&queue->ahead)))
		request_give_back(queue, container_of(node, struct request, node));
	queue_publish(queue);
	vring_untake(&queue->ring, (uint16_t)(queue->n_taken - end));
}
