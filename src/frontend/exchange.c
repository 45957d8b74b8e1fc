/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main channel: requests go out at once, replies are matched in order to the
 * FIFO of awaited ones. A reply that does not fit the head ends the connection,
 * since nothing after it could be trusted to be what it seems.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "frontend/frontend.h"

static struct awaited *awaited_at(struct vhu_frontend *fe, unsigned i)
{
	return &fe->awaited[(fe->awaited_head + i) % AWAITED_MAX];
}

bool exchange_has_room(const struct vhu_frontend *fe, unsigned messages)
{
	return fe->n_awaited + messages + AWAITED_RESERVED <= AWAITED_MAX &&
	       channel_waiting(fe->main) < WAITING_MAX;
}

void exchange_forget_misses(struct vhu_frontend *fe)
{
	for (unsigned i = 0; i < fe->n_awaited; i++)
		awaited_at(fe, i)->miss = NULL;
}

static void forget_request(struct vhu_frontend *fe, const struct request *request)
{
	for (unsigned i = 0; i < fe->n_awaited; i++)
		if (awaited_at(fe, i)->request == request)
			awaited_at(fe, i)->request = NULL;
}

static const char *why_not_flushed(int error)
{
	return error == -EPIPE || error == -ECONNRESET ? "the back-end closed the connection"
	                                               : strerror(-error);
}

void exchange_flush(struct vhu_frontend *fe)
{
	int error;
	uint32_t events;

	if (fe->lost)
		return;
	error = channel_flush(fe->main);
	if (error && error != -EAGAIN) {
		frontend_lose(fe, -ENOTCONN, "%s", why_not_flushed(error));
		return;
	}
	events = EPOLLIN | (error == -EAGAIN ? EPOLLOUT : 0);
	if (events != fe->main_events && !loop_change(&fe->loop, &fe->main_source, events))
		fe->main_events = events;
}

/* 0: accepted; or what the reply says. */
static int judge_reply(const struct awaited *slot, const struct message *reply)
{
	const struct message_spec *spec = message_spec(MESSAGE_MAIN, slot->header.request);

	if (spec->reply == MESSAGE_REPLY_ALWAYS)
		return 0;
	return reply->payload.u64 ? -EREMOTEIO : 0;
}

static void take_reply(struct vhu_frontend *fe, const struct message *reply)
{
	struct message_fault why;
	struct awaited slot;
	int result;

	if (!fe->n_awaited) {
		frontend_lose(fe, -EPROTO, "%s: a reply to nothing",
		              message_name(MESSAGE_MAIN, reply->header.request));
		return;
	}
	slot = *awaited_at(fe, 0);
	if (message_check_reply(reply, MESSAGE_MAIN, &slot.header, &why)) {
		frontend_lose(fe, -EPROTO, "%s: wrong reply: %s",
		              message_name(MESSAGE_MAIN, slot.header.request), why.text);
		return;
	}
	fe->awaited_head = (fe->awaited_head + 1) % AWAITED_MAX;
	fe->n_awaited--;
	result = judge_reply(&slot, reply);
	if (slot.miss)
		backchannel_updated(fe, slot.miss, result == 0);
	if (slot.request) {
		if (slot.request->reply)
			*slot.request->reply = *reply;
		slot.request->result = result;
	}
}

static void main_ready(struct loop_source *source, uint32_t events)
{
	struct vhu_frontend *fe = container_of(source, struct vhu_frontend, main_source);
	struct message message;
	int got;

	(void)events;
	while (!fe->lost && (got = channel_recv(fe->main, &message)) != 0) {
		if (got == -ENOTCONN || got == -EPIPE || got == -ECONNRESET) {
			frontend_lose(fe, -ENOTCONN, "the back-end closed the connection");
		} else if (got < 0) {
			frontend_lose(fe, -EPROTO, "%s: wrong reply: %s",
			              fe->n_awaited
			                      ? message_name(MESSAGE_MAIN,
			                                     awaited_at(fe, 0)->header.request)
			                      : "unasked",
			              channel_fault(fe->main)->text);
		} else {
			take_reply(fe, &message);
			message_close_fds(&message);
		}
	}
	exchange_flush(fe);
	backchannel_settle(fe);
}

