/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-channel that the front-end has closed. Who is gone has closed the main
 * channel, too, in whatever order: then the session ends, nothing fails (S11), and
 * that is all there is to tell. So for a moment it counts as a channel on which
 * nobody answers; only if that passes are its accesses failed.
 *
 * Thread: the session's.
 */
#include "backend/session.h"

/* The kernel closes one fd after the other, and a VM takes its time. */
#define MOMENT_MS 250u

static void lost_due(struct timer *timer)
{
	misses_close(container_of(timer, struct session, lost.timer), "the front-end closed it");
}

int lost_init(struct session *session)
{
	return timer_init(&session->lost.timer, session->loop, lost_due);
}

void lost_done(struct session *session)
{
	timer_done(&session->lost.timer);
}

void lost_begin(struct session *session)
{
	session_close_back(session);
	if (session->state != SESSION_OPEN)
		return;
	session->lost.begun = true;
	timer_arm(&session->lost.timer, MOMENT_MS);
}

void lost_end(struct session *session)
{
	if (!session->lost.begun)
		return;
	session->lost.begun = false;
	timer_disarm(&session->lost.timer);
}
