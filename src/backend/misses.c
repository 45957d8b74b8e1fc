/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-channel: holes come up from lanes, misses go out, replies come in,
 * verdicts go down. What a miss means is in iotlb/pending; here is what it takes
 * to send one and whom to wake.
 *
 * Thread: the session's.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backend/session.h"
#include "base/log.h"

/* Replies read before other sockets have their turn. */
#define READ_BATCH 256u

static void update_events(struct session *session)
{
	uint32_t events = EPOLLIN;

	if (!session->back)
		return;
	if (channel_waiting(session->back) || notice_waits(session))
		events |= EPOLLOUT;
	if (events != session->back_events)
		loop_change(session->loop, &session->back_source, events);
	session->back_events = events;
}

static void note_doubt(const struct vhu_queue *queue, bool doubtful)
{
	if (doubtful)
		ring_set_add(&queue->session->doubtful, queue->index);
	else
		ring_set_remove(&queue->session->doubtful, queue->index);
}

/* Nothing is missing any more: the worker looks again, or gives up. */
static void slot_settle(struct vhu_queue *queue, struct slot *slot)
{
	uint8_t verdict = slot->verdict ? slot->verdict : SLOT_FILLED;

	if (slot == &queue->slots[queue->ring.config.num])
		note_doubt(queue, verdict != SLOT_FILLED);
	slot->verdict = 0;
	/* release: the map and the ticket; pairs with slot_take() */
	atomic_store_explicit(&slot->state, verdict, memory_order_release);
	queue_wake(queue);
}

static void pending_waits(void *opaque, unsigned ring, unsigned slot)
{
	struct session *session = opaque;

	session->rings[ring].queue->slots[slot].waiting++;
}

static void pending_resolved(void *opaque, unsigned ring, unsigned slot,
                             enum pending_verdict verdict)
{
	static const uint8_t states[] = {
		[PENDING_FILLED] = SLOT_FILLED,
		[PENDING_RETRY] = SLOT_RETRY,
		[PENDING_REFUSED] = SLOT_REFUSED,
	};
	struct session *session = opaque;
	struct vhu_queue *queue = session->rings[ring].queue;
	struct slot *its = &queue->slots[slot];

	assert(its->waiting > 0);
	if (verdict == PENDING_REFUSED && session->judged)
		notice_access_failed(session, session->judged);
	if (states[verdict] > its->verdict)
		its->verdict = states[verdict];
	if (slot == queue->ring.config.num && verdict != PENDING_FILLED)
		note_doubt(queue, true);
	if (--its->waiting == 0)
		slot_settle(queue, its);
}

static void pending_ticket(void *opaque, unsigned ring, unsigned slot, uint64_t seq)
{
	struct session *session = opaque;
	struct ring *its = &session->rings[ring];
	_Atomic uint64_t *ticket = &its->queue->slots[slot].ticket;

	/* Who joins a miss that was sent long ago may wait for a later one already. */
	if (seq > atomic_load_explicit(ticket, memory_order_relaxed))
		/* release: before the miss is sent; pairs with must_hold() */
		atomic_store_explicit(ticket, seq, memory_order_release);
	if (seq > its->last_ticket)
		its->last_ticket = seq;
	ring_set_add(&session->ticketed, ring);
}

const struct pending_ops misses_pending_ops = {
	.waits = pending_waits,
	.resolved = pending_resolved,
	.ticket = pending_ticket,
};

static void feed(struct session *session, struct ring *ring)
{
	for (unsigned s = 0; s <= ring->config.num; s++) {
		struct slot *slot = &ring->queue->slots[s];

		if (!slot->starved)
			continue;
		slot->starved = false;
		if (--slot->waiting == 0)
			slot_settle(ring->queue, slot);
	}
}

/* Who found the miss table full tries again, now that something was resolved. */
static void wake_starved(struct session *session)
{
	unsigned i;

	ring_set_for_each (i, &session->starved) {
		ring_set_remove(&session->starved, i);
		feed(session, &session->rings[i]);
	}
}

