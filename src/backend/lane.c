/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/lane.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>

#include "backend/request.h"
#include "memory/sigbus.h"

static void lane_acknowledge(struct mail *mail)
{
	struct lane_command *command = container_of(mail, struct lane_command, mail);

	command->done(command);
}

/* Back up to the session. The command is no longer the lane's. */
static void lane_answer(struct lane *lane, struct lane_command *command)
{
	command->mail.deliver = lane_acknowledge;
	mailbox_post(lane->reports, &command->mail);
}

static void lane_run(struct loop_task *task)
{
	struct lane *lane = container_of(task, struct lane, task);
	struct list *node, *next;

	list_for_each_safe (node, next, &lane->queues) {
		struct vhu_queue *queue = container_of(node, struct vhu_queue, node);

		if (queue->due)
			queue_pump(queue);
	}
	/* Not before: it takes queues out of the list. */
	lane_settle(lane);
}

/* Whether the ring's memory is still needed for what was issued. */
static bool queue_is_busy(const struct vhu_queue *queue)
{
	return queue->n_issued || queue->n_put || !list_is_empty(&queue->held);
}

/*
 * Of a queue that is busy nothing was counted as forgotten: a LANE_SHOOT follows,
 * which waits for it.
 */
static void forget(struct lane *lane, struct range range)
{
	struct list *node;

	translate_forget(&lane->view, range);
	list_for_each (node, &lane->queues) {
		struct vhu_queue *queue = container_of(node, struct vhu_queue, node);

		retain_forget(&queue->retain, range);
		if (queue_is_busy(queue) || !vring_is_mapped(&queue->ring) ||
		    !vring_parts_in(&queue->ring, range))
			continue;
		queue_rest(queue);
		vring_unmap(&queue->ring);
		if (queue->owed || queue->n_ahead)
			queue_schedule(queue);
	}
}

static void lane_forget(struct loop_post *post)
{
	struct lane *lane = container_of(post, struct lane, forget_post);
	struct range range;

	while (forget_take(&lane->forget, &range))
		forget(lane, range);
}

/*
 * Whether nothing uses the range, and nothing will for as long as the turn is this
 * one. Who looks reads its rings; and one that is restless could not be left unmapped.
 */
static bool is_idle(const struct lane *lane, unsigned turn, bool of_ring)
{
	if (!loop_turn_is_at_rest(turn))
		return false;
	if (of_ring && !loop_turn_is_asleep(turn))
		return false;
	/* acquire: what was done with them is done, and the turn is read behind this */
	return !atomic_load_explicit(&lane->busy, memory_order_acquire) &&
	       !(of_ring && atomic_load_explicit(&lane->restless, memory_order_acquire));
}

enum lane_left lane_leave(struct lane *lane, struct range range, bool of_ring)
{
	const struct loop *loop = lane->loop;
	unsigned turn = loop_turn(loop);

	if (lane->commands.shared_thread)
		return LANE_BUSY;
	if (is_idle(lane, turn, of_ring)) {
		forget_put(&lane->forget, range);
		loop_leave(lane->loop, &lane->forget_post);
		/*
		 * The same turn: those numbers were those of this rest, and whatever
		 * ends it, the lane forgets first.
		 */
		if (loop_turn(loop) == turn)
			return LANE_LEFT;
	} else if (loop_turn_is_asleep(turn)) {
		return LANE_BUSY;
	}
	return atomic_load_explicit(&loop->cpu, memory_order_relaxed) == sched_getcpu() ? LANE_BUSY
	                                                                                : LANE_NEAR;
}

void lane_schedule(struct lane *lane)
{
	loop_schedule(lane->loop, &lane->task);
}

static uint64_t requests_of(const struct lane *lane)
{
	return atomic_load_explicit(&lane->counters.requests, memory_order_relaxed);
}

static bool lane_peek(const struct loop_poller *poller)
{
	const struct lane *lane = container_of(poller, const struct lane, poller);
	const struct list *node;

	list_for_each (node, &lane->queues)
		if (queue_has_work(container_of(node, const struct vhu_queue, node)))
			return true;
	return false;
}

