/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations: what workers must do or finish before a message is answered. Each
 * step sends commands to lanes and names the step that follows their
 * acknowledgement.
 *
 * Thread: the session's.
 */
#include <assert.h>
#include <errno.h>

#include "backend/session.h"
#include "base/clock.h"
#include "base/log.h"

/*
 * How long a worker that is awake is worth waiting for without going to sleep,
 * which costs both sides more. Where it was in vain that is not tried again at
 * once, for the worker may want the very CPU.
 */
#define AWAIT_NS       UINT64_C(20000)
#define AWAIT_LOOKS    64u
#define AWAIT_SKIP_MAX 255u

static void operation_step(struct session *session)
{
	void (*then)(struct session * session) = session->operation.then;

	/* What lanes have said before they acknowledged was said of rings as they were then. */
	misses_take_reports(session);
	session->operation.then = NULL;
	then(session);
}

static void command_done(struct lane_command *command)
{
	struct session *session = command->opaque;
	struct operation *operation = &session->operation;

	assert(operation->outstanding > 0);
	if (command->result && !operation->result)
		operation->result = command->result;
	if (--operation->outstanding == 0)
		operation_step(session);
}

static void command_send(struct session *session, unsigned lane,
                         const struct lane_command *template)
{
	struct lane_command *command = &session->operation.commands[lane];

	session->operation.outstanding++;
	*command = *template;
	command->done = command_done;
	command->opaque = session;
	lane_command(&session->lanes[lane], command);
}

/* Counts as one that is outstanding until operation_posted(). */
static void operation_begin(struct session *session, void (*then)(struct session *session))
{
	struct operation *operation = &session->operation;

	assert(!operation->outstanding);
	operation->active = true;
	operation->then = then;
	operation->outstanding = 1;
	operation->awaited = false;
	operation->serial++;
	if (session->state != SESSION_OPEN)
		slow_watch(session);
}

static void nobody_asked(struct mail *mail)
{
	struct operation *operation = container_of(mail, struct operation, none);
	struct session *session = container_of(operation, struct session, operation);

	operation->over = false;
	operation_step(session);
}

/* All commands are out. If there were none the next step follows all the same, but not here. */
static void operation_posted(struct session *session)
{
	struct operation *operation = &session->operation;

	if (--operation->outstanding)
		return;
	operation->over = true;
	if (session->reading)
		return;
	operation->none.deliver = nobody_asked;
	mailbox_post(&session->reports, &operation->none);
}

void operation_run(struct session *session, struct lane *lane, const struct lane_command *template,
                   void (*then)(struct session *session))
{
	operation_begin(session, then);
	if (lane)
		command_send(session, (unsigned)(lane - session->lanes), template);
	for (unsigned i = 0; !lane && i < session->n_lanes; i++)
		command_send(session, i, template);
	operation_posted(session);
}

/* Whether a page of a ring that the lane serves is in the range. */
static bool touches_ring(const struct session *session, unsigned lane, struct range range)
{
	for (unsigned i = lane; i < session->n_rings; i += session->n_lanes) {
		const struct vhu_queue *queue = session->rings[i].queue;

		if (queue && vring_parts_in(&queue->ring, range))
			return true;
	}
	return false;
}

void operation_shoot(struct session *session, struct range range,
                     void (*then)(struct session *session))
{
	const struct lane_command shoot = { .order = LANE_SHOOT, .range = range };
	struct operation *operation = &session->operation;
	enum lane_left left;
	bool near = true;

	operation_begin(session, then);
	for (unsigned i = 0; i < session->n_lanes; i++) {
		struct lane *lane = &session->lanes[i];

		left = lane_leave(lane, range, touches_ring(session, i, range));
		if (left == LANE_LEFT)
			continue;
		near &= left == LANE_NEAR;
		command_send(session, i, &shoot);
	}
	operation->awaited = near && operation->outstanding > 1;
	operation_posted(session);
}

static bool some_lane_drains(const struct session *session)
{
	for (unsigned i = 0; i < session->n_lanes; i++)
		if (atomic_load_explicit(&session->lanes[i].drains, memory_order_relaxed))
			return true;
	return false;
}

/* Until the step is over; false: it takes longer. */
static bool await_step(struct session *session, uint64_t serial)
{
	uint64_t until = clock_ns() + AWAIT_NS;

	do {
		for (unsigned n = 0; n < AWAIT_LOOKS; n++) {
			if (mailbox_drain(&session->reports) &&
			    (!session->operation.active || session->operation.serial != serial))
				return true;
			clock_relax();
		}
		if (some_lane_drains(session))
			return true;
	} while (clock_ns() < until);
	return false;
}