static void unhalt(struct vhu_queue *queue)
{
	if (!atomic_load_explicit(&queue->halted_seen, memory_order_relaxed))
		return;
	atomic_store_explicit(&queue->unhalt, true, memory_order_release);
	queue_wake(queue);
}

/* S4b: an update of a ring's page outweighs its refusal, wherever that has got to. */
static void ring_updated(struct vhu_queue *queue)
{
	struct slot *slot = &queue->slots[queue->ring.config.num];
	uint8_t refused = SLOT_REFUSED;

	if (slot->verdict == SLOT_REFUSED)
		slot->verdict = SLOT_FILLED;
	/* acquire: if the refusal was taken, halted_seen tells; pairs with slot_take() */
	if (atomic_compare_exchange_strong_explicit(&slot->state, &refused, SLOT_FILLED,
	                                            memory_order_acq_rel, memory_order_acquire))
		return;
	unhalt(queue);
}

void misses_updated(struct session *session, struct range range)
{
	unsigned i;

	ring_set_for_each (i, &session->doubtful)
		if (vring_parts_in(&session->rings[i].queue->ring, range))
			ring_updated(session->rings[i].queue);
	wake_starved(session);
}

/* Publishes how far replies have come, and wakes rings whose chains waited for it (S10). */
static void announce_answered(struct session *session)
{
	uint64_t before = atomic_load_explicit(&session->answered, memory_order_relaxed);
	uint64_t now = pending_answered(session->pending);
	unsigned i;

	if (now == before)
		return;
	/* Pairs with the loads in request.c and queue.c; Dekker with hold(). */
	atomic_store(&session->answered, now);
	ring_set_for_each (i, &session->ticketed) {
		struct ring *ring = &session->rings[i];

		if (ring->last_ticket <= now)
			ring_set_remove(&session->ticketed, i);
		if (atomic_load(&ring->queue->holding))
			queue_wake(ring->queue);
	}
}

static void miss_message(const struct hole *hole, bool needs_reply, struct message *ret)
{
	message_init(ret, VHU_BE_IOTLB_MSG);
	ret->header.size = sizeof(ret->payload.iotlb);
	if (needs_reply)
		ret->header.flags |= VHU_FLAG_NEED_REPLY;
	ret->payload.iotlb.type = VHU_IOTLB_MISS;
	ret->payload.iotlb.iova = hole->addr;
	ret->payload.iotlb.size = hole->len;
	ret->payload.iotlb.perm = hole->perm;
}

static void log_message(const struct session *session, const struct message *message, bool reply)
{
	char text[400];

	if (!log_wanted(VHU_LOG_DEBUG))
		return;
	message_describe(message, MESSAGE_BACK, reply, text, sizeof(text));
	log_debug(session->subject, "%s back-channel: %s", reply ? "<-" : "->", text);
}

/*
 * As many as the window and the channel's queue allow. S6: nothing new is said
 * while all rings are stopped. 0 or -errno.
 */
static int queue_misses(struct session *session)
{
	bool mute = !session_has(session, VHU_PROTOCOL_F_REPLY_ACK);
	struct message message;
	struct hole hole;
	int error = 0;

	while (!error && session->n_running && channel_waiting(session->back) < PENDING_WINDOW &&
	       pending_next(session->pending, mute, &hole)) {
		miss_message(&hole, !mute, &message);
		log_message(session, &message, false);
		error = channel_queue(session->back, &message);
		session->counters.misses += !error;
	}
	return error;
}

void misses_send(struct session *session)
{
	int error;

	if (!session->back)
		return;
	/* Who replies to nothing would not have us come back for the rest. */
	do {
		error = queue_misses(session);
	} while (!error && channel_waiting(session->back) &&
	         !(error = channel_flush(session->back)));
	if (!error)
		error = notice_send(session);
	if (error == -EPIPE)
		lost_begin(session);
	else if (error && error != -EAGAIN)
		misses_close(session, strerror(-error));
	else
		update_events(session);
}

