/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main channel: requests go out at once, replies are matched in order to the
 * FIFO of awaited ones. A reply that does not fit the head ends the connection,
 * since nothing after it could be trusted to be what it seems.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

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

static void forget(struct vhu_frontend *fe, unsigned i)
{
	awaited_at(fe, i)->awaiter = (struct awaiter){ .by = AWAITED_BY_NOBODY };
}

void exchange_forget_misses(struct vhu_frontend *fe)
{
	for (unsigned i = 0; i < fe->n_awaited; i++)
		if (awaited_at(fe, i)->awaiter.by == AWAITED_BY_MISS)
			forget(fe, i);
}

void exchange_forget_ticket(struct vhu_frontend *fe, const struct iommu_ticket *ticket)
{
	for (unsigned i = 0; i < fe->n_awaited; i++)
		if (awaited_at(fe, i)->awaiter.by == AWAITED_BY_UNMAP &&
		    awaited_at(fe, i)->awaiter.ticket == ticket)
			forget(fe, i);
}

static void forget_request(struct vhu_frontend *fe, const struct request *request)
{
	for (unsigned i = 0; i < fe->n_awaited; i++)
		if (awaited_at(fe, i)->awaiter.by == AWAITED_BY_CALLER &&
		    awaited_at(fe, i)->awaiter.request == request)
			forget(fe, i);
}

static const char *why_not_flushed(int error)
{
	return error == -EPIPE || error == -ECONNRESET ? "the back-end closed the connection"
	                                               : strerror(-error);
}

void exchange_flush(struct vhu_frontend *fe)
{
	int error;

	if (fe->lost)
		return;
	error = channel_flush(fe->main);
	if (error && error != -EAGAIN) {
		frontend_lose(fe, -ENOTCONN, "%s", why_not_flushed(error));
		return;
	}
	pump_change(fe, channel_fd(fe->main), PUMP_MAIN,
	            EPOLLIN | (error == -EAGAIN ? EPOLLOUT : 0), &fe->main_events);
}

/* 0: accepted; or what the reply says. */
static int judge_reply(const struct awaited *slot, const struct message *reply)
{
	const struct message_spec *spec = message_spec(MESSAGE_MAIN, slot->header.request);

	if (spec->reply == MESSAGE_REPLY_ALWAYS)
		return 0;
	return reply->payload.u64 ? -EREMOTEIO : 0;
}

/* The first error counts, but for that of a connection that has gone since. */
static void conclude(struct request *request, uint32_t name, int result, bool gone)
{
	request->pending--;
	if (result && (!request->result || (gone && request->result == -EREMOTEIO))) {
		request->result = result;
		request->failed = name;
	}
}

/* Tells whoever has waited for the eldest, which is no longer in the FIFO. */
static void tell(struct vhu_frontend *fe, const struct awaited *slot, const struct message *reply,
                 int result)
{
	const struct awaiter *awaiter = &slot->awaiter;

	switch (awaiter->by) {
	case AWAITED_BY_CALLER:
		if (reply && awaiter->request->reply)
			*awaiter->request->reply = *reply;
		conclude(awaiter->request, slot->header.request, result, !reply);
		break;
	case AWAITED_BY_MISS:
		if (reply)
			backchannel_updated(fe, awaiter->miss, !result);
		break;
	case AWAITED_BY_UNMAP: iotlb_invalidated(fe, awaiter->ticket, result); break;
	case AWAITED_BY_PUSH: fe->stats.updates_refused += reply && result; break;
	case AWAITED_BY_NOBODY: break;
	}
}

static struct awaited take_slot(struct vhu_frontend *fe)
{
	struct awaited slot = *awaited_at(fe, 0);

	fe->awaited_head = (fe->awaited_head + 1) % AWAITED_MAX;
	fe->n_awaited--;
	fe->replied++;
	return slot;
}

/* The eldest is not always what a caller waits for. */
void exchange_end(struct vhu_frontend *fe, int head_error)
{
	while (fe->n_awaited) {
		struct awaited slot = take_slot(fe);

		tell(fe, &slot, NULL, head_error);
		if (slot.awaiter.by == AWAITED_BY_CALLER || slot.awaiter.by == AWAITED_BY_UNMAP)
			head_error = -ENOTCONN;
	}
}

static void take_reply(struct vhu_frontend *fe, const struct message *reply)
{
	struct message_fault why;
	struct awaited slot;

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
	take_slot(fe);
	tell(fe, &slot, reply, judge_reply(&slot, reply));
}