/* The rings themselves are looked at, so that nobody has to kick. */
static unsigned lane_look_around(struct loop_poller *poller)
{
	struct lane *lane = container_of(poller, struct lane, poller);
	uint64_t before = requests_of(lane);
	struct list *node;
	bool found = false;

	/* What the front-end says comes by an fd of the same loop, then. */
	poller->keen = lane->commands.shared_thread;
	list_for_each (node, &lane->queues) {
		struct vhu_queue *queue = container_of(node, struct vhu_queue, node);

		if (queue_has_work(queue)) {
			queue->owed = true;
			queue_pump(queue);
			found = true;
		}
		/* The device tells of a completion by its fd. */
		poller->keen |= queue->n_issued && queue->watch.fd >= 0;
	}
	if (!found)
		return 0;
	lane_settle(lane);
	return (unsigned)(requests_of(lane) - before) + 1;
}

static bool lane_rest(struct loop_poller *poller)
{
	struct lane *lane = container_of(poller, struct lane, poller);
	struct list *node;
	bool rests = true;

	list_for_each (node, &lane->queues) {
		struct vhu_queue *queue = container_of(node, struct vhu_queue, node);

		if (queue_rest(queue))
			continue;
		queue_schedule(queue);
		rests = false;
	}
	return rests;
}

void lane_add_queue(struct lane *lane, struct vhu_queue *queue)
{
	if (list_is_empty(&lane->queues) && lane->poll_ns)
		loop_add_poller(lane->loop, &lane->poller, lane->poll_ns);
	list_append(&lane->queues, &queue->node);
}

void lane_remove_queue(struct lane *lane, struct vhu_queue *queue)
{
	list_remove(&queue->node);
	if (list_is_empty(&lane->queues) && lane->poll_ns)
		loop_remove_poller(lane->loop, &lane->poller);
}

int lane_init(struct lane *lane, struct loop *loop, bool shared_thread, struct mailbox *reports,
              const _Atomic uint64_t *answered, const _Atomic bool *pressure)
{
	int error;

	*lane = (struct lane){
		.loop = loop,
		.reports = reports,
		.answered = answered,
		.pressure = pressure,
		.task.run = lane_run,
		.forget_post.run = lane_forget,
		.poller = { .peek = lane_peek, .look = lane_look_around, .rest = lane_rest },
		.faults_seen = sigbus_faults(),
	};
	list_init(&lane->queues);
	error = translate_view_init(&lane->view, LANE_LINES);
	if (error)
		return error;
	error = translate_view_init(&lane->ring_view, 0);
	if (error) {
		translate_view_done(&lane->view);
		return error;
	}
	mailbox_init(&lane->commands, loop, shared_thread);
	return 0;
}

static void lane_detach(struct lane *lane)
{
	assert(list_is_empty(&lane->queues));
	loop_cancel(&lane->task);
	loop_unpost(lane->loop, &lane->forget_post);
	mailbox_done(&lane->commands);
}

void lane_done(struct lane *lane)
{
	translate_view_done(&lane->view);
	translate_view_done(&lane->ring_view);
}

/* Rule I2: what must end before the acknowledgement of @command. */
static bool must_end(const struct lane_command *command, const struct vhu_queue *queue,
                     const struct request *request)
{
	if (command->order == LANE_VIEW || queue->frozen)
		return true;
	return request_overlaps(request, command->range);
}

static void drain_queue(struct lane *lane, struct lane_command *command, struct vhu_queue *queue)
{
	bool all = command->order == LANE_VIEW, frozen;
	unsigned before = lane->drain_left;
	struct list *node;

	/*
	 * A ring page goes: requests that were issued still publish through the
	 * pointers they hold (I4), so the ring is unmapped when the last has. Where
	 * all goes, a ring that is not mapped may not be mapped either: it would be
	 * through the old view, and nobody would wait for what it issued.
	 */
	frozen = all ||
	         (vring_is_mapped(&queue->ring) && vring_parts_in(&queue->ring, command->range));
	/* If it is idle it may not be looked at again before its next kick (S7). */
	if (frozen)
		queue_rest(queue);
	queue->frozen = frozen;
	queue->drained_busy = queue->frozen && queue->n_issued;
	if (all)
		retain_clear(&queue->retain);
	else
		retain_forget(&queue->retain, command->range);
	list_for_each (node, &queue->issued) {
		struct request *request = container_of(node, struct request, node);

		if (must_end(command, queue, request)) {
			request->watched = true;
			lane->drain_left++;
		}
	}
	if (lane->drain_left != before)
		queue_drain(queue);
}