void misses_stopped(struct session *session, unsigned ring)
{
	pending_drop_ring(session->pending, ring);
	ring_set_remove(&session->ticketed, ring);
	ring_set_remove(&session->starved, ring);
	ring_set_remove(&session->doubtful, ring);
	if (!session->n_running && session->back)
		pending_unsend(session->pending, channel_drop_waiting(session->back));
	if (!session->n_running)
		notice_forget_accesses(session);
	/* What it had asked for and not sent has made room. */
	wake_starved(session);
}

void misses_moved(struct session *session, struct ring *ring)
{
	struct vhu_queue *queue = ring->queue;
	unsigned index = ring->config.num;
	struct slot *slot = &queue->slots[index];

	slot->waiting -= (uint16_t)pending_drop(session->pending, queue->index, index);
	slot->verdict = 0;
	/* acq_rel: if a refusal was taken, halted_seen tells; pairs with slot_take() */
	atomic_exchange_explicit(&slot->state, slot->waiting ? SLOT_WAITING : SLOT_FILLED,
	                         memory_order_acq_rel);
	queue_wake(queue);
	unhalt(queue);
	wake_starved(session);
}

/* The part of a hole that is one still: an update may have come meanwhile (S1). */
static bool want(struct session *session, const struct hole *hole, unsigned ring, unsigned slot)
{
	struct hole rest = *hole, miss = { .perm = hole->perm };
	bool all = true;

	while (rest.len) {
		struct walk walk;
		bool found = iotlb_lookup(session->iotlb, rest.addr, rest.perm, &walk);
		uint64_t step = walk.after < rest.len ? walk.after : rest.len;

		if (!found && !miss.len)
			miss.addr = rest.addr;
		if (!found)
			miss.len += step;
		rest.addr += step;
		rest.len -= step;
		if (miss.len && (found || !rest.len)) {
			all &= pending_want(session->pending, &miss, ring, slot);
			miss.len = 0;
		}
	}
	return all;
}

/* A front-end that has closed it may be on its way out: its accesses wait. */
static bool has_back(const struct session *session)
{
	return session->back || session->lost.begun;
}

/* The holes of one slot, those from @at to before @end of a report. */
static void take_holes(struct session *session, struct vhu_queue *queue, unsigned at, unsigned end)
{
	struct hole_report *report = &queue->report;
	unsigned index = report->slots[at];
	struct slot *slot = &queue->slots[index];
	bool all = true;

	/* Held back until all are in: the first may be resolved at once. */
	slot->waiting++;
	for (; at < end && has_back(session); at++)
		all &= want(session, &report->holes[at], queue->index, index);
	if (!has_back(session))
		slot->verdict = SLOT_REFUSED;
	else if (!all && !slot->starved) {
		slot->starved = true;
		slot->waiting++;
		ring_set_add(&session->starved, queue->index);
	}
	if (--slot->waiting == 0)
		slot_settle(queue, slot);
}

static void take_failed(struct session *session, const struct hole_report *report, unsigned at,
                        unsigned end)
{
	for (; at < end; at++)
		notice_access_failed(session, &report->holes[at]);
}

static void take_report(struct session *session, struct hole_report *report)
{
	struct vhu_queue *queue = container_of(report, struct vhu_queue, report);
	unsigned end;

	/* A ring that is being stopped, or will be, is rewound whatever the answer is (S5, S6). */
	for (unsigned at = 0; at < report->n && !queue->leaving && session->state == SESSION_OPEN;
	     at = end) {
		for (end = at + 1; end < report->n && report->slots[end] == report->slots[at];)
			end++;
		if (report->slots[at] == QUEUE_SLOT_NONE)
			take_failed(session, report, at, end);
		else
			take_holes(session, queue, at, end);
	}
	/* Dekker with queue_report_open(): one of the two sees the other's store. */
	atomic_store(&report->posted, false);
	if (atomic_exchange(&report->wanted, false))
		queue_wake(queue);
}

void misses_take_reports(struct session *session)
{
	struct list *node = list_pop(&session->reported);

	if (!node)
		return;
	for (; node; node = list_pop(&session->reported))
		take_report(session, container_of(node, struct hole_report, node));
	misses_send(session);
}

