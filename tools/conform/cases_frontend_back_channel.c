/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: other requests on the back-channel, right and wrong. */
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "back.h"
#include "base/clock.h"
#include "base/fd.h"
#include "suite_frontend.h"

#define RUBBISH 4096u

static struct message request(uint32_t number, bool need_reply)
{
	struct message message;

	message_init(&message, number);
	if (need_reply)
		message.header.flags |= VHU_FLAG_NEED_REPLY;
	return message;
}

static void need_config(struct back *b)
{
	if (!(b->told.protocol & VHU_BIT(VHU_PROTOCOL_F_CONFIG)))
		trial_skip(b->trial, "the front-end has not negotiated CONFIG");
	if (b->back.fd < 0)
		trial_skip(b->trial, "the front-end has sent no back-channel");
}

static bool count_config(struct back *b, const struct message *message)
{
	b->turns += message->header.request == VHU_FE_GET_CONFIG;
	return false;
}

static void config_change(struct back *b)
{
	struct message message = request(VHU_BE_CONFIG_CHANGE_MSG, true);

	back_open(b, BACK_ANY);
	need_config(b);
	back_ask(b, &message);
	EXPECT(b, !back_expect_answer(b), "a change of the configuration to be taken");
	back_expect_goes_on(b);
}

static void config_is_read(struct back *b)
{
	struct message message = request(VHU_BE_CONFIG_CHANGE_MSG, true);

	back_open(b, BACK_ANY);
	need_config(b);
	b->reply_instead = count_config;
	b->config_sectors = BACK_DISK_SIZE / 512 - 8;
	back_ask(b, &message);
	back_expect_answer(b);
	back_serve(b, 200);
	b->config_sectors = 0;
	back_ask(b, &message);
	back_expect_answer(b);
	if (!b->turns)
		trial_skip(b->trial, "the front-end does not read it again, and need not");
	back_expect_goes_on(b);
}

static void config_unasked(struct back *b)
{
	struct message message = request(VHU_BE_CONFIG_CHANGE_MSG, false);

	back_open(b, BACK_ANY);
	need_config(b);
	back_ask(b, &message);
	back_expect_silence(b);
	back_expect_goes_on(b);
}

static struct message access_fail(const struct back *b)
{
	struct message message = back_miss_message(back_ring_address(b, PERM_READ), 1, PERM_READ);

	message.payload.iotlb.type = VHU_IOTLB_ACCESS_FAIL;
	return message;
}

static void access_fail_survived(struct back *b)
{
	struct message message;

	back_open(b, BACK_IOMMU);
	message = access_fail(b);
	back_ask(b, &message);
	back_expect_answer(b);
	back_expect_goes_on(b);
}

static void access_fail_taken(struct back *b)
{
	struct message message;
	uint64_t value;

	back_open(b, BACK_IOMMU);
	message = access_fail(b);
	back_ask(b, &message);
	value = back_expect_answer(b);
	EXPECT(b, !value, "an access failure to be taken: it is refused with %" PRIu64, value);
	back_expect_goes_on(b);
}

/* An UPDATE or INVALIDATE from the wrong side. */
static void wrong_type(struct back *b)
{
	struct message message;

	back_open(b, BACK_IOMMU);
	for (uint8_t type = VHU_IOTLB_UPDATE; type <= VHU_IOTLB_INVALIDATE; type++) {
		message = back_miss_message(back_ring_address(b, PERM_READ), BACK_PAGE, PERM_READ);
		message.payload.iotlb.type = type;
		back_ask(b, &message);
		EXPECT(b, back_expect_answer(b), "an IOTLB message of type %u to be refused", type);
	}
	back_expect_goes_on(b);
}

/* It is refused, or the back-channel is closed for it. */
static void expect_refused(struct back *b, const struct message *message)
{
	unsigned before = b->n_answered;

	back_ask(b, message);
	if (back_answered(b, before + 1, (int)b->patience_ms)) {
		EXPECT(b, b->asked[before % BACK_ASKED].value, "what makes no sense to be refused");
		back_expect_goes_on(b);
		return;
	}
	EXPECT(b, !back_is_open(b) || b->back.fd < 0,
	       "a refusal, or the end of the back-channel: neither came");
	back_expect_survives(b);
}

static void need_back_channel(struct back *b)
{
	if (b->back.fd < 0)
		trial_skip(b->trial, "the front-end has sent no back-channel");
}

static void unknown(struct back *b)
{
	struct message message = request(99, true);

	back_open(b, BACK_ANY);
	need_back_channel(b);
	expect_refused(b, &message);
}

static void not_negotiated(struct back *b)
{
	struct message message = request(VHU_BE_SHARED_OBJECT_ADD, true);

	back_open(b, BACK_ANY);
	need_back_channel(b);
	message.header.size = sizeof(message.payload.shared);
	expect_refused(b, &message);
}

/* Ends what is left of the back-channel, which nobody can use any more. */
static void finish(struct back *b)
{
	back_serve(b, 50);
	back_expect_survives(b);
	if (back_is_open(b))
		back_hang_up(b);
}

static void oversized(struct back *b)
{
	struct vhu_header header = { VHU_BE_IOTLB_MSG, VHU_FLAG_VERSION, 0x7fffffff };

	back_open(b, BACK_ANY);
	need_back_channel(b);
	link_send_bytes(&b->back, &header, sizeof(header), "a header of a payload of 2 GiB");
	finish(b);
}

