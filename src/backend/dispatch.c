/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main channel: reads a message, lets the table judge it, calls its handler,
 * answers, closes what fds were not taken.
 *
 * A fault of the front-end is answered by a non-zero reply where it asked for
 * one, and ends the session where it did not: it would not learn of it, and go
 * on in the belief that all is well.
 *
 * Thread: the session's.
 */
#include <errno.h>
#include <string.h>

#include "backend/session.h"
#include "base/log.h"

/* Messages handled before other sockets and queues have their turn. */
#define READ_BATCH 64u

typedef int handler_fn(struct session *session, struct message *message);

static handler_fn *const handlers[VHU_FE_END] = {
	[VHU_FE_GET_FEATURES] = on_get_features,
	[VHU_FE_SET_FEATURES] = on_set_features,
	[VHU_FE_SET_OWNER] = on_set_owner,
	[VHU_FE_RESET_OWNER] = on_reset_owner,
	[VHU_FE_SET_MEM_TABLE] = on_set_mem_table,
	[VHU_FE_SET_VRING_NUM] = on_set_vring_num,
	[VHU_FE_SET_VRING_ADDR] = on_set_vring_addr,
	[VHU_FE_SET_VRING_BASE] = on_set_vring_base,
	[VHU_FE_GET_VRING_BASE] = on_get_vring_base,
	[VHU_FE_SET_VRING_KICK] = on_set_vring_kick,
	[VHU_FE_SET_VRING_CALL] = on_set_vring_call,
	[VHU_FE_SET_VRING_ERR] = on_set_vring_err,
	[VHU_FE_GET_PROTOCOL_FEATURES] = on_get_protocol_features,
	[VHU_FE_SET_PROTOCOL_FEATURES] = on_set_protocol_features,
	[VHU_FE_GET_QUEUE_NUM] = on_get_queue_num,
	[VHU_FE_SET_VRING_ENABLE] = on_set_vring_enable,
	[VHU_FE_SET_BACKEND_REQ_FD] = on_set_backend_req_fd,
	[VHU_FE_IOTLB_MSG] = on_iotlb_msg,
	[VHU_FE_GET_CONFIG] = on_get_config,
	[VHU_FE_SET_CONFIG] = on_set_config,
	[VHU_FE_RESET_DEVICE] = on_reset_device,
	[VHU_FE_GET_MAX_MEM_SLOTS] = on_get_max_mem_slots,
	[VHU_FE_ADD_MEM_REG] = on_add_mem_reg,
	[VHU_FE_REM_MEM_REG] = on_rem_mem_reg,
	[VHU_FE_SET_STATUS] = on_set_status,
	[VHU_FE_GET_STATUS] = on_get_status,
};

void session_update_events(struct session *session)
{
	uint32_t events = 0;

	slow_watch(session);
	if (session->main_source.fd < 0)
		return;
	/*
	 * Nothing is read before what waits has been sent, nor during an operation;
	 * but most end before anything comes that would wake us in vain.
	 */
	if (channel_waiting(session->main))
		events |= EPOLLOUT;
	else if (!session->operation.active || !session->main_pressing)
		events |= EPOLLIN;
	if (events != session->main_events)
		loop_change(session->loop, &session->main_source, events);
	session->main_events = events;
}

/* What waits to be sent; false if something still does, or the session ended by it. */
static bool flush_replies(struct session *session)
{
	int error = channel_waiting(session->main) ? channel_flush(session->main) : 0;

	if (error == -EPIPE)
		session_close(session, NULL);
	else if (error && error != -EAGAIN)
		session_close(session, "replies can't be sent: %s", strerror(-error));
	return !error;
}

/* Goes out with those to the messages that are read at the same time. */
static void queue_reply(struct session *session, const struct message *reply)
{
	int error;

	if (session->state != SESSION_OPEN)
		return;
	if (log_wanted(VHU_LOG_DEBUG)) {
		char text[400];

		message_describe(reply, MESSAGE_MAIN, true, text, sizeof(text));
		log_debug(session->subject, "-> %s", text);
	}
	error = channel_queue(session->main, reply);
	if (error)
		session_close(session, "the reply to %s can't be sent: %s",
		              message_name(MESSAGE_MAIN, reply->header.request), strerror(-error));
}

void session_reply(struct session *session, struct message *reply, uint32_t size)
{
	reply->header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	reply->header.size = size;
	queue_reply(session, reply);
}

static bool wants_ack(const struct session *session, const struct vhu_header *header)
{
	return session_has(session, VHU_PROTOCOL_F_REPLY_ACK) &&
	       (header->flags & VHU_FLAG_NEED_REPLY);
}

