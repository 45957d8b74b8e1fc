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
#include "base/log.h"

static void operation_step(struct session *session)
{
	void (*then)(struct session * session) = session->operation.then;

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

	*command = *template;
	command->done = command_done;
	command->opaque = session;
	lane_command(&session->lanes[lane], command);
}

void operation_run(struct session *session, struct lane *lane, const struct lane_command *template,
                   void (*then)(struct session *session))
{
	struct operation *operation = &session->operation;

	assert(!operation->outstanding);
	operation->active = true;
	operation->then = then;
	operation->outstanding = lane ? 1 : session->n_lanes;
	operation->serial++;
	if (session->state != SESSION_OPEN)
		slow_watch(session);
	if (lane) {
		command_send(session, (unsigned)(lane - session->lanes), template);
		return;
	}
	for (unsigned i = 0; i < session->n_lanes; i++)
		command_send(session, i, template);
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
	const struct lane_command shoot = { .order = LANE_SHOOT, .range = RANGE_ALL };

	operation_empty(session);
	operation_run(session, NULL, &shoot, then);
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
	ring->starved = false;
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
