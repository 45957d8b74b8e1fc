/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/session.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define NS_PER_US UINT64_C(1000)

static void main_ready(struct loop_source *source, uint32_t events)
{
	struct session *session = container_of(source, struct session, main_source);

	/* With an operation under way nothing is read; hanging up is never missed. */
	if (session->operation.active && (events & (EPOLLHUP | EPOLLERR))) {
		session_close(session, NULL);
		return;
	}
	session->main_pressing = session->operation.active;
	channel_expect(session->main);
	session_read_main(session);
}

static void session_work(struct loop_task *task)
{
	session_read_main(container_of(task, struct session, work));
}

static int rings_init(struct session *session)
{
	unsigned n = session->config->ops->max_queues(session->config->dev);

	if (!n || n > SESSION_RINGS_MAX)
		return -EINVAL;
	session->rings = calloc(n, sizeof(*session->rings));
	if (!session->rings)
		return -ENOMEM;
	session->n_rings = n;
	for (unsigned i = 0; i < n; i++) {
		struct ring *ring = &session->rings[i];

		ring->kick_fd = ring->call_fd = ring->err_fd = -1;
	}
	return 0;
}

/* A lane was held up, or has seen a fault in shared memory, of this session or of another. */
static void lane_alarm(struct mail *mail)
{
	struct lane *lane = container_of(mail, struct lane, alarm);
	struct session *session = container_of(lane->reports, struct session, reports);
	struct memory_fault why;

	/* acq_rel: what left its alarm to this one is seen below */
	atomic_exchange_explicit(&lane->alarm_posted, false, memory_order_acq_rel);
	if (atomic_load_explicit(&lane->held_up, memory_order_relaxed))
		session_close(session, "the front-end has made an eventfd that it gave block us");
	if (memtable_is_broken(session->table, &why))
		session_close(session, "guest memory is gone: %s", why.text);
}

static int lanes_init(struct session *session, const struct session_config *config)
{
	unsigned n = config->lane_loops ? config->server->n_workers : 1;
	int error = 0;

	session->lanes = calloc(n, sizeof(*session->lanes));
	session->operation.commands = calloc(n, sizeof(*session->operation.commands));
	if (!session->lanes || !session->operation.commands)
		return -ENOMEM;
	while (session->n_lanes < n && !error) {
		struct loop *loop = config->lane_loops ? config->lane_loops[session->n_lanes]
		                                       : config->loop;

		error = lane_init(&session->lanes[session->n_lanes], loop, loop == config->loop,
		                  &session->reports, &session->answered, &session->pressure);
		session->lanes[session->n_lanes].alarm.deliver = lane_alarm;
		session->lanes[session->n_lanes].poll_ns = config->server->poll_us * NS_PER_US;
		session->lanes[session->n_lanes].poller.adapts = config->server->poll_adapts;
		if (!error)
			session->n_lanes++;
	}
	return error;
}

static uint64_t features_offered(const struct vhu_server_config *config)
{
	uint64_t features = config->ops->features ? config->ops->features(config->dev) : 0;

	features |= VHU_BIT(VIRTIO_F_VERSION_1) | VHU_BIT(SESSION_F_INDIRECT_DESC) |
	            VHU_BIT(SESSION_F_EVENT_IDX) | VHU_BIT(VHU_F_PROTOCOL_FEATURES);
	if (!config->no_iommu)
		features |= VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	return features;
}

static int session_init(struct session *session, const struct session_config *config)
{
	int error;

	list_init(&session->reported);
	mailbox_init(&session->reports, session->loop, !config->lane_loops);
	session->table = memtable_empty();
	session->iotlb = iotlb_new(config->server->iotlb_entries);
	session->pending = pending_new(&misses_pending_ops, session,
	                               !config->server->no_miss_hints);
	if (!session->table || !session->iotlb || !session->pending)
		return -ENOMEM;
	error = slow_init(session);
	if (!error)
		error = lost_init(session);
	if (!error)
		error = rings_init(session);
	if (!error)
		error = lanes_init(session, config);
	return error;
}

/* Also of one that is half made: nothing was sent to its lanes. */
static void session_release(struct session *session)
{
	for (unsigned i = 0; i < session->n_lanes; i++)
		lane_done(&session->lanes[i]);
	loop_remove(session->loop, &session->main_source);
	slow_done(session);
	lost_done(session);
	loop_cancel(&session->work);
	mailbox_done(&session->reports);
	for (unsigned i = 0; i < session->n_rings; i++) {
		fd_close(&session->rings[i].kick_fd);
		fd_close(&session->rings[i].call_fd);
		fd_close(&session->rings[i].err_fd);
	}
	free(session->rings);
	free(session->lanes);
	free(session->operation.commands);
	pending_free(session->pending);
	iotlb_free(session->iotlb);
	memtable_put(session->table);
	free(session);
}

