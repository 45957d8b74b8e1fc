/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking and expecting on the main channel. */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "front.h"

static const char *name_of(uint32_t request)
{
	return message_name(MESSAGE_MAIN, request);
}

void front_send(struct front *f, const struct message *message)
{
	int error;

	if (f->main.fd < 0)
		trial_error(f->trial, "the case has no connection");
	error = link_send(&f->main, message);
	if (error)
		trial_fail(f->trial, "%s can't be sent: %s", name_of(message->header.request),
		           error == -EPIPE || error == -ECONNRESET
		                   ? "the back-end has closed the connection"
		                   : strerror(-error));
}

void front_send_u64(struct front *f, uint32_t request, uint64_t value)
{
	struct message message = msg_u64(request, value);

	front_send(f, &message);
}

static void explain_no_reply(struct front *f, uint32_t request, int error)
{
	if (error == -ETIMEDOUT)
		trial_fail(f->trial, "a reply to %s: none came within %u ms", name_of(request),
		           f->trial->patience_ms);
	if (error == -ENOTCONN)
		trial_fail(f->trial, "a reply to %s: the back-end closed the connection",
		           name_of(request));
	trial_fail(f->trial, "a reply to %s: %s", name_of(request), strerror(-error));
}

/* Only these exact flags are taken by the strictest of front-ends. */
static void check_reply(struct front *f, const struct message *reply, uint32_t request)
{
	const struct message_spec *spec = message_spec(MESSAGE_MAIN, request);
	uint32_t flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;

	if (reply->header.request != request)
		trial_fail(f->trial, "a reply to %s: it answers %s", name_of(request),
		           name_of(reply->header.request));
	if (reply->header.flags != flags)
		trial_fail(f->trial, "flags 0x%x in the reply to %s: they are 0x%x", flags,
		           name_of(request), reply->header.flags);
	if (spec && (reply->header.size < spec->reply_min || reply->header.size > spec->reply_max))
		trial_fail(f->trial, "a reply to %s of %u to %u bytes: it has %u", name_of(request),
		           spec->reply_min, spec->reply_max, reply->header.size);
}

static struct message recv_reply(struct front *f, uint32_t request, uint32_t tolerated)
{
	struct message reply;
	int error = link_recv(&f->main, &reply, (int)f->trial->patience_ms);

	if (error)
		explain_no_reply(f, request, error);
	message_close_fds(&reply);
	reply.header.flags &= ~tolerated;
	check_reply(f, &reply, request);
	return reply;
}

struct message expect_reply(struct front *f, uint32_t request)
{
	return recv_reply(f, request, 0);
}

struct message expect_echo(struct front *f, uint32_t request)
{
	return recv_reply(f, request, VHU_FLAG_NEED_REPLY);
}

uint64_t expect_reply_u64(struct front *f, uint32_t request)
{
	struct message reply = expect_reply(f, request);

	if (reply.header.size != sizeof(uint64_t))
		trial_fail(f->trial, "a reply to %s of 8 bytes: it has %u", name_of(request),
		           reply.header.size);
	return reply.payload.u64;
}

uint64_t front_get_u64(struct front *f, uint32_t request)
{
	struct message message = msg_empty(request);

	front_send(f, &message);
	return expect_reply_u64(f, request);
}

uint64_t front_call(struct front *f, const struct message *message)
{
	struct message asking = *message;

	if (!(f->protocol & VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK))) {
		front_send(f, message);
		expect_alive(f);
		return 0;
	}
	asking.header.flags |= VHU_FLAG_NEED_REPLY;
	front_send(f, &asking);
	return expect_reply_u64(f, message->header.request);
}

void expect_ack(struct front *f, const struct message *message)
{
	uint64_t value = front_call(f, message);

	if (value)
		trial_fail(f->trial, "%s to be accepted: the reply is %llu",
		           name_of(message->header.request), (unsigned long long)value);
}

static bool is_closed(int error)
{
	return error == -ENOTCONN || error == -EPIPE || error == -ECONNRESET;
}

