/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path of a queue: one round of taking, translating, issuing,
 * publishing and reporting. See queue.h for the life of a request.
 *
 * Thread: the queue's worker.
 */
#include <assert.h>
#include <errno.h>

#include "backend/request.h"
#include "base/log.h"

/* Requests, and bytes, issued in one round before other queues and sockets have their turn. */
#define ISSUE_BATCH 64u
#define ISSUE_BYTES (UINT64_C(512) << 10)
/* Of them, what was done is shown by so many, so that driver and device work at a time. */
#define SHOW_BATCH 16u
/* An answer may be lost to an invalidation, but not for ever (rule S4). */
#define ASKS_MAX 3u

struct hole_report *queue_report_open(struct vhu_queue *queue)
{
	struct hole_report *report = &queue->report;

	/* acquire: the session has read what was in it; pairs with its release */
	if (atomic_load_explicit(&report->posted, memory_order_acquire)) {
		atomic_store(&report->wanted, true);
		/* It may have been given back in between, and nobody would wake us. */
		if (atomic_load(&report->posted))
			return NULL;
		atomic_store(&report->wanted, false);
	}
	report->n = 0;
	return report;
}

struct hole_list queue_report_room(struct hole_report *report)
{
	return (struct hole_list){
		.holes = report->holes + report->n,
		.cap = QUEUE_HOLES_MAX - report->n,
	};
}

void queue_report_add(struct vhu_queue *queue, struct hole_report *report,
                      const struct hole_list *holes, unsigned slot)
{
	if (!holes->n)
		return;
	for (unsigned i = 0; i < holes->n; i++)
		report->slots[report->n + i] = (uint16_t)slot;
	report->n += holes->n;
	atomic_store_explicit(&queue->slots[slot].state, SLOT_WAITING, memory_order_relaxed);
}

void queue_report_failed(struct hole_report *report, const struct hole_list *holes)
{
	for (unsigned i = 0; i < holes->n; i++)
		report->slots[report->n + i] = QUEUE_SLOT_NONE;
	report->n += holes->n;
}

void queue_report_send(struct vhu_queue *queue, struct hole_report *report)
{
	if (!report || !report->n)
		return;
	/* release by the post: the slots' states, too */
	atomic_store_explicit(&report->posted, true, memory_order_relaxed);
	mailbox_post(queue->lane->reports, &report->mail);
}

/* What became of a slot's holes; a verdict is taken once. */
static enum slot_state slot_take(struct slot *slot)
{
	/* acquire: the map and the ticket; pairs with the session's release */
	uint8_t state = atomic_load_explicit(&slot->state, memory_order_acquire);

	/* release: what was stored before; pairs with misses_updated() */
	if (state != SLOT_WAITING && state != SLOT_IDLE)
		state = atomic_exchange_explicit(&slot->state, SLOT_IDLE, memory_order_acq_rel);
	return state;
}

/*
 * The same for the ring's pages. An update may end the halt from the moment on
 * when the refusal is taken, so that it shows before.
 */
static enum slot_state ring_slot_take(struct vhu_queue *queue)
{
	struct slot *slot = &queue->slots[queue->ring.config.num];
	/* A verdict that comes from here on is left to the wake-up behind it. */
	enum slot_state state = atomic_load_explicit(&slot->state, memory_order_relaxed);
	bool refused = state == SLOT_REFUSED;

	if (state == SLOT_WAITING || state == SLOT_IDLE)
		return state;
	if (refused)
		atomic_store_explicit(&queue->halted_seen, true, memory_order_relaxed);
	state = slot_take(slot);
	if (refused && state != SLOT_REFUSED)
		atomic_store_explicit(&queue->halted_seen, false, memory_order_relaxed);
	return state;
}