static void lane_drain(struct lane *lane, struct lane_command *command)
{
	struct list *node;

	assert(!lane->draining);
	lane->draining = command;
	lane->drain_left = 0;
	if (command->order == LANE_SHOOT)
		translate_forget(&lane->view, command->range);
	list_for_each (node, &lane->queues)
		drain_queue(lane, command, container_of(node, struct vhu_queue, node));
	atomic_store_explicit(&lane->drains, lane->drain_left > 0, memory_order_relaxed);
	lane_settle(lane);
}

/* The last access has ended: rings that lost a page are let go. */
static void drain_finish(struct lane *lane)
{
	struct lane_command *command = lane->draining;
	struct list *node;

	lane->draining = NULL;
	atomic_store_explicit(&lane->drains, false, memory_order_relaxed);
	list_for_each (node, &lane->queues) {
		struct vhu_queue *queue = container_of(node, struct vhu_queue, node);

		if (!queue->frozen)
			continue;
		/* Requests were on their way, so more may come without a kick (S7). */
		queue->owed = queue->owed || queue->drained_busy;
		queue_release_held(queue, true);
		queue_publish(queue);
		vring_unmap(&queue->ring);
		queue->frozen = queue->drained_busy = false;
		queue_schedule(queue);
	}
	if (command->order == LANE_VIEW) {
		const struct lane_view *to = &command->view;

		translate_view_attach(&lane->view, to->walk, to->source, to->can_miss);
		translate_view_attach(&lane->ring_view, to->walk_ring, to->source, to->can_miss);
	}
	lane_answer(lane, command);
}

static void stop_finish(struct lane *lane, struct vhu_queue *queue)
{
	struct lane_command *command = queue->stopping;

	/* Issued requests are never rewound, not even for unanswered misses (I4). */
	queue_release_held(queue, true);
	request_rewind(queue);
	command->next_avail = queue->ring.next_avail;
	/* The watch ends before the device releases what it watches. */
	if (queue->watch.fd >= 0)
		loop_remove(lane->loop, &queue->watch);
	if (queue->ops->queue_stop)
		queue->ops->queue_stop(queue->dev, queue);
	queue_stopped(queue);
	lane_answer(lane, command);
}

/* The session looks what is wrong. */
static void raise_alarm(struct lane *lane)
{
	/* acq_rel: pairs with the exchange of who delivers it */
	if (!atomic_exchange_explicit(&lane->alarm_posted, true, memory_order_acq_rel))
		mailbox_post(lane->reports, &lane->alarm);
}

void lane_held_up(struct lane *lane)
{
	atomic_store_explicit(&lane->held_up, true, memory_order_relaxed);
	raise_alarm(lane);
}

void lane_settle(struct lane *lane)
{
	struct list *node, *next;
	unsigned faults;

	list_for_each_safe (node, next, &lane->queues) {
		struct vhu_queue *queue = container_of(node, struct vhu_queue, node);

		if (queue->in_batch)
			return;
		if (queue->stopping && !queue->n_issued)
			stop_finish(lane, queue);
	}
	if (lane->draining && !lane->drain_left)
		drain_finish(lane);
	/* Last, for what was finished above writes to the ring. */
	faults = sigbus_faults();
	/* Some session's memory is gone, perhaps ours. */
	if (faults != lane->faults_seen) {
		lane->faults_seen = faults;
		raise_alarm(lane);
	}
}

static void lane_stop(struct lane *lane, struct lane_command *command)
{
	queue_rest(command->queue);
	command->queue->stopping = command;
	queue_drain(command->queue);
	lane_settle(lane);
}

static void lane_look(struct lane *lane)
{
	struct list *node;

	list_for_each (node, &lane->queues)
		queue_look(container_of(node, struct vhu_queue, node));
}

static void lane_obey(struct mail *mail)
{
	struct lane_command *command = container_of(mail, struct lane_command, mail);
	struct lane *lane = command->lane;

	switch (command->order) {
	case LANE_START: command->result = queue_start(command->queue, lane); break;
	case LANE_SET: command->result = queue_set(command->queue, command); break;
	case LANE_LOOK: lane_look(lane); break;
	case LANE_LEAVE: lane_detach(lane); break;
	case LANE_STOP: lane_stop(lane, command); return;
	case LANE_SHOOT:
	case LANE_VIEW: lane_drain(lane, command); return;
	}
	lane_answer(lane, command);
}

void lane_command(struct lane *lane, struct lane_command *command)
{
	command->lane = lane;
	command->result = 0;
	command->mail.deliver = lane_obey;
	mailbox_post(&lane->commands, &command->mail);
	if (lane->commands.shared_thread)
		mailbox_drain(&lane->commands);
}