/* Answers a message that has no reply of its own, or whose handler failed. */
static void session_answer(struct session *session, const struct vhu_header *header, int result,
                           const char *why)
{
	const struct message_spec *spec = message_spec(MESSAGE_MAIN, header->request);
	bool own_reply = spec && spec->reply == MESSAGE_REPLY_ALWAYS;
	const char *name = "";
	struct message reply;

	if (!result && !wants_ack(session, header))
		return;
	/* No more of it is sent than is set: most replies are acknowledgements. */
	reply.header.request = header->request;
	reply.payload.u64 = result != 0;
	reply.n_fds = 0;
	if (result) {
		name = message_name(MESSAGE_MAIN, header->request);
		log_warning(session->subject, "%s refused: %s", name, why);
	}
	if (header->request == VHU_FE_GET_CONFIG) {
		/* The specification's error reply: no payload. */
		session_reply(session, &reply, 0);
	} else if (!own_reply && wants_ack(session, header)) {
		session_reply(session, &reply, sizeof(reply.payload.u64));
	} else {
		session_close(session,
		              "%s failed and the front-end did not ask for an answer, so "
		              "going on is not safe",
		              name);
	}
}

int session_refuse(struct session *session, int error, const char *why)
{
	session_answer(session, &session->operation.request, error, why);
	session_close(session, "%s", why);
	return HANDLER_REPLIES;
}

void session_finish(struct session *session, int result)
{
	struct operation *operation = &session->operation;

	operation->active = false;
	operation->ring = NULL;
	session->main_pressing = false;
	if (session->state != SESSION_OPEN) {
		session_closing(session);
		return;
	}
	/* One that has its own reply has sent it by now. */
	if (result ||
	    message_spec(MESSAGE_MAIN, operation->request.request)->reply != MESSAGE_REPLY_ALWAYS)
		session_answer(session, &operation->request, result,
		               result ? strerror(-result) : "");
	if (!session->reading)
		loop_schedule(session->loop, &session->work);
}

static bool ring_runs(const void *opaque, unsigned index)
{
	const struct session *session = opaque;

	return session->rings[index].queue != NULL;
}

static int judge(const struct session *session, const struct message *message,
                 struct message_fault *why)
{
	const struct message_context context = {
		.channel = MESSAGE_MAIN,
		.features = session->features,
		.features_offered = session->features_offered,
		.protocol_features = session->protocol_features,
		.n_rings = session->n_rings,
		.back_channel = session->back != NULL,
		.ring_runs = ring_runs,
		.opaque = session,
	};
	int error = message_check(message, &context, why);

	if (!error && !handlers[message->header.request]) {
		strcpy(why->text, "this back-end does not implement it and has not offered it");
		error = -EOPNOTSUPP;
	}
	return error;
}

static void session_handle(struct session *session, struct message *message)
{
	struct message_fault why = { "" };
	int result;

	if (log_wanted(VHU_LOG_DEBUG)) {
		char text[400];

		message_describe(message, MESSAGE_MAIN, false, text, sizeof(text));
		log_debug(session->subject, "<- %s", text);
	}
	session->operation.request = message->header;
	session->operation.result = 0;
	result = judge(session, message, &why);
	/* No request at all: a reply to it would not be understood either. */
	if (result == -EPROTO)
		session_close(session, "%s", why.text);
	else if (result)
		session_answer(session, &message->header, result, why.text);
	else
		result = handlers[message->header.request](session, message);
	if (result != HANDLER_REPLIES && !why.text[0])
		session_answer(session, &message->header, result, result ? strerror(-result) : "");
	message_close_fds(message);
}

/* Reads what can be read; says why if that is the end. */
static bool session_read_one(struct session *session)
{
	struct message message;
	int r = channel_recv(session->main, &message);

	if (r == 1) {
		session_handle(session, &message);
		/* Lanes of this thread may have acknowledged already. */
		mailbox_drain(&session->reports);
		operation_await(session);
		return true;
	}
	if (r == 0)
		return false;
	if (r == -ENOTCONN)
		session_close(session, NULL);
	else
		session_close(session, "the front-end's message can't be read: %s",
		              channel_fault(session->main)->text);
	return false;
}

void session_read_main(struct session *session)
{
	bool more = true, sent;

	if (session->state != SESSION_OPEN)
		return;
	session->reading = true;
	/* An update that belongs to a reply may have come since the last read. */
	if (pending_has_answered(session->pending))
		channel_expect(session->main);
	/* Replies are taken before more is asked: the queue of them is bounded. */
	sent = flush_replies(session);
	for (unsigned n = 0;
	     sent && more && session->state == SESSION_OPEN && !session->operation.active; n++) {
		if (n == READ_BATCH) {
			loop_schedule(session->loop, &session->work);
			break;
		}
		more = session_read_one(session);
	}
	session->reading = false;
	if (session->state == SESSION_OPEN)
		flush_replies(session);
	if (session->state != SESSION_OPEN)
		return;
	/* All updates there were are applied: what is still open is unsatisfied. */
	if (!more)
		misses_judge(session);
	/* However much more there is: who never stops sending is asked all the same. */
	misses_take_reports(session);
	session_update_events(session);
}
