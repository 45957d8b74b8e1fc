/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: back-ends that reply wrongly, late or not at all. The front-end may do about
 * it what it likes, but must outlive it. Back-ends that vanish are in
 * cases_frontend_mishap.c.
 */
#include "back.h"
#include "base/clock.h"
#include "suite_frontend.h"

#define LATE_MS    1500
#define FOREVER_MS 8000

/* The hook of cases whose wrong reply is sent to the next IOTLB message, once. */
static bool is_turn(struct back *b, const struct message *request)
{
	return request->header.request == VHU_FE_IOTLB_MSG && !b->turns++;
}

static struct message reply_to(const struct message *request)
{
	struct message reply;

	message_init(&reply, request->header.request);
	reply.header.flags |= VHU_FLAG_REPLY;
	reply.header.size = sizeof(reply.payload.u64);
	return reply;
}

/* In place of the reply, the same with another header. */
static bool reply_with(struct back *b, const struct message *request, uint32_t number,
                       uint32_t flags, uint32_t size)
{
	struct message reply = reply_to(request);

	if (!is_turn(b, request))
		return false;
	reply.header = (struct vhu_header){ number, flags, size };
	link_send(&b->main, &reply);
	return true;
}

static bool short_reply(struct back *b, const struct message *request)
{
	return reply_with(b, request, request->header.request, VHU_FLAG_VERSION | VHU_FLAG_REPLY,
	                  4);
}

static bool other_reply(struct back *b, const struct message *request)
{
	return reply_with(b, request, VHU_FE_SET_OWNER, VHU_FLAG_VERSION | VHU_FLAG_REPLY, 8);
}

static bool no_reply_flag(struct back *b, const struct message *request)
{
	return reply_with(b, request, request->header.request, VHU_FLAG_VERSION, 8);
}

static bool huge_reply(struct back *b, const struct message *request)
{
	struct vhu_header header = { request->header.request, VHU_FLAG_VERSION | VHU_FLAG_REPLY,
		                     0x7fffffff };

	if (!is_turn(b, request))
		return false;
	link_send_bytes(&b->main, &header, sizeof(header), "the header of a reply of 2 GiB");
	return true;
}

static bool half_reply(struct back *b, const struct message *request)
{
	struct message reply = reply_to(request);

	if (!is_turn(b, request))
		return false;
	link_send_bytes(&b->main, &reply.header, 6, "half the header of a reply");
	back_hang_up(b);
	return true;
}

static bool vanish(struct back *b, const struct message *request)
{
	if (!is_turn(b, request))
		return false;
	NOTE(b, "replies nothing");
	back_hang_up(b);
	return true;
}

/* Makes the front-end send an update, to which the hook replies. */
static void provoke(struct back *b, bool (*reply)(struct back *b, const struct message *request))
{
	uint64_t end;

	back_open(b, BACK_IOMMU);
	b->reply_instead = reply;
	back_miss(b, back_ring_address(b, PERM_READ), 0, PERM_READ);
	end = clock_ns() + b->patience_ms * UINT64_C(1000000);
	while (back_is_open(b) && !b->turns && clock_ns() < end)
		back_listen(b, 20);
	EXPECT(b, b->turns, "an update for a page of a ring");
	b->reply_instead = NULL;
	if (back_is_open(b))
		back_expect_survives(b);
	back_hang_up(b);
}

static void reply_short(struct back *b)
{
	provoke(b, short_reply);
}

static void reply_of_another(struct back *b)
{
	provoke(b, other_reply);
}

static void reply_without_flag(struct back *b)
{
	provoke(b, no_reply_flag);
}

static void reply_huge(struct back *b)
{
	provoke(b, huge_reply);
}

static void reply_half(struct back *b)
{
	provoke(b, half_reply);
}

static void gone_in_request(struct back *b)
{
	provoke(b, vanish);
}

