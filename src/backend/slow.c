/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations that take long are worth a line after a second, and another every
 * ten (rule I3). Most end at once, so the timer is touched only when one is
 * still under way as the session goes back to sleep, and never disarmed: when it
 * fires, the operation's serial number tells whether it is still the same.
 *
 * Thread: the session's.
 */
#include <errno.h>
#include <sys/timerfd.h>

#include "backend/session.h"
#include "base/fd.h"
#include "base/log.h"

#define FIRST_SECONDS 1u
#define NEXT_SECONDS  10u

static void slow_arm(struct session *session, unsigned seconds)
{
	const struct itimerspec when = { .it_value.tv_sec = seconds };

	session->slow.armed = timerfd_settime(session->slow.source.fd, 0, &when, NULL) == 0;
	session->slow.serial = session->operation.serial;
}

static void slow_fired(struct loop_source *source, uint32_t events)
{
	struct session *session = container_of(source, struct session, slow.source);
	const char *what = "the end of the session";

	(void)events;
	fd_drain(source->fd);
	session->slow.armed = false;
	if (!session->operation.active)
		return;
	if (session->slow.serial != session->operation.serial) {
		session->slow.seconds = FIRST_SECONDS;
		slow_arm(session, FIRST_SECONDS);
		return;
	}
	if (session->state == SESSION_OPEN)
		what = message_name(MESSAGE_MAIN, session->operation.request.request);
	log_warning(session->subject,
	            "%s has waited %u s for I/O that was issued before it; it is answered when "
	            "that ends",
	            what, session->slow.seconds);
	session->slow.seconds += NEXT_SECONDS;
	slow_arm(session, NEXT_SECONDS);
}

int slow_init(struct session *session)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = loop_add(session->loop, &session->slow.source, fd, EPOLLIN, slow_fired);
	if (error)
		fd_close(&fd);
	return error;
}

void slow_done(struct session *session)
{
	int fd = session->slow.source.fd;

	loop_remove(session->loop, &session->slow.source);
	fd_close(&fd);
}

void slow_watch(struct session *session)
{
	if (!session->operation.active || session->slow.armed)
		return;
	session->slow.seconds = FIRST_SECONDS;
	slow_arm(session, FIRST_SECONDS);
}
