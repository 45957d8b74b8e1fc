/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"

/* Ten times a second costs nothing, and who waits so long hardly notices. */
#define REST_MS 100u

static void acceptor_ready(struct loop_source *source, uint32_t events);

static int accept_one(const struct acceptor *acceptor)
{
	int fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* It has gone, or somebody else was faster. */
static bool is_harmless(int error)
{
	return error == -EAGAIN || error == -EINTR || error == -ECONNABORTED;
}

/* Without an fd for it, who has come would be left hanging. Whether somebody was refused. */
static bool refuse_one(struct acceptor *acceptor)
{
	bool refused;
	int fd;

	if (acceptor->reserve < 0)
		return false;
	fd_close(&acceptor->reserve);
	fd = accept_one(acceptor);
	refused = fd >= 0;
	fd_close(&fd);
	/* If another thread was faster, there is none the next time. */
	(void)fd_event(&acceptor->reserve);
	return refused;
}

static void rest(struct acceptor *acceptor, int error)
{
	if (!acceptor->fails)
		log_error(acceptor->subject,
		          "no front-end can be accepted: %s; who comes waits until one can",
		          strerror(-error));
	acceptor->fails = true;
	loop_remove(acceptor->loop, &acceptor->source);
	timer_arm(&acceptor->rest, REST_MS);
}

static void rested(struct timer *timer)
{
	struct acceptor *acceptor = container_of(timer, struct acceptor, rest);
	int error;

	if (acceptor->reserve < 0)
		(void)fd_event(&acceptor->reserve);
	error = loop_add(acceptor->loop, &acceptor->source, acceptor->fd, EPOLLIN, acceptor_ready);
	if (error)
		rest(acceptor, error);
}

static void failed(struct acceptor *acceptor, int error)
{
	if (is_harmless(error))
		return;
	if ((error == -EMFILE || error == -ENFILE) && refuse_one(acceptor))
		log_error(acceptor->subject, "a front-end was refused: %s", strerror(-error));
	else
		rest(acceptor, error);
}

static void acceptor_ready(struct loop_source *source, uint32_t events)
{
	struct acceptor *acceptor = container_of(source, struct acceptor, source);
	int fd = accept_one(acceptor);

	/* Who else holds it has shut it down: it is ready for ever, and nobody ever comes. */
	if (fd == -EAGAIN && (events & (EPOLLHUP | EPOLLERR)))
		fd = -ESHUTDOWN;
	if (fd < 0) {
		failed(acceptor, fd);
		return;
	}
	if (acceptor->fails)
		log_info(acceptor->subject, "front-ends are accepted again");
	acceptor->fails = false;
	acceptor->came(acceptor, fd);
}

void acceptor_init(struct acceptor *acceptor, struct loop *loop, const char *subject)
{
	*acceptor = (struct acceptor){
		.subject = subject,
		.loop = loop,
		.source.fd = -1,
		.rest.source.fd = -1,
		.fd = -1,
		.reserve = -1,
	};
}

int acceptor_open(struct acceptor *acceptor, int fd,
                  void (*came)(struct acceptor *acceptor, int fd))
{
	int error = fd_set_nonblocking(fd);

	acceptor->came = came;
	if (!error)
		error = fd_event(&acceptor->reserve);
	if (!error)
		error = timer_init(&acceptor->rest, acceptor->loop, rested);
	if (!error)
		error = loop_add(acceptor->loop, &acceptor->source, fd, EPOLLIN, acceptor_ready);
	if (error)
		acceptor_close(acceptor);
	else
		acceptor->fd = fd;
	return error;
}

void acceptor_close(struct acceptor *acceptor)
{
	loop_remove(acceptor->loop, &acceptor->source);
	timer_done(&acceptor->rest);
	fd_close(&acceptor->reserve);
	fd_close(&acceptor->fd);
}

bool acceptor_is_open(const struct acceptor *acceptor)
{
	return acceptor->fd >= 0;
}
