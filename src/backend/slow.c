/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations that take long are worth a line after a second, and another every
 * ten (rule I3). Most end at once, so the timer is touched only when one is
 * still under way as the session goes back to sleep, and never disarmed: when it
 * fires, the operation's serial number tells whether it is still the same.
 *
 * Thread: the session's.
 */
#include "backend/session.h"
#include "base/log.h"

#define FIRST_SECONDS 1u
#define NEXT_SECONDS  10u
#define MS_PER_S      1000u

static void slow_arm(struct session *session, unsigned seconds)
{
	timer_arm(&session->slow.timer, seconds * MS_PER_S);
	session->slow.armed = true;
	session->slow.serial = session->operation.serial;
}

static void slow_due(struct timer *timer)
{
	struct session *session = container_of(timer, struct session, slow.timer);
	const char *what = "the end of the session";

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
	return timer_init(&session->slow.timer, session->loop, slow_due);
}

void slow_done(struct session *session)
{
	timer_done(&session->slow.timer);
}

void slow_watch(struct session *session)
{
	if (!session->operation.active || session->slow.armed)
		return;
	session->slow.seconds = FIRST_SECONDS;
	slow_arm(session, FIRST_SECONDS);
}
