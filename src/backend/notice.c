/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the front-end is told unasked: that the configuration space has changed,
 * and, if the server is to, which accesses have failed (S8). A message on the
 * back-channel, between misses, to which no reply is asked for, so that it takes
 * no place among theirs (S9). While all rings are stopped nothing is told (S6): a
 * change waits, a failure is forgotten with the ring that it befell.
 *
 * Thread: the session's.
 */
#include <errno.h>
#include <string.h>

#include "backend/session.h"
#include "base/log.h"

void notice_config_changed(struct session *session)
{
	if (!session_has(session, VHU_PROTOCOL_F_CONFIG))
		return;
	session->notices.config_changed = true;
	misses_send(session);
}

void notice_access_failed(struct session *session, const struct hole *access)
{
	struct notices *notices = &session->notices;
	unsigned n = notices->n_failed;

	/* Who does not read what it is told hears of some only. */
	if (!session->config->report_access_failures || n == NOTICES_FAILED_MAX)
		return;
	/* One of several waiters has told of it. */
	if (n && notices->failed[n - 1].addr == access->addr &&
	    notices->failed[n - 1].perm == access->perm)
		return;
	notices->failed[notices->n_failed++] = *access;
}

void notice_forget_accesses(struct session *session)
{
	session->notices.n_failed = 0;
}

bool notice_waits(const struct session *session)
{
	return session->n_running && session->notices.n_failed;
}

/*
 * Nothing waits in the channel, and nothing of this is left waiting whole: misses
 * dropped from the channel are counted (misses_stopped()). 1: it is sent; 0: there
 * is no room now; or -errno. A change is then told when something else is: the
 * front-end has not read what would have it ask us something.
 */
static int send_alone(struct session *session, const struct message *message)
{
	int error = channel_queue(session->back, message);

	if (!error)
		error = channel_flush(session->back);
	if (error == -EAGAIN && !channel_in_message(session->back)) {
		channel_drop_waiting(session->back);
		return 0;
	}
	return error ? error : 1;
}

static int send_change(struct session *session)
{
	struct notices *notices = &session->notices;
	struct message message;
	int r;

	if (!notices->config_changed)
		return 1;
	message_init(&message, VHU_BE_CONFIG_CHANGE_MSG);
	r = send_alone(session, &message);
	notices->config_changed = r == 0;
	return r;
}

static int send_failure(struct session *session, const struct hole *access)
{
	struct message message;

	message_init(&message, VHU_BE_IOTLB_MSG);
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb = (struct vhu_iotlb){
		.iova = access->addr,
		.perm = access->perm,
		.type = VHU_IOTLB_ACCESS_FAIL,
	};
	return send_alone(session, &message);
}

static int send_failures(struct session *session)
{
	struct notices *notices = &session->notices;
	unsigned n = 0;
	int r = 1;

	while (r == 1 && n < notices->n_failed) {
		r = send_failure(session, &notices->failed[n]);
		n += r != 0;
	}
	notices->n_failed -= n;
	memmove(notices->failed, notices->failed + n, notices->n_failed * sizeof(*notices->failed));
	return r;
}

int notice_send(struct session *session)
{
	int r;

	if (!session->n_running)
		return 0;
	r = send_change(session);
	if (r == 1)
		r = send_failures(session);
	return r < 0 ? r : 0;
}
