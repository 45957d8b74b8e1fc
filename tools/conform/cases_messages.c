/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: what holds for every message: header, size, fds, reply. */
#include "front.h"
#include "suite_backend.h"

#define REPLY_ACK VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)

static void ack_only_when_asked(struct front *f)
{
	struct message message;

	front_open(f, &(struct front_setup){ .no_memory = true });
	message = msg_empty(VHU_FE_SET_OWNER);
	front_send(f, &message);
	expect_silence(f);
	expect_alive(f);
}

static void need_reply_is_answered(struct front *f)
{
	struct message message = msg_empty(VHU_FE_SET_OWNER);

	front_open(f, &(struct front_setup){ .no_memory = true });
	expect_ack(f, &message);
}

static void unknown_request(struct front *f)
{
	struct message message = msg_u64(200, 0);

	front_open(f, &(struct front_setup){ .no_memory = true });
	expect_refused(f, &message);
	expect_serves_anew(f);
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
		.id = "messages.unknown-request",
		.title = "an unknown request is refused, and the back-end lives on",
		.rule = "vhost-user: REPLY_ACK",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = unknown_request,
	},
};

const struct conform_area area_messages = AREA(
	"messages", "headers, sizes, fds and replies of each message", cases);
