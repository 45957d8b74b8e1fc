/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: headers, and messages as bytes in a stream. What a payload may be is in cases_payload.c.
 */
#include <string.h>
#include <time.h>

#include "front.h"
#include "suite_backend.h"

#define REPLY_ACK VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)
#define PIPELINED 50u

static void open_plain(struct front *f)
{
	front_open(f, &(struct front_setup){ .no_memory = true });
}

static void ack_only_when_asked(struct front *f)
{
	static const uint32_t requests[] = { VHU_FE_SET_VRING_NUM, VHU_FE_SET_VRING_BASE,
		                             VHU_FE_SET_VRING_ENABLE };
	struct message message = msg_empty(VHU_FE_GET_FEATURES);

	open_plain(f);
	front_send_u64(f, VHU_FE_SET_FEATURES, f->features);
	for (unsigned i = 0; i < 3; i++) {
		struct message state = msg_state(requests[i], 0, i ? 0 : 64);

		front_send(f, &state);
	}
	front_send(f, &message);
	NOTE(f, "the next message must be the reply to GET_FEATURES");
	expect_reply(f, VHU_FE_GET_FEATURES);
	expect_silence(f);
}

static void need_reply_is_answered(struct front *f)
{
	struct message message = msg_empty(VHU_FE_SET_OWNER);

	open_plain(f);
	expect_ack(f, &message);
}

/* GET_FEATURES with other flags than it should have. */
static void ask_with_flags(struct front *f, uint32_t flags)
{
	struct message message = msg_empty(VHU_FE_GET_FEATURES);

	open_plain(f);
	message.header.flags = flags;
	front_send(f, &message);
}

static void one_reply_is_enough(struct front *f)
{
	ask_with_flags(f, VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY);
	expect_echo(f, VHU_FE_GET_FEATURES);
	expect_silence(f);
}

static void need_reply_is_not_echoed(struct front *f)
{
	ask_with_flags(f, VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY);
	expect_reply(f, VHU_FE_GET_FEATURES);
}

static void unknown_request(struct front *f)
{
	struct message message = msg_u64(f->trial->which->request, 0);

	open_plain(f);
	expect_refused_and_serves(f, &message);
}

/* Refused, or the end: it is not acted upon as if nothing were wrong. */
static void wrong_version(struct front *f)
{
	struct message reply;
	int error;

	ask_with_flags(f, f->trial->which->request);
	error = link_recv(&f->main, &reply, FRONT_QUIET);
	if (!error)
		message_close_fds(&reply);
	EXPECT(f, error, "a message that is not of version 1 not to be served: it is");
	expect_serves_anew(f);
}

static void reply_that_nobody_wants(struct front *f)
{
	struct message message = msg_u64(VHU_FE_GET_FEATURES, 0);

	open_plain(f);
	message.header.flags |= VHU_FLAG_REPLY;
	expect_survives(f, &message);
}

static void unknown_flags(struct front *f)
{
	struct message message = msg_empty(VHU_FE_GET_FEATURES);

	open_plain(f);
	message.header.flags |= 0xfffffff0;
	expect_survives(f, &message);
}

/* A header that announces more than any message has, and then a few bytes of it. */
static void oversized(struct front *f)
{
	struct message message = msg_of_table(VHU_FE_SET_FEATURES, -1);

	open_plain(f);
	message.header.size = f->trial->which->request;
	expect_survives(f, &message);
}

static void in_pieces(struct front *f)
{
	struct message message = msg_u64(VHU_FE_SET_FEATURES, 0);
	char bytes[sizeof(message.header) + 8];

	open_plain(f);
	message.payload.u64 = f->features;
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	memcpy(bytes, &message.header, sizeof(message.header));
	memcpy(bytes + sizeof(message.header), &message.payload, 8);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		EXPECT(f, link_send_bytes(&f->main, bytes + i, 1, "one byte of SET_FEATURES") == 0,
		       "the connection to stay open after %u bytes of a message", i);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	EXPECT_EQUAL(f, expect_reply_u64(f, VHU_FE_SET_FEATURES), 0, "acknowledgement");
}

static void in_one_piece(struct front *f)
{
	struct vhu_header header = { VHU_FE_GET_FEATURES, VHU_FLAG_VERSION, 0 };
	char bytes[PIPELINED * sizeof(header)];

	open_plain(f);
	for (unsigned i = 0; i < PIPELINED; i++)
		memcpy(bytes + i * sizeof(header), &header, sizeof(header));
	EXPECT(f, link_send_bytes(&f->main, bytes, sizeof(bytes), "GET_FEATURES, many times") == 0,
	       "the connection to stay open");
	for (unsigned i = 0; i < PIPELINED; i++)
		expect_reply(f, VHU_FE_GET_FEATURES);
	expect_silence(f);
}