int exchange_open(struct vhu_frontend *fe, int fd)
{
	int error = loop_add(&fe->loop, &fe->main_source, fd, EPOLLIN, main_ready);

	/* Last, for it takes the fd over, which is the caller's after a failure. */
	if (!error)
		error = channel_new(fd, MESSAGE_MAIN, &fe->main);
	if (error)
		loop_remove(&fe->loop, &fe->main_source);
	fe->main_events = EPOLLIN;
	return error;
}

int exchange_start(struct vhu_frontend *fe, struct message *message, struct request *request,
                   struct back_request *miss)
{
	const struct message_spec *spec = message_spec(MESSAGE_MAIN, message->header.request);
	bool own_reply = spec->reply == MESSAGE_REPLY_ALWAYS;
	bool awaited = own_reply || frontend_has_protocol(fe, VHU_PROTOCOL_F_REPLY_ACK);
	int error;

	if (fe->lost)
		return -ENOTCONN;
	if (fe->n_awaited == AWAITED_MAX)
		return -ENOBUFS;
	message->header.flags = VHU_FLAG_VERSION |
	                        (awaited && !own_reply ? VHU_FLAG_NEED_REPLY : 0);
	error = channel_queue(fe->main, message);
	if (error)
		return error;
	fe->stats.requests++;
	if (awaited)
		*awaited_at(fe, fe->n_awaited++) = (struct awaited){ message->header, request,
			                                             miss };
	else if (request)
		request->result = 0;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int exchange_wait(struct vhu_frontend *fe, struct request *request)
{
	const int64_t deadline = now_ms() + fe->config.timeout_ms;
	int error = 0;

	exchange_flush(fe);
	while (request->result == -EINPROGRESS) {
		int64_t left = deadline - now_ms();

		if (left < 0)
			error = -ETIMEDOUT;
		else
			error = frontend_round(fe, (int)left + 1);
		if (error) {
			forget_request(fe, request);
			return error;
		}
	}
	return request->result;
}

int exchange_explain(struct vhu_frontend *fe, uint32_t request, int error)
{
	const char *name = message_name(MESSAGE_MAIN, request);

	switch (error) {
	case 0: return 0;
	case -EREMOTEIO: return frontend_fault(fe, error, "%s: refused by the back-end", name);
	case -ETIMEDOUT:
		return frontend_fault(fe, error, "%s: no reply within %d ms", name,
		                      fe->config.timeout_ms);
	case -EPROTO: return frontend_fault(fe, error, "%s", fe->lost_reason);
	case -ENOTCONN:
		return frontend_fault(fe, error, "%s: the back-end is gone (%s)", name,
		                      fe->lost_reason);
	default: return frontend_fault(fe, error, "%s: %s", name, strerror(-error));
	}
}

int exchange(struct vhu_frontend *fe, struct message *message, struct message *reply)
{
	/* The message may be where the reply goes. */
	const uint32_t name = message->header.request;
	struct request request = { .reply = reply, .result = -EINPROGRESS };
	int error = fe->busy ? -EDEADLK : 0;

	if (!error)
		error = exchange_start(fe, message, &request, NULL);
	if (!error)
		error = exchange_wait(fe, &request);
	return exchange_explain(fe, name, error);
}

int exchange_u64(struct vhu_frontend *fe, uint32_t request, uint64_t value)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = value;
	return exchange(fe, &message, NULL);
}

int exchange_get_u64(struct vhu_frontend *fe, uint32_t request, uint64_t *ret)
{
	struct message message;
	int error;

	message_init(&message, request);
	error = exchange(fe, &message, &message);
	if (!error)
		*ret = message.payload.u64;
	return error;
}