static void reply_unasked(struct back *b)
{
	const struct message request = { .header.request = VHU_FE_GET_FEATURES };
	const struct message reply = reply_to(&request);

	back_open(b, BACK_ANY);
	link_send(&b->main, &reply);
	back_serve(b, 50);
	back_expect_survives(b);
	back_hang_up(b);
}

static bool hold(struct back *b, const struct message *request)
{
	if (is_turn(b, request))
		back_hold(b);
	return false;
}

static void wait_ms(struct back *b, unsigned ms, unsigned answered)
{
	uint64_t end = clock_ns() + ms * UINT64_C(1000000);

	while (back_is_open(b) && b->n_answered == answered && clock_ns() < end)
		back_listen(b, 50);
}

static unsigned keep_silent(struct back *b)
{
	unsigned before;

	back_open(b, BACK_IOMMU);
	before = b->n_answered;
	b->reply_instead = hold;
	NOTE(b, "will not reply to the next update");
	back_miss(b, back_ring_address(b, PERM_READ), 0, PERM_READ);
	while (back_is_open(b) && !b->turns && trial_left(b->trial, 1))
		back_listen(b, 20);
	return before;
}

static void late(struct back *b)
{
	unsigned before = keep_silent(b);

	wait_ms(b, LATE_MS, before);
	if (!back_is_open(b))
		trial_skip(b->trial, "the front-end waits less than %u ms", LATE_MS);
	NOTE(b, "replies after %u ms", LATE_MS);
	back_let_go(b);
	EXPECT(b, back_answered(b, before + 1, (int)b->patience_ms),
	       "a reply to the miss, once its update has one");
	back_expect_goes_on(b);
}

static void silent(struct back *b)
{
	unsigned before = keep_silent(b);

	wait_ms(b, FOREVER_MS, before);
	if (back_is_open(b) && b->n_answered == before)
		trial_fail(b->trial, "nothing to be awaited for ever: for %u ms it did nothing",
		           FOREVER_MS);
	back_hang_up(b);
}

#define PROVOKES .needs.device = DEVICE_IO

static const struct conform_case cases[] = {
	{
		.id = "fe-mishap.late",
		.title = "a reply that takes a second and a half is taken",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = late,
	},
	{
		.id = "fe-mishap.silent",
		.title = "a back-end that does not reply is given up some time",
		.rule = "E2, E3",
		.level = LEVEL_CONTRACT,
		PROVOKES,
		.seconds = 14,
		.frontend = silent,
		.explain = "A front-end that waits for ever is stopped by whoever stops its "
			   "back-end,\n"
			   "and with it the virtual machine. Eight seconds are waited here: give "
			   "it a\n"
			   "shorter time-out if it has an option for that.",
	},
	{
		.id = "fe-mishap.reply-short",
		.title = "a reply of four bytes is survived",
		.rule = "vhost-user: Message Specification",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = reply_short,
	},
	{
		.id = "fe-mishap.reply-of-another",
		.title = "a reply with the number of another request is survived",
		.rule = "vhost-user: Message Specification, Header",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = reply_of_another,
	},
	{
		.id = "fe-mishap.reply-without-flag",
		.title = "a reply without the reply flag is survived",
		.rule = "vhost-user: Message Specification, Header",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = reply_without_flag,
	},
	{
		.id = "fe-mishap.reply-huge",
		.title = "a reply that announces 2 GiB is survived",
		.rule = "vhost-user: Message Specification",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = reply_huge,
	},
	{
		.id = "fe-mishap.reply-unasked",
		.title = "a reply that nobody asked for is survived",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = reply_unasked,
	},
	{
		.id = "fe-mishap.reply-half",
		.title = "a connection that ends within a reply is survived",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = reply_half,
	},
	{
		.id = "fe-mishap.gone-in-request",
		.title = "a back-end that vanishes in place of a reply is survived",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = gone_in_request,
	},
};

const struct conform_area area_fe_mishap = AREA(
	"fe-mishap", "back-ends that reply wrongly, or vanish", cases, .more = &more_fe_mishap);