static void undersized(struct back *b)
{
	struct message message;

	back_open(b, BACK_IOMMU);
	message = back_miss_message(back_ring_address(b, PERM_READ), 0, PERM_READ);
	message.header.size = 4;
	link_send(&b->back, &message);
	finish(b);
}

static void rubbish(struct back *b)
{
	unsigned char bytes[RUBBISH];

	back_open(b, BACK_ANY);
	need_back_channel(b);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)trial_random(b->trial);
	link_send_bytes(&b->back, bytes, sizeof(bytes), "rubbish");
	finish(b);
}

static void stray_reply(struct back *b)
{
	struct message message;

	back_open(b, BACK_IOMMU);
	message = back_miss_message(BACK_UNMAPPED, 0, PERM_READ);
	message.header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	link_send(&b->back, &message);
	finish(b);
}

static void half_a_message(struct back *b)
{
	struct vhu_header header = { VHU_BE_IOTLB_MSG, VHU_FLAG_VERSION, 32 };

	back_open(b, BACK_ANY);
	need_back_channel(b);
	link_send_bytes(&b->back, &header, sizeof(header), "a header without its payload");
	link_close(&b->back);
	finish(b);
}

static void ended(struct back *b)
{
	back_open(b, BACK_ANY);
	need_back_channel(b);
	link_close(&b->back);
	finish(b);
}

/* Fds that no message has. They are the front-end's to close. */
static void stray_fds(struct back *b)
{
	struct message message = request(VHU_BE_CONFIG_CHANGE_MSG, true);
	unsigned before;

	back_open(b, BACK_ANY);
	need_config(b);
	before = b->n_answered;
	for (unsigned i = 0; i < MESSAGE_FDS_MAX; i++)
		message.fds[message.n_fds++] = b->listener;
	back_ask(b, &message);
	back_answered(b, before + 1, BACK_SURVIVES);
	finish(b);
}

#define PROVOKES .needs.device = DEVICE_IO

static const struct conform_case cases[] = {
	{
		.id = "fe-back-channel.config-change",
		.title = "a change of the configuration is taken",
		.rule = "vhost-user: BACKEND_CONFIG_CHANGE_MSG",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = config_change,
	},
	{
		.id = "fe-back-channel.config-unasked-reply",
		.title = "without NEED_REPLY it gets no reply",
		.rule = "vhost-user: VHOST_USER_PROTOCOL_F_REPLY_ACK; BACKEND_CONFIG_CHANGE_MSG",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = config_unasked,
	},
	{
		.id = "fe-back-channel.config-is-read",
		.title = "a configuration that has changed is read again",
		.rule = "vhost-user: BACKEND_CONFIG_CHANGE_MSG",
		.level = LEVEL_SHOULD,
		PROVOKES,
		.frontend = config_is_read,
	},
	{
		.id = "fe-back-channel.access-fail-survived",
		.title = "a report of an access failure is answered, and the device goes on",
		.rule = "vhost-user: BACKEND_IOTLB_MSG",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = access_fail_survived,
	},
	{
		.id = "fe-back-channel.access-fail-taken",
		.title = "a report of an access failure is taken",
		.rule = "vhost-user: BACKEND_IOTLB_MSG; S8",
		.level = LEVEL_SHOULD,
		PROVOKES,
		.frontend = access_fail_taken,
		.explain = "The specification has the message. Front-ends exist that refuse it, "
			   "which\n"
			   "is why hardly any back-end sends it.",
	},
	{
		.id = "fe-back-channel.wrong-type",
		.title = "updates and invalidations are refused on the back-channel",
		.rule = "vhost-user: BACKEND_IOTLB_MSG; U6",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = wrong_type,
	},
	{
		.id = "fe-back-channel.unknown",
		.title = "a request that nobody knows is refused",
		.rule = "vhost-user: VHOST_USER_PROTOCOL_F_REPLY_ACK",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = unknown,
	},
	{
		.id = "fe-back-channel.not-negotiated",
		.title = "a request whose feature is not negotiated is refused",
		.rule = "vhost-user: Back-end message types",
		.level = LEVEL_SHOULD,
		PROVOKES,
		.frontend = not_negotiated,
	},
	{
		.id = "fe-back-channel.stray-fds",
		.title = "fds that a message does not have do no harm",
		.rule = "vhost-user: Communication, ancillary data",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = stray_fds,
	},
	{
		.id = "fe-back-channel.undersized",
		.title = "a miss of four bytes is survived",
		.rule = "vhost-user: Message Specification",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = undersized,
	},
	{
		.id = "fe-back-channel.oversized",
		.title = "a header that announces 2 GiB is survived",
		.rule = "vhost-user: Message Specification",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = oversized,
	},
	{
		.id = "fe-back-channel.stray-reply",
		.title = "a reply to what nobody asked is survived",
		.rule = "vhost-user: Message Specification, Header",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = stray_reply,
	},
	{
		.id = "fe-back-channel.rubbish",
		.title = "4096 random bytes are survived",
		.rule = "vhost-user: Message Specification",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = rubbish,
	},
	{
		.id = "fe-back-channel.half-a-message",
		.title = "a message that breaks off is survived",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = half_a_message,
	},
	{
		.id = "fe-back-channel.ended",
		.title = "the end of the back-channel is survived",
		.rule = "vhost-user: Back-end communication",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = ended,
	},
};

const struct conform_area area_fe_back_channel = AREA("fe-back-channel",
                                                      "what else comes from a back-end", cases);