/* The end of a step that is over, or soon will be; false: there is nothing to wait for. */
static bool go_on(struct session *session)
{
	struct operation *operation = &session->operation;

	if (operation->over) {
		nobody_asked(&operation->none);
		return true;
	}
	if (!operation->active || !operation->awaited)
		return false;
	operation->awaited = false;
	if (operation->await_skip && operation->await_skipped++ < operation->await_skip)
		return false;
	operation->await_skipped = 0;
	if (await_step(session, operation->serial))
		operation->await_skip = 0;
	else if (operation->await_skip < AWAIT_SKIP_MAX)
		operation->await_skip = 2 * operation->await_skip + 1;
	return true;
}

void operation_await(struct session *session)
{
	while (go_on(session))
		;
}

void operation_empty(struct session *session)
{
	if (iotlb_flush(session->iotlb))
		session->counters.flushes++;
	pending_disturb(session->pending, RANGE_ALL);
	atomic_store_explicit(&session->pressure, false, memory_order_relaxed);
}

void operation_flush(struct session *session, void (*then)(struct session *session))
{
	operation_empty(session);
	operation_shoot(session, RANGE_ALL, then);
}

void operation_view(struct session *session, struct memtable *table,
                    void (*then)(struct session *session))
{
	bool iova = session_uses_iova(session);
	const struct lane_command view = {
		.order = LANE_VIEW,
		.view = {
			.walk = iova ? iotlb_walk : memtable_walk_gpa,
			.walk_ring = iova ? iotlb_walk : memtable_walk_uva,
			.source = iova ? (void *)session->iotlb : table,
			.can_miss = iova,
		},
	};

	session->views_set = true;
	operation_run(session, NULL, &view, then);
}

static void ring_forget(struct session *session, struct ring *ring)
{
	queue_free(ring->queue);
	ring->queue = NULL;
	session->n_running--;
	misses_stopped(session, (unsigned)(ring - session->rings));
}

/* F1: the cache goes when the last ring stops, and not again until one has run. */
static void stop_acknowledged(struct session *session)
{
	struct operation *operation = &session->operation;
	struct ring *ring = operation->ring;
	struct lane *lane = session_lane(session, ring->queue->index);

	ring->config.avail_base = operation->commands[lane - session->lanes].next_avail;
	log_info(ring->queue->subject, "stopped at index %u", ring->config.avail_base);
	ring_forget(session, ring);
	if (session->n_running == 0)
		operation_flush(session, operation->after_stop);
	else
		operation->after_stop(session);
}

void operation_stop(struct session *session, struct ring *ring,
                    void (*then)(struct session *session))
{
	const struct lane_command stop = { .order = LANE_STOP, .queue = ring->queue };

	/* A mail behind this command might be delivered after the queue is freed. */
	ring->queue->leaving = true;
	session->operation.ring = ring;
	session->operation.after_stop = then;
	operation_run(session, session_lane(session, ring->queue->index), &stop, stop_acknowledged);
}

static void start_acknowledged(struct session *session)
{
	struct operation *operation = &session->operation;
	struct ring *ring = operation->ring;

	if (operation->result) {
		log_error(ring->queue->subject, "can't be started: error %d", -operation->result);
		ring_forget(session, ring);
		ring->kicked = false;
	} else {
		log_info(ring->queue->subject, "started at index %u, %u descriptors",
		         ring->config.avail_base, ring->config.num);
		/* What had to wait for a ring that runs (S6). */
		misses_send(session);
	}
	operation->after_start(session);
}

static void start_queue(struct session *session)
{
	struct operation *operation = &session->operation;
	struct ring *ring = operation->ring;
	unsigned index = (unsigned)(ring - session->rings);
	struct lane_command start = { .order = LANE_START };
	const struct queue_config config = {
		.subject = session->subject,
		.ops = session->config->ops,
		.dev = session->config->dev,
		.index = index,
		.ring = ring->config,
		.kick_fd = ring->kick_fd,
		.call_fd = ring->call_fd,
		.err_fd = ring->err_fd,
		.enabled = ring->enabled,
	};
	int error = queue_new(&config, misses_reported, &ring->queue);

	if (error) {
		if (!operation->result)
			operation->result = error;
		operation->after_start(session);
		return;
	}
	ring->queue->session = session;
	ring->kick_fd = ring->call_fd = ring->err_fd = -1;
	ring->last_ticket = 0;
	session->n_running++;
	start.queue = ring->queue;
	operation_run(session, session_lane(session, index), &start, start_acknowledged);
}

void operation_start(struct session *session, struct ring *ring,
                     void (*then)(struct session *session))
{
	struct operation *operation = &session->operation;

	if (ring->queue || !ring->kicked || !ring->enabled || !ring->have_addresses ||
	    !ring->config.num) {
		then(session);
		return;
	}
	operation->ring = ring;
	operation->after_start = then;
	ring->config.event_idx = session->features >> SESSION_F_EVENT_IDX & 1;
	ring->config.indirect = session->features >> SESSION_F_INDIRECT_DESC & 1;
	if (session->views_set)
		start_queue(session);
	else
		operation_view(session, session->table, start_queue);
}

void operation_reply(struct session *session)
{
	session_finish(session, session->operation.result);
}
