/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket and the sessions that come over it, one at a time (rule B2).
 *
 * Thread: the server's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vhu/backend.h>

#include "backend/acceptor.h"
#include "backend/session.h"
#include "backend/worker.h"
#include "base/event.h"
#include "base/export.h"
#include "base/fd.h"
#include "base/log.h"
#include "transport/socket.h"

struct vhu_server {
	struct vhu_server_config config;
	struct loop loop;
	struct acceptor acceptor;
	struct loop **lane_loops;
	struct loop_source watch; /* of the embedder's fd */
	void (*watch_ready)(void *opaque);
	void *watch_opaque;
	struct session *session;
	uint64_t n_sessions;
	struct loop_task reap; /* frees a session that is over */
	int waiting;           /* a front-end that came while the last one was ending */
	struct vhu_stats last; /* of the session that ended last */
};

static void session_over(void *opaque)
{
	struct vhu_server *server = opaque;

	/* Not here: the session is still on the stack. */
	loop_schedule(&server->loop, &server->reap);
}

/* Takes @fd on success. */
static int serve(struct vhu_server *server, int fd)
{
	const struct session_config config = {
		.server = &server->config,
		.number = server->n_sessions + 1,
		.loop = &server->loop,
		.lane_loops = server->lane_loops,
		.over = session_over,
		.opaque = server,
	};
	int error = session_new(&config, fd, &server->session);

	if (error)
		log_error(server->config.ops->name, "a front-end can't be served: %s",
		          strerror(-error));
	else
		server->n_sessions++;
	return error;
}

static void reap(struct loop_task *task)
{
	struct vhu_server *server = container_of(task, struct vhu_server, reap);
	int waiting = server->waiting;

	/* Whoever runs us may want to know, and to sleep no more. */
	loop_return(&server->loop);
	session_stats(server->session, &server->last);
	session_free(server->session);
	server->session = NULL;
	server->waiting = -1;
	if (server->config.session_end)
		server->config.session_end(server, server->config.opaque);
	if (waiting >= 0 && (!acceptor_is_open(&server->acceptor) || serve(server, waiting)))
		fd_close(&waiting);
}

/*
 * B2: people restart their VM at once, so look whether the old one has just gone,
 * and whether one that came meanwhile has.
 */
static void came_second(struct vhu_server *server, int fd)
{
	if (server->waiting >= 0 && fd_peer_gone(server->waiting))
		fd_close(&server->waiting);
	if (session_peer_gone(server->session) && server->waiting < 0) {
		server->waiting = fd;
		session_close(server->session, NULL);
		return;
	}
	log_warning(server->config.ops->name,
	            "a second front-end was refused: the device is in use");
	fd_close(&fd);
}

static void front_end_came(struct acceptor *acceptor, int fd)
{
	struct vhu_server *server = container_of(acceptor, struct vhu_server, acceptor);

	if (server->session)
		came_second(server, fd);
	else if (serve(server, fd))
		fd_close(&fd);
}

static int server_workers(struct vhu_server *server)
{
	unsigned n = server->config.n_workers;

	if (!server->config.workers || !n) {
		server->config.n_workers = 0;
		return 0;
	}
	server->lane_loops = calloc(n, sizeof(*server->lane_loops));
	if (!server->lane_loops)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		server->lane_loops[i] = &server->config.workers[i]->loop;
	return 0;
}

static int server_open(struct vhu_server *server, int fd)
{
	bool listening;
	int error = socket_kind(fd, &listening);

	if (error)
		return error;
	if (!listening)
		return serve(server, fd);
	return acceptor_open(&server->acceptor, fd, front_end_came);
}

static bool is_usable(const struct vhu_server_config *config)
{
	const struct vhu_device_ops *ops = config->ops;
	unsigned n;

	if (!ops || !ops->name || !ops->max_queues || !ops->submit)
		return false;
	n = ops->max_queues(config->dev);
	return n > 0 && n <= SESSION_RINGS_MAX;
}

VHU_EXPORT int vhu_server_new(const struct vhu_server_config *config, int fd,
                              struct vhu_server **ret)
{
	struct vhu_server *server;
	int error;

	if (!is_usable(config))
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->config = *config;
	server->config.workers = config->workers;
	if (!server->config.iotlb_entries)
		server->config.iotlb_entries = IOTLB_ENTRIES_DEFAULT;
	server->watch.fd = server->waiting = -1;
	acceptor_init(&server->acceptor, &server->loop, config->ops->name);
	server->reap.run = reap;
	error = loop_init(&server->loop);
	if (error) {
		free(server);
		return error;
	}
	error = server_workers(server);
	if (!error)
		error = server_open(server, fd);
	if (error) {
		loop_done(&server->loop);
		free(server->lane_loops);
		free(server);
		return error;
	}
	*ret = server;
	return 0;
}

static void watch_ready(struct loop_source *source, uint32_t events)
{
	struct vhu_server *server = container_of(source, struct vhu_server, watch);

	(void)events;
	server->watch_ready(server->watch_opaque);
}

VHU_EXPORT int vhu_server_watch(struct vhu_server *server, int fd, void (*ready)(void *opaque),
                                void *opaque)
{
	if (server->watch.fd >= 0)
		return -EBUSY;
	server->watch_ready = ready;
	server->watch_opaque = opaque;
	return loop_add(&server->loop, &server->watch, fd, EPOLLIN, watch_ready);
}

VHU_EXPORT void vhu_server_stop(struct vhu_server *server)
{
	acceptor_close(&server->acceptor);
	if (server->session)
		session_close(server->session, NULL);
}

VHU_EXPORT bool vhu_server_done(const struct vhu_server *server)
{
	return !acceptor_is_open(&server->acceptor) && !server->session;
}

VHU_EXPORT void vhu_server_free(struct vhu_server *server)
{
	if (!server)
		return;
	vhu_server_stop(server);
	while (!vhu_server_done(server))
		loop_run(&server->loop, -1);
	loop_done(&server->loop);
	free(server->lane_loops);
	free(server);
}

VHU_EXPORT int vhu_server_fd(const struct vhu_server *server)
{
	return server->loop.epoll;
}

VHU_EXPORT int vhu_server_run(struct vhu_server *server, int timeout_ms)
{
	return loop_run(&server->loop, timeout_ms);
}

VHU_EXPORT unsigned vhu_server_unblock(struct vhu_server *server)
{
	unsigned n = event_free(&server->loop.guard);

	for (unsigned i = 0; i < server->config.n_workers; i++)
		n += event_free(&server->lane_loops[i]->guard);
	return n;
}

const struct session *server_session(const struct vhu_server *server)
{
	return server->session;
}

VHU_EXPORT void vhu_server_config_changed(struct vhu_server *server)
{
	if (server->session)
		notice_config_changed(server->session);
}

VHU_EXPORT void vhu_server_stats(const struct vhu_server *server, struct vhu_stats *ret)
{
	if (server->session)
		session_stats(server->session, ret);
	else
		*ret = server->last;
}
