/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: each message of a front-end, by the table of messages. */
#include <errno.h>

#include "observe.h"
#include "suite_frontend.h"

static bool ring_runs(const void *opaque, unsigned index)
{
	const struct told *told = opaque;

	return told->rings[index].started;
}

/* 0, or what is wrong with a request. */
static int judge(const struct walk *walk, struct message_fault *why)
{
	struct message_context context = {
		.channel = MESSAGE_MAIN,
		.features = walk->told.features,
		.features_offered = walk->told.offered,
		.protocol_features = walk->told.protocol,
		.n_rings = walk->b->device == DEVICE_NET ? 2 * BACK_QUEUES : BACK_QUEUES,
		.back_channel = walk->told.has_back_channel,
		.ring_runs = ring_runs,
		.opaque = &walk->told,
	};
	int error = message_check_header(MESSAGE_MAIN, &walk->seen->header, false, why);

	return error ? error : message_check(&walk->message, &context, why);
}

/* No message is wrong in this way. */
static void expect_none(struct back *b, int error)
{
	struct message_fault why;
	struct walk w;
	unsigned n = 0;

	walk_start(&w, b);
	while (walk_next(&w)) {
		if (!walk_at_any(&w, MESSAGE_MAIN))
			continue;
		EXPECT_SEEN(&w, judge(&w, &why) != error, "every message to be fit: %s", why.text);
		n++;
	}
	NOTE(b, "%u messages of the front-end were looked at", n);
}

static void header(struct back *b)
{
	expect_none(b, -EPROTO);
}

static void size(struct back *b)
{
	expect_none(b, -EMSGSIZE);
}

static void fds(struct back *b)
{
	expect_none(b, -EBADF);
}

static void state(struct back *b)
{
	expect_none(b, -EBUSY);
}

static void fields(struct back *b)
{
	expect_none(b, -EINVAL);
}

static void negotiated(struct back *b)
{
	struct message_fault why;
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at_any(&w, MESSAGE_MAIN) &&
		    message_spec(MESSAGE_MAIN, w.seen->header.request))
			EXPECT_SEEN(&w, judge(&w, &why) != -EOPNOTSUPP,
			            "only what is negotiated to be used: %s", why.text);
}

static void known(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at_any(&w, MESSAGE_MAIN))
			EXPECT_SEEN(&w, message_spec(MESSAGE_MAIN, w.seen->header.request),
			            "only requests that the specification knows");
}

static void deprecated(struct back *b)
{
	const struct message_spec *spec;
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w)) {
		spec = message_spec(MESSAGE_MAIN, w.seen->header.request);
		if (walk_at_any(&w, MESSAGE_MAIN) && spec)
			EXPECT_SEEN(&w, !spec->deprecated, "no message that is deprecated");
	}
}

static void need_reply(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at_any(&w, MESSAGE_MAIN) && w.seen->header.flags & VHU_FLAG_NEED_REPLY)
			EXPECT_SEEN(&w, w.told.protocol & VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK),
			            "NEED_REPLY only after REPLY_ACK was negotiated");
}

static const struct conform_case cases[] = {
	{
		.id = "fe-message.header",
		.title = "every message has the version and no flag that nobody knows",
		.rule = "vhost-user: Message Specification, Header",
		.level = LEVEL_MUST,
		.frontend = header,
	},
	{
		.id = "fe-message.size",
		.title = "every message has a payload of its size",
		.rule = "vhost-user: Message Specification, Payload",
		.level = LEVEL_MUST,
		.frontend = size,
	},
	{
		.id = "fe-message.fds",
		.title = "every message brings the file descriptors it has to",
		.rule = "vhost-user: Communication, ancillary data",
		.level = LEVEL_MUST,
		.frontend = fds,
	},
	{
		.id = "fe-message.known",
		.title = "every request is one of the specification's",
		.rule = "vhost-user: Front-end message types",
		.level = LEVEL_SHOULD,
		.frontend = known,
	},
	{
		.id = "fe-message.negotiated",
		.title = "no message comes whose feature is not negotiated",
		.rule = "vhost-user: Protocol features; Front-end message types",
		.level = LEVEL_MUST,
		.frontend = negotiated,
		.explain =
			"A back-end that keeps to the specification may close the connection at\n"
			"such a message. Typical are SET_VRING_ENABLE without bit 30, IOTLB\n"
			"messages without bit 33, and GET_CONFIG without CONFIG.",
	},
	{
		.id = "fe-message.state",
		.title = "a ring that runs is not given another size or base",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.frontend = state,
	},
	{
		.id = "fe-message.fields",
		.title = "ring numbers, permissions and types are in their range",
		.rule = "vhost-user: Message Specification, Payload",
		.level = LEVEL_MUST,
		.frontend = fields,
	},
	{
		.id = "fe-message.need-reply",
		.title = "a reply is wanted only where REPLY_ACK is negotiated",
		.rule = "vhost-user: VHOST_USER_PROTOCOL_F_REPLY_ACK",
		.level = LEVEL_MUST,
		.frontend = need_reply,
	},
	{
		.id = "fe-message.deprecated",
		.title = "messages that are deprecated are not used",
		.rule = "vhost-user: RESET_OWNER",
		.level = LEVEL_SHOULD,
		.frontend = deprecated,
	},
};

const struct conform_area area_fe_message = AREA("fe-message", "form and gate of each message",
                                                 cases);