/* Brings the ring's pages in; false if the queue can't run yet. */
static bool queue_map(struct vhu_queue *queue)
{
	unsigned slot = queue->ring.config.num;
	struct translate_view *view;
	struct hole_report *report;
	struct hole_list holes;
	int r;

	switch (ring_slot_take(queue)) {
	case SLOT_WAITING: return false;
	case SLOT_REFUSED: queue_halt(queue, "the front-end refused a ring page"); return false;
	case SLOT_RETRY: queue->ring_retries++; break;
	default: break;
	}
	report = queue_report_open(queue);
	if (!report)
		return false;
	holes = queue_report_room(report);
	view = retain_view(&queue->retain, &queue->lane->ring_view);
	r = vring_map(&queue->ring, view, &holes);
	if (r == -EAGAIN && queue->ring_retries > ASKS_MAX) {
		queue_report_failed(report, &holes);
		queue_report_send(queue, report);
		queue_halt(queue, "a ring page was lost again and again");
	} else if (r == -EAGAIN) {
		queue_report_add(queue, report, &holes, slot);
		queue_report_send(queue, report);
	} else if (r) {
		queue_halt(queue, "its addresses are not in the memory that was shared");
	} else {
		queue->ring_retries = 0;
		queue->quiet = false;
		retain_clear(&queue->retain);
	}
	return r == 0;
}

/* -EFAULT also for what was asked for again and again, and is missing all the same. */
static int head_prepare(struct request *head, struct hole_report *report, struct hole_list *holes)
{
	int r;

	*holes = report ? queue_report_room(report) : (struct hole_list){ 0 };
	r = request_prepare(head, holes);
	if (r != -EAGAIN || head->retries <= ASKS_MAX || !holes->cap)
		return r;
	queue_report_failed(report, holes);
	return -EFAULT;
}

/*
 * Tries to get the head ready. 0: it is; -EAGAIN: it waits, now reported if
 * there was room; -EPROTO: the ring is broken.
 */
static int head_advance(struct vhu_queue *queue, struct request *head, struct hole_report **report)
{
	unsigned slot = head->chain.head;
	struct hole_list holes;
	int r = 0;

	switch (slot_take(&queue->slots[slot])) {
	case SLOT_WAITING: return -EAGAIN;
	case SLOT_REFUSED: r = request_refuse(head); break;
	case SLOT_RETRY: head->retries++; break;
	default: break;
	}
	if (r)
		return r;
	r = head_prepare(head, *report, &holes);
	if (r == -EFAULT) {
		r = request_refuse(head);
		if (!r)
			r = head_prepare(head, *report, &holes);
		if (r == -EFAULT)
			r = request_refuse(head);
	}
	if (r == -EAGAIN && *report) {
		head->probed = true;
		queue_report_add(queue, *report, &holes, slot);
	}
	return r;
}

/* Issues what is ready, in ring order. 0: nothing is left to take; 1: there may be more. */
static int queue_issue(struct vhu_queue *queue, struct hole_report **report)
{
	uint64_t bytes = 0;

	for (unsigned n = 0; n < ISSUE_BATCH && bytes < ISSUE_BYTES; n++) {
		struct request *head;
		int r = 1;

		/* The session may be waiting for us to forget something. */
		if (n && loop_has_posts(queue->lane->loop))
			break;
		if (list_is_empty(&queue->ahead))
			r = request_take(queue, &head);
		else
			head = container_of(queue->ahead.next, struct request, node);
		if (r > 0)
			r = head_advance(queue, head, report);
		else
			return r;
		if (r)
			return r;
		retain_clear(&queue->retain);
		bytes += head->chain.out_len + head->chain.in_len;
		request_issue(head);
		if (queue->n_put >= SHOW_BATCH)
			queue_show(queue);
	}
	return 1;
}

/* Reports the holes of a chain, once; it is translated again when it is the head. */
static int probe(struct vhu_queue *queue, struct request *request, struct hole_report *report)
{
	struct hole_list holes = queue_report_room(report);
	int r;

	if (request->probed)
		return 0;
	if (!holes.cap)
		return 1;
	request->probed = true;
	r = request_prepare(request, &holes);
	if (r == -EAGAIN)
		queue_report_add(queue, report, &holes, request->chain.head);
	return r == -EPROTO ? r : 0;
}

/*
 * The head waits: takes the chains behind it and reports their holes, too, so
 * that one round trip serves all (rule S2). 0: nothing is left to take.
 */