static void replies_in_order(struct front *f)
{
	struct message features = msg_empty(VHU_FE_GET_FEATURES), protocol, owner;

	open_plain(f);
	protocol = msg_empty(VHU_FE_GET_PROTOCOL_FEATURES);
	owner = msg_empty(VHU_FE_SET_OWNER);
	owner.header.flags |= VHU_FLAG_NEED_REPLY;
	for (unsigned i = 0; i < 8; i++) {
		front_send(f, &features);
		front_send(f, &owner);
		front_send(f, &protocol);
	}
	for (unsigned i = 0; i < 8; i++) {
		expect_reply(f, VHU_FE_GET_FEATURES);
		expect_reply(f, VHU_FE_SET_OWNER);
		expect_reply(f, VHU_FE_GET_PROTOCOL_FEATURES);
	}
}

static void unread_replies(struct front *f)
{
	struct message message = msg_empty(VHU_FE_GET_FEATURES);
	unsigned n = 0;

	open_plain(f);
	trial_mute(f->trial);
	while (n < 100000 && link_try_send(&f->main, &message) == 0)
		n++;
	trial_unmute(f->trial);
	NOTE(f, "%u GET_FEATURES were sent and no reply was read", n);
	expect_serves_anew(f);
}

#define UNKNOWN(name, words, number, ...)                                                  \
	{                                                                                  \
		.id = "messages." name, .title = (words), .rule = "vhost-user: REPLY_ACK", \
		.level = LEVEL_SHOULD, .needs.protocol = REPLY_ACK, .request = (number),   \
		.backend = unknown_request, __VA_ARGS__                                    \
	}

#define OTHER_VERSION(number)                                                             \
	{                                                                                 \
		.id = "messages.version-" #number,                                        \
		.title = "a message of version " #number " is not served",                \
		.rule = "vhost-user: Header", .level = LEVEL_SHOULD, .request = (number), \
		.backend = wrong_version,                                                 \
	}

#define OVERSIZED(name, words, size)                                                  \
	{                                                                             \
		.id = "messages.size-" name,                                          \
		.title = "the back-end outlives a header that announces " words,      \
		.rule = "vhost-user: Header", .level = LEVEL_MUST, .request = (size), \
		.backend = oversized,                                                 \
	}

static const struct conform_case cases[] = {
	{
		.id = "messages.ack-only-when-asked",
		.title = "without NEED_REPLY nothing is acknowledged",
		.rule = "vhost-user: REPLY_ACK",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = ack_only_when_asked,
	},
	{
		.id = "messages.need-reply-is-answered",
		.title = "with NEED_REPLY success is acknowledged with 0",
		.rule = "vhost-user: REPLY_ACK",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = need_reply_is_answered,
	},
	{
		.id = "messages.one-reply-is-enough",
		.title = "a request with a reply of its own gets no acknowledgement besides",
		.rule = "vhost-user: REPLY_ACK",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = one_reply_is_enough,
	},
	{
		.id = "messages.need-reply-is-not-echoed",
		.title = "the flags of a reply are those of a reply, whatever the request's were",
		.rule = "vhost-user: Header",
		.level = LEVEL_SHOULD,
		.needs.protocol = REPLY_ACK,
		.backend = need_reply_is_not_echoed,
		.explain =
			"QEMU takes a reply only if its flags are version and reply and nothing\n"
			"else.",
	},
	UNKNOWN("unknown-request", "an unknown request is refused, and the back-end lives on", 200),
	UNKNOWN("huge-request-number", "a request number far beyond all others is refused",
	        0x80000001),
	OTHER_VERSION(0),
	OTHER_VERSION(2),
	{
		.id = "messages.reply-that-nobody-wants",
		.title = "the back-end outlives a reply to nothing",
		.rule = "vhost-user: Header",
		.level = LEVEL_MUST,
		.backend = reply_that_nobody_wants,
	},
	{
		.id = "messages.unknown-flags",
		.title = "the back-end outlives flags that nobody knows",
		.rule = "vhost-user: Header",
		.level = LEVEL_MUST,
		.backend = unknown_flags,
	},
	OVERSIZED("64k", "64 KiB", 0x10000),
	OVERSIZED("4g", "4 GiB", UINT32_MAX),
	{
		.id = "messages.in-pieces",
		.title = "a message may come byte by byte",
		.rule = "vhost-user: Communication (a stream socket)",
		.level = LEVEL_SHOULD,
		.needs.protocol = REPLY_ACK,
		.backend = in_pieces,
		.explain =
			"A stream has no borders of messages. QEMU writes a message at once, and\n"
			"a signal or a full buffer may cut it all the same.",
	},
	{
		.id = "messages.in-one-piece",
		.title = "many messages may come at once",
		.rule = "vhost-user: Communication (a stream socket)",
		.level = LEVEL_MUST,
		.backend = in_one_piece,
	},
	{
		.id = "messages.replies-in-order",
		.title = "replies come in the order of the requests",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = replies_in_order,
	},
	{
		.id = "messages.unread-replies",
		.title = "a front-end that reads no replies keeps nobody from the next one",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.backend = unread_replies,
	},
	UNKNOWN("request-0", "request 0 is refused, and the back-end lives on", 0,
	        .explain =
	                "There is no such request. A library exists that ends the whole process\n"
	                "when it comes: one front-end then ends the service of all others."),
};

const struct conform_area area_messages = AREA("messages", "headers, and messages in a stream",
                                               cases);