static void lose_for(struct vhu_frontend *fe, int got)
{
	if (got == -ENOTCONN || got == -EPIPE || got == -ECONNRESET)
		frontend_lose(fe, -ENOTCONN, "the back-end closed the connection");
	else
		frontend_lose(fe, -EPROTO, "%s: wrong reply: %s",
		              fe->n_awaited ? message_name(MESSAGE_MAIN,
		                                           awaited_at(fe, 0)->header.request)
		                            : "unasked",
		              channel_fault(fe->main)->text);
}

void exchange_receive(struct vhu_frontend *fe)
{
	struct message message;
	int got;

	while (!fe->lost && (got = channel_recv(fe->main, &message)) != 0) {
		if (got < 0) {
			lose_for(fe, got);
		} else {
			take_reply(fe, &message);
			message_close_fds(&message);
		}
	}
}

int exchange_open(struct vhu_frontend *fe, int fd)
{
	int error = pump_add(fe, fd, PUMP_MAIN);

	/* Last, for it takes the fd over, which is the caller's after a failure. */
	if (!error)
		error = channel_new(fd, MESSAGE_MAIN, &fe->main);
	if (error)
		pump_remove(fe, fd);
	fe->main_events = EPOLLIN;
	return error;
}

static void count(struct awaiter awaiter)
{
	if (awaiter.by == AWAITED_BY_CALLER)
		awaiter.request->pending++;
	else if (awaiter.by == AWAITED_BY_UNMAP)
		awaiter.ticket->pending++;
	else if (awaiter.by == AWAITED_BY_MISS)
		awaiter.miss->updates++;
}

int exchange_start(struct vhu_frontend *fe, struct message *message, struct awaiter awaiter)
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
	if (awaited) {
		*awaited_at(fe, fe->n_awaited++) = (struct awaited){ message->header, awaiter };
		count(awaiter);
	}
	return 0;
}

void exchange_add(struct vhu_frontend *fe, struct message *message, struct request *request)
{
	const struct awaiter awaiter = { .by = AWAITED_BY_CALLER, .request = request };
	int error = request->result ? 0 : exchange_start(fe, message, awaiter);

	if (!error)
		return;
	request->result = error;
	request->failed = message->header.request;
}

/* Sets the error text for what became of a request; returns @error. */
static int explain(struct vhu_frontend *fe, uint32_t request, int error)
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

/* The message that a request which takes too long waits for. */
static uint32_t eldest_of(struct vhu_frontend *fe, const struct request *request)
{
	for (unsigned i = 0; i < fe->n_awaited; i++)
		if (awaited_at(fe, i)->awaiter.by == AWAITED_BY_CALLER &&
		    awaited_at(fe, i)->awaiter.request == request)
			return awaited_at(fe, i)->header.request;
	return 0;
}

static void give_up(struct vhu_frontend *fe, struct request *request, int error)
{
	request->failed = eldest_of(fe, request);
	request->result = error;
	request->pending = 0;
	forget_request(fe, request);
}

/* What is not there at the deadline is given up. */
static void wait_until(struct vhu_frontend *fe, struct request *request, int64_t deadline)
{
	while (request->pending) {
		int64_t left = deadline - frontend_now_ms();
		int error = left < 0 ? -ETIMEDOUT : frontend_round(fe, (int)left + 1);

		if (error && request->pending)
			give_up(fe, request, error);
	}
}

int exchange_wait_all(struct vhu_frontend *fe, struct request *requests, unsigned n)
{
	const int64_t deadline = frontend_now_ms() + fe->config.timeout_ms;
	const struct request *worst = NULL;

	exchange_flush(fe);
	for (unsigned i = 0; i < n; i++) {
		wait_until(fe, &requests[i], deadline);
		/* The first; but if the connection has gone since, that. */
		if (requests[i].result && (!worst || fe->lost))
			worst = &requests[i];
	}
	return worst ? explain(fe, worst->failed, worst->result) : 0;
}

int exchange_wait(struct vhu_frontend *fe, struct request *request)
{
	return exchange_wait_all(fe, request, 1);
}

int exchange(struct vhu_frontend *fe, struct message *message, struct message *reply)
{
	struct request request = { .reply = reply };

	exchange_add(fe, message, &request);
	return exchange_wait(fe, &request);
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