static int queue_look_ahead(struct vhu_queue *queue, struct hole_report *report)
{
	struct list *node;
	int r = 0;

	list_for_each (node, &queue->ahead) {
		r = probe(queue, container_of(node, struct request, node), report);
		if (r)
			return r;
	}
	while (queue->n_ahead < QUEUE_AHEAD_MAX) {
		struct request *request;

		r = request_take(queue, &request);
		if (r <= 0)
			return r;
		r = probe(queue, request, report);
		if (r)
			return r;
	}
	return 1;
}

/* Taking and issuing; whether the queue wants another round at once. */
static bool queue_round(struct vhu_queue *queue)
{
	struct hole_report *report = queue_report_open(queue);
	int r;

	/* The driver's kicks are not asked for from here on: it is owed a look (S7). */
	queue->owed = true;
	if (!queue->quiet)
		vring_quiet(&queue->ring);
	queue->quiet = true;
	r = queue_issue(queue, &report);
	if (r == -EAGAIN)
		r = report ? queue_look_ahead(queue, report) : 1;
	else if (r == 1)
		queue_schedule(queue);
	queue_report_send(queue, report);
	if (queue->ops->submit_end)
		queue->ops->submit_end(queue->dev, queue);
	return r == 0;
}

/* Whether anything may be done with the ring at all. */
static bool queue_is_up(const struct vhu_queue *queue)
{
	return queue->enabled && !queue->broken && !queue->halted && !queue->frozen &&
	       !queue->stopping;
}

/* Whether the ring may be touched, and is worth it (rule S7). */
static bool queue_may_run(const struct vhu_queue *queue)
{
	return queue_is_up(queue) && (queue->owed || queue->n_ahead);
}

bool queue_has_work(const struct vhu_queue *queue)
{
	return queue_is_up(queue) && !queue->n_ahead && vring_is_mapped(&queue->ring) &&
	       vring_has_chains(&queue->ring);
}

/*
 * Armed and read once more: what is made available from here on is kicked for, so
 * nothing is owed. Requests that were rewound or parked have been taken; they
 * stay in ahead.
 */
static bool arm(struct vhu_queue *queue)
{
	queue->quiet = false;
	queue->owed = vring_arm(&queue->ring);
	return !queue->owed;
}

bool queue_rest(struct vhu_queue *queue)
{
	/* Where the ring can't be looked at, it stays owed a look. */
	if (!queue->quiet || !queue_is_up(queue) || !vring_is_mapped(&queue->ring))
		return true;
	if (!arm(queue))
		return false;
	queue_note_rest(queue, !queue->n_ahead);
	return true;
}

void queue_pump(struct vhu_queue *queue)
{
	queue->due = false;
	queue->in_batch = true;
	if (queue_may_run(queue) && (vring_is_mapped(&queue->ring) || queue_map(queue))) {
		if (queue_round(queue)) {
			/* Where rings are looked at, kicks are asked for before the sleep. */
			if ((!queue->lane->poll_ns || queue->n_ahead) && !arm(queue))
				queue_schedule(queue);
		}
	}
	if (!list_is_empty(&queue->held))
		queue_release_held(queue, false);
	queue_publish(queue);
	queue_note_rest(queue, !queue->owed && !queue->n_ahead);
	queue->in_batch = false;
}

void queue_look(struct vhu_queue *queue)
{
	const struct vring_config *config = &queue->ring.config;
	struct retain *retain = &queue->retain;
	struct request *head;
	struct lane *lane = queue->lane;

	if (!queue_may_run(queue))
		return;
	if (!vring_is_mapped(&queue->ring)) {
		retain_look(retain, &lane->ring_view, config->desc, queue->ring.desc.len,
		            PERM_READ);
		retain_look(retain, &lane->ring_view, config->avail, queue->ring.avail.len,
		            PERM_READ);
		retain_look(retain, &lane->ring_view, config->used, queue->ring.used.len, PERM_RW);
		return;
	}
	if (list_is_empty(&queue->ahead))
		return;
	head = container_of(queue->ahead.next, struct request, node);
	if (head->chain.table.len)
		retain_look(retain, &lane->view, head->chain.table.addr, head->chain.table.len,
		            PERM_READ);
	for (unsigned i = 0; i < head->chain.n; i++)
		retain_look(retain, &lane->view, head->chain.segments[i].addr,
		            head->chain.segments[i].len, head->chain.segments[i].perm);
}