int session_new(const struct session_config *config, int fd, struct session **ret)
{
	struct session *session = calloc(1, sizeof(*session));
	int error;

	if (!session)
		return -ENOMEM;
	session->config = config->server;
	snprintf(session->subject, sizeof(session->subject), "%s/s%" PRIu64,
	         config->server->ops->name, config->number);
	session->loop = config->loop;
	session->over = config->over;
	session->opaque = config->opaque;
	session->main_source.fd = session->back_source.fd = -1;
	session->slow.timer.source.fd = session->lost.timer.source.fd = -1;
	session->work.run = session_work;
	session->features_offered = features_offered(config->server);
	error = session_init(session, config);
	if (!error)
		error = loop_add(session->loop, &session->main_source, fd, EPOLLIN, main_ready);
	if (!error) {
		session->main_events = EPOLLIN;
		error = channel_new(fd, MESSAGE_MAIN, &session->main);
	}
	if (error) {
		session_release(session);
		return error;
	}
	log_info(session->subject, "a front-end has connected");
	*ret = session;
	return 0;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	session->n_lanes = 0; /* they have left */
	session_release(session);
}

static void closing_left(struct session *session)
{
	for (unsigned i = 0; i < session->n_lanes; i++)
		lane_done(&session->lanes[i]);
	session->operation.active = false;
	session->state = SESSION_OVER;
	session->over(session->opaque);
}

void session_closing(struct session *session)
{
	const struct lane_command leave = { .order = LANE_LEAVE };

	if (session->operation.active || session->state == SESSION_OVER)
		return;
	for (unsigned i = 0; i < session->n_rings; i++) {
		if (!session->rings[i].queue)
			continue;
		operation_stop(session, &session->rings[i], operation_reply);
		return;
	}
	operation_run(session, NULL, &leave, closing_left);
}

void session_close_main(struct session *session)
{
	struct channel_stats stats = channel_stats(session->main);

	session->counters.main_reads += stats.reads;
	session->counters.main_sends += stats.sends;
	loop_remove(session->loop, &session->main_source);
	channel_free(session->main);
	session->main = NULL;
}

void session_close_back(struct session *session)
{
	struct channel_stats stats;

	if (!session->back)
		return;
	stats = channel_stats(session->back);
	session->counters.back_reads += stats.reads;
	session->counters.back_sends += stats.sends;
	loop_remove(session->loop, &session->back_source);
	channel_free(session->back);
	session->back = NULL;
}

void session_close(struct session *session, const char *format, ...)
{
	char why[300];
	va_list args;

	if (session->state != SESSION_OPEN)
		return;
	if (format) {
		va_start(args, format);
		vsnprintf(why, sizeof(why), format, args);
		va_end(args);
		log_error(session->subject, "session ended: %s", why);
	} else {
		log_info(session->subject, "the front-end has gone");
	}
	session->state = SESSION_CLOSING;
	/* What is already queued may be the very reply that says why. */
	channel_flush(session->main);
	misses_close(session, "the session ends");
	session_close_main(session);
	session_closing(session);
}

bool session_peer_gone(const struct session *session)
{
	return session->state != SESSION_OPEN || fd_peer_gone(channel_fd(session->main));
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_traffic(const struct session *session, struct vhu_stats *stats)
{
	const struct channel_stats none = { 0 };
	struct channel_stats main = session->main ? channel_stats(session->main) : none;
	struct channel_stats back = session->back ? channel_stats(session->back) : none;

	stats->main_reads = session->counters.main_reads + main.reads;
	stats->main_sends = session->counters.main_sends + main.sends;
	stats->back_reads = session->counters.back_reads + back.reads;
	stats->back_sends = session->counters.back_sends + back.sends;
}

void session_stats(const struct session *session, struct vhu_stats *ret)
{
	struct iotlb_stats iotlb;

	iotlb_stats(session->iotlb, &iotlb);
	*ret = (struct vhu_stats){
		.iotlb_entries = iotlb.entries,
		.misses = session->counters.misses,
		.updates = session->counters.updates,
		.invalidations = session->counters.invalidations,
		.refused = session->counters.refused,
		.unsatisfied = session->counters.unsatisfied,
		.evicted = iotlb.evicted,
		.flushes = session->counters.flushes,
	};
	add_traffic(session, ret);
	for (unsigned i = 0; i < session->n_lanes; i++) {
		const struct lane *lane = &session->lanes[i];

		ret->requests += read_counter(&lane->counters.requests);
		ret->refused_requests += read_counter(&lane->counters.refused);
		ret->kicks += read_counter(&lane->counters.kicks);
		ret->calls += read_counter(&lane->counters.calls);
		ret->ring_errors += read_counter(&lane->counters.ring_errors);
		ret->pages_needed += read_counter(&lane->counters.pages_needed);
		ret->iotlb_hits += read_counter(&lane->view.hits);
		ret->iotlb_walks += read_counter(&lane->view.walks);
	}
}

bool session_check(const struct session *session)
{
	unsigned running = 0;

	for (unsigned i = 0; i < session->n_rings; i++)
		running += session->rings[i].queue != NULL;
	return running == session->n_running && memtable_check(session->table) &&
	       iotlb_check(session->iotlb) && pending_check(session->pending);
}