/* Behind a refusal the connection may end as well; what it may not do is hang. */
static bool goes_on(struct front *f)
{
	struct message message = msg_empty(VHU_FE_GET_FEATURES), reply;
	int error = link_send(&f->main, &message);

	if (!error)
		error = link_recv(&f->main, &reply, (int)f->trial->patience_ms);
	if (error && !is_closed(error))
		explain_no_reply(f, VHU_FE_GET_FEATURES, error);
	if (!error) {
		message_close_fds(&reply);
		check_reply(f, &reply, VHU_FE_GET_FEATURES);
	}
	return !error;
}

bool expect_refused(struct front *f, const struct message *message)
{
	struct message asking = *message, reply;
	int error;

	asking.header.flags |= VHU_FLAG_NEED_REPLY;
	error = link_send(&f->main, &asking);
	if (!error)
		error = link_recv(&f->main, &reply, (int)f->trial->patience_ms);
	if (error && !is_closed(error))
		explain_no_reply(f, message->header.request, error);
	if (!error) {
		message_close_fds(&reply);
		check_reply(f, &reply, message->header.request);
		if (reply.header.size >= sizeof(uint64_t) && !reply.payload.u64)
			trial_fail(f->trial, "%s to be refused: the reply is success",
			           name_of(message->header.request));
	}
	if (!error && goes_on(f))
		return true;
	link_close(&f->main);
	return false;
}

void expect_refused_and_serves(struct front *f, const struct message *message)
{
	expect_refused(f, message);
	expect_serves_anew(f);
}

bool front_try(struct front *f, const struct message *message)
{
	struct message asking = *message, reply;
	int error = f->main.fd < 0 ? -EPIPE : 0;

	asking.header.flags |= VHU_FLAG_NEED_REPLY;
	if (!error)
		error = link_send(&f->main, &asking);
	if (!error)
		error = link_recv(&f->main, &reply, (int)f->trial->patience_ms);
	if (error && !is_closed(error))
		explain_no_reply(f, message->header.request, error);
	if (error) {
		link_close(&f->main);
		return false;
	}
	message_close_fds(&reply);
	return reply.payload.u64 == 0;
}

void expect_silence(struct front *f)
{
	struct message message;
	int error = link_recv(&f->main, &message, FRONT_QUIET);

	if (error == -ENOTCONN)
		trial_fail(f->trial, "silence: the back-end closed the connection");
	if (error == -ETIMEDOUT)
		return;
	if (!error)
		message_close_fds(&message);
	trial_fail(f->trial, "no message: there is one");
}

void expect_closed(struct front *f)
{
	struct message message;
	int error = link_recv(&f->main, &message, (int)f->trial->patience_ms);

	if (!error)
		message_close_fds(&message);
	if (error != -ENOTCONN)
		trial_fail(f->trial, "the connection's end: %s",
		           error ? "it stays open" : "a message comes");
	link_close(&f->main);
}

void expect_alive(struct front *f)
{
	front_get_u64(f, VHU_FE_GET_FEATURES);
}

void expect_serves_anew(struct front *f)
{
	front_connect(f);
	expect_alive(f);
}

void expect_survives(struct front *f, const struct message *message)
{
	struct message reply;
	int error = f->main.fd < 0 ? -EPIPE : link_send(&f->main, message);

	if (!error)
		error = link_recv(&f->main, &reply, FRONT_QUIET);
	if (!error)
		message_close_fds(&reply);
	expect_serves_anew(f);
}

void expect_holds_no_more(struct front *f, const struct holdings *before, int few)
{
	struct holdings after = subject_holdings(f->subject);

	NOTE(f, "%d mappings and %d fds, before: %d and %d", after.maps, after.fds, before->maps,
	     before->fds);
	EXPECT(f, after.maps <= before->maps + few, "no more mappings than before: %d more",
	       after.maps - before->maps);
	EXPECT(f, after.fds <= before->fds + few, "no more fds than before: %d more",
	       after.fds - before->fds);
}