/* What was sent before a request was made available is there, and not to be asked for. */
void misses_reported(struct mail *mail)
{
	struct hole_report *report = container_of(mail, struct hole_report, mail);
	struct session *session = container_of(report, struct vhu_queue, report)->session;

	list_append(&session->reported, &report->node);
	if (session->state != SESSION_OPEN) {
		misses_take_reports(session);
		return;
	}
	channel_expect(session->main);
	if (!session->reading)
		loop_schedule(session->loop, &session->work);
}

void misses_judge(struct session *session)
{
	struct hole miss;
	unsigned unsatisfied;

	if (!pending_has_answered(session->pending))
		return;
	session->judged = &miss;
	unsatisfied = pending_judge(session->pending, &miss);
	session->judged = NULL;
	session->counters.unsatisfied += unsatisfied;
	if (unsatisfied)
		log_warning(session->subject,
		            "iova 0x%" PRIx64 " (perm %u) was answered, but not given: %u misses "
		            "count as refused",
		            miss.addr, miss.perm, unsatisfied);
	wake_starved(session);
	misses_send(session);
}

/* A reply to the oldest miss; false if the channel had to be closed. */
static bool take_reply(struct session *session, struct message *reply)
{
	const struct vhu_header asked = { .request = VHU_BE_IOTLB_MSG };
	struct message_fault why;
	struct hole miss;

	log_message(session, reply, true);
	if (message_check_reply(reply, MESSAGE_BACK, &asked, &why)) {
		misses_close(session, why.text);
		return false;
	}
	switch (pending_reply(session->pending, reply->payload.u64 != 0, &miss)) {
	case PENDING_ANSWER_NONE:
		misses_close(session, "a reply came to nothing that was asked");
		return false;
	case PENDING_ANSWER_NACK:
		session->counters.refused++;
		notice_access_failed(session, &miss);
		log_warning(session->subject,
		            "the front-end refused iova 0x%" PRIx64 " for %s: the request fails",
		            miss.addr, miss.perm == PERM_READ ? "reading" : "writing");
		break;
	case PENDING_ANSWERED:
	case PENDING_ANSWER_VOID: break;
	}
	return true;
}

static void read_replies(struct session *session)
{
	struct message reply;
	int r = 0;

	for (unsigned n = 0; session->back && n < READ_BATCH; n++) {
		bool good;

		r = channel_recv(session->back, &reply);
		if (r <= 0)
			break;
		good = take_reply(session, &reply);
		message_close_fds(&reply);
		if (!good)
			return;
	}
	if (r == -ENOTCONN && session->back)
		lost_begin(session);
	else if (r < 0 && session->back)
		misses_close(session, channel_fault(session->back)->text);
}

static void back_ready(struct loop_source *source, uint32_t events)
{
	struct session *session = container_of(source, struct session, back_source);

	(void)events;
	read_replies(session);
	announce_answered(session);
	wake_starved(session);
	misses_send(session);
	/* The update that belongs to a reply was sent before it: have it read first. */
	if (pending_has_answered(session->pending))
		session_read_main(session);
}

int misses_open(struct session *session, struct channel *channel)
{
	int error;

	session_close_back(session);
	lost_end(session);
	session->back_events = EPOLLIN;
	error = loop_add(session->loop, &session->back_source, channel_fd(channel), EPOLLIN,
	                 back_ready);
	if (error) {
		channel_free(channel);
		misses_close(session, strerror(-error));
		return error;
	}
	session->back = channel;
	/* A new order of replies (S9). */
	pending_restart(session->pending);
	announce_answered(session);
	misses_send(session);
	return 0;
}

void misses_close(struct session *session, const char *why)
{
	if (has_back(session) && session->state == SESSION_OPEN)
		log_error(session->subject,
		          "the back-channel is lost: %s; accesses that need a translation fail",
		          why);
	session_close_back(session);
	lost_end(session);
	/* At the session's end what waits is rewound by the stop of its ring, and not failed. */
	if (session->state != SESSION_OPEN)
		return;
	pending_fail(session->pending);
	announce_answered(session);
	wake_starved(session);
}
