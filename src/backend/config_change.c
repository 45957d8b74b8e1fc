/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling the front-end that the configuration space has changed: a message on
 * the back-channel, between misses, to which no reply is asked for, so that it
 * takes no place among theirs (S9). While all rings are stopped it waits (S6).
 *
 * Thread: the session's.
 */
#include <errno.h>

#include "backend/session.h"

void config_change_note(struct session *session)
{
	if (!session_has(session, VHU_PROTOCOL_F_CONFIG))
		return;
	session->config_changed = true;
	misses_send(session);
}

/*
 * Nothing waits in the channel, and nothing of this is left waiting whole: misses
 * dropped from the channel are counted (misses_stopped()). If there is no room
 * now, the front-end has not read what would have it ask us something, and that
 * comes back here.
 */
int config_change_send(struct session *session)
{
	struct message message;
	int error;

	if (!session->config_changed || !session->n_running)
		return 0;
	message_init(&message, VHU_BE_CONFIG_CHANGE_MSG);
	error = channel_queue(session->back, &message);
	if (!error)
		error = channel_flush(session->back);
	if (error == -EAGAIN && !channel_in_message(session->back)) {
		channel_drop_waiting(session->back);
		return 0;
	}
	session->config_changed = false;
	return error;
}
