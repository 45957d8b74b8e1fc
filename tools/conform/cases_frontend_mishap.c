/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: back-ends that vanish, or refuse everything. The front-end may do about it
 * what it likes, but must outlive it; where it comes back by itself, it has to do that
 * each time. Back-ends that reply wrongly are in cases_frontend_reply.c.
 */
#include "back.h"
#include "base/clock.h"
#include "suite_frontend.h"

#define BEGIN_MS 3000

static void gone(struct back *b)
{
	back_open(b, BACK_ANY);
	back_hang_up(b);
}

static void comes_back(struct back *b)
{
	unsigned before;

	back_open(b, BACK_ANY);
	before = b->returns;
	back_hang_up(b);
	back_open_new(b);
	if (b->returns == before)
		trial_skip(b->trial, "it was started again");
	back_open(b, BACK_ANY);
	back_expect_goes_on(b);
}

/* The next connection is used as if nothing had happened. */
static void expect_begins_anew(struct back *b)
{
	uint64_t end = clock_ns() + BEGIN_MS * UINT64_C(1000000);

	back_open_new(b);
	while (back_is_open(b) && !b->told.has_features && clock_ns() < end)
		back_listen(b, 50);
	if (!b->told.has_features)
		b->away = "the front-end does not begin anew after a case before";
	EXPECT(b, b->told.has_features, "features to be set on the next connection: %s",
	       back_is_open(b) ? "it is there, and nothing comes" : "it is closed again");
}

static void gone_at_once(struct back *b)
{
	back_open(b, BACK_ANY);
	back_hang_up(b);
	back_open_new(b);
	back_hang_up(b);
	expect_begins_anew(b);
}

static void gone_in_negotiation(struct back *b)
{
	back_open(b, BACK_ANY);
	back_hang_up(b);
	back_open_new(b);
	for (unsigned i = 0; i < 3; i++)
		back_listen(b, 500);
	back_hang_up(b);
	expect_begins_anew(b);
}

static bool refuse_memory(struct back *b, const struct message *request)
{
	uint32_t number = request->header.request;

	if ((number != VHU_FE_SET_MEM_TABLE && number != VHU_FE_ADD_MEM_REG) ||
	    !back_wants_reply(b, request) || b->turns++)
		return false;
	back_reply_u64(b, request, 1);
	return true;
}

static void memory_refused(struct back *b)
{
	back_open(b, BACK_ANY);
	back_hang_up(b);
	back_open_new(b);
	b->reply_instead = refuse_memory;
	b->paused = true;
	back_serve(b, 1000);
	if (!b->turns)
		trial_skip(b->trial, "the front-end shares no memory, or asks for no reply");
	b->reply_instead = NULL;
	back_hang_up(b);
}

#define PROVOKES .needs.device = DEVICE_IO

static const struct conform_case cases[] = {
	{
		.id = "fe-mishap.gone",
		.title = "a back-end that vanishes while requests wait is survived",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = gone,
	},
	{
		.id = "fe-mishap.comes-back",
		.title = "the front-end comes back by itself, and its requests go on",
		.rule = "vhost-user: Communication; E5",
		.level = LEVEL_CONTRACT,
		PROVOKES,
		.frontend = comes_back,
		.explain = "Whatever was not used when the connection ended must be served by the "
			   "next\n"
			   "back-end, from the base it is told.",
	},
	{
		.id = "fe-mishap.memory-refused",
		.title = "a refusal of the memory is survived",
		.rule = "vhost-user: VHOST_USER_PROTOCOL_F_REPLY_ACK; SET_MEM_TABLE",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = memory_refused,
	},
	{
		.id = "fe-mishap.gone-in-negotiation",
		.title = "after a connection that ends during negotiation, the next is used",
		.rule = "vhost-user: Communication; E5",
		.level = LEVEL_CONTRACT,
		PROVOKES,
		.seconds = 8,
		.frontend = gone_in_negotiation,
	},
	{
		.id = "fe-mishap.gone-at-once",
		.title = "after a connection that ends before the first reply, the next is used",
		.rule = "vhost-user: Communication; E5",
		.level = LEVEL_CONTRACT,
		PROVOKES,
		.seconds = 8,
		.frontend = gone_at_once,
		.explain =
			"That is what a back-end does that refuses a second connection because it\n"
			"has not yet seen the end of the first.",
	},
};

const struct conform_area more_fe_mishap = MORE(cases);
