/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: misses that a back-end may well send, and what a front-end makes of them. */
#include <inttypes.h>

#include "back.h"
#include "base/clock.h"
#include "suite_frontend.h"

#define MANY 100u

/* What is held of a page is forgotten, so that only a new update brings it back. */
static void forget(struct back *b, uint64_t page)
{
	held_drop(&b->held, page & ~(BACK_PAGE - 1), BACK_PAGE);
}

static void expect_granted(struct back *b, uint64_t iova, uint8_t perm)
{
	uint64_t value = back_expect_answer(b);

	EXPECT(b, !value, "a page of a ring to be granted: the reply is %" PRIu64, value);
	EXPECT(b, back_holds(b, iova, perm), "an update that covers 0x%" PRIx64, iova);
}

static void unmapped(struct back *b)
{
	back_open(b, BACK_IOMMU);
	forget(b, BACK_UNMAPPED);
	back_miss(b, BACK_UNMAPPED, 0, PERM_READ);
	EXPECT(b, back_expect_answer(b), "a miss of what nobody has mapped to be refused");
	EXPECT(b, !back_holds(b, BACK_UNMAPPED, 0), "no update for what is refused");
	back_expect_goes_on(b);
}

static void top_of_the_space(struct back *b)
{
	back_open(b, BACK_IOMMU);
	back_miss(b, UINT64_MAX, 0, PERM_WRITE);
	EXPECT(b, back_expect_answer(b), "a miss of the last byte there is to be refused");
	back_miss(b, UINT64_MAX - BACK_PAGE, UINT64_MAX, PERM_READ);
	EXPECT(b, back_expect_answer(b), "a miss whose hint wraps to be refused");
	back_expect_goes_on(b);
}

/* Of an address that a ring uses @perm of, @offset behind its first byte; it is granted. */
static void ask_again(struct back *b, uint8_t perm, uint64_t offset, uint64_t size)
{
	uint64_t iova;

	back_open(b, BACK_IOMMU);
	iova = back_ring_address(b, perm) + offset;
	forget(b, iova);
	back_miss(b, iova, size, perm);
	expect_granted(b, iova, perm);
	back_expect_goes_on(b);
}

static void known(struct back *b)
{
	ask_again(b, PERM_READ, 0, 0);
}

static void unaligned(struct back *b)
{
	ask_again(b, PERM_READ, 3, 1);
}

static void written(struct back *b)
{
	ask_again(b, PERM_WRITE, 0, 0);
}

static void hint(struct back *b)
{
	ask_again(b, PERM_READ, 0, UINT64_C(1) << 30);
}

static void repeated(struct back *b)
{
	uint64_t page;

	back_open(b, BACK_IOMMU);
	page = back_ring_address(b, PERM_READ);
	for (unsigned i = 0; i < 8; i++)
		back_miss(b, page, 0, PERM_READ);
	for (unsigned i = 0; i < 8; i++)
		expect_granted(b, page, PERM_READ);
	back_expect_goes_on(b);
}

static void without_permission(struct back *b)
{
	back_open(b, BACK_IOMMU);
	back_miss(b, back_ring_address(b, PERM_READ), 0, 0);
	back_expect_answer(b);
	back_miss(b, back_ring_address(b, PERM_READ), 0, 0xff);
	back_expect_answer(b);
	back_expect_goes_on(b);
}

static void unasked(struct back *b)
{
	struct message message;
	uint64_t page, end;

	back_open(b, BACK_IOMMU);
	page = back_ring_address(b, PERM_READ);
	forget(b, page);
	message = back_miss_message(page, 0, PERM_READ);
	message.header.flags = VHU_FLAG_VERSION;
	back_ask(b, &message);
	end = clock_ns() + b->patience_ms * UINT64_C(1000000);
	b->deaf = true;
	while (back_is_open(b) && !back_holds(b, page, PERM_READ) && clock_ns() < end)
		back_listen(b, 20);
	EXPECT(b, back_holds(b, page, PERM_READ), "an update for a miss without NEED_REPLY");
	back_expect_silence(b);
	back_expect_goes_on(b);
}

static void many(struct back *b)
{
	uint64_t page;

	back_open(b, BACK_IOMMU);
	page = back_ring_address(b, PERM_READ);
	trial_mute(b->trial);
	for (unsigned i = 0; i < MANY; i++)
		back_miss(b, i % 2 ? BACK_UNMAPPED : page, 0, PERM_READ);
	trial_unmute(b->trial);
	NOTE(b, "sends %u misses, of a page of a ring and of nothing in turn", MANY);
	for (unsigned i = 0; i < MANY; i++) {
		uint64_t value = back_expect_answer(b);

		EXPECT(b, !value == !(i % 2),
		       "replies in the order of the misses: number %u is %" PRIu64, i, value);
	}
	back_expect_goes_on(b);
}

static void unread(struct back *b)
{
	unsigned before;

	back_open(b, BACK_IOMMU);
	before = b->n_answered;
	b->deaf = true;
	trial_mute(b->trial);
	for (unsigned i = 0; i < MANY; i++)
		back_miss(b, back_ring_address(b, PERM_READ), 0, PERM_READ);
	trial_unmute(b->trial);
	NOTE(b, "sends %u misses, and does not read the replies for half a second", MANY);
	for (uint64_t end = clock_ns() + UINT64_C(500000000); clock_ns() < end;)
		back_listen(b, 20);
	b->deaf = false;
	EXPECT(b, back_answered(b, before + MANY, (int)b->patience_ms),
	       "%u replies once they are read: %u came", MANY, b->n_answered - before);
	back_expect_goes_on(b);
}

static bool hold_iotlb(struct back *b, const struct message *request)
{
	if (request->header.request == VHU_FE_IOTLB_MSG && !b->turns++)
		back_hold(b);
	return false;
}

/* Whether an update for @page comes while the reply to another is held back. */
static bool is_served_meanwhile(struct back *b, uint64_t page, unsigned ms)
{
	uint64_t end = clock_ns() + ms * UINT64_C(1000000);

	while (back_is_open(b) && clock_ns() < end && !back_holds(b, page, PERM_WRITE))
		back_listen(b, 20);
	return back_holds(b, page, PERM_WRITE);
}

/* One page is missed, and while the reply to its update is owed, another. */
static bool miss_during_update(struct back *b)
{
	uint64_t first, second;
	unsigned before;
	bool served;

	back_open(b, BACK_IOMMU);
	first = back_ring_address(b, PERM_READ);
	second = back_ring_address(b, PERM_WRITE);
	forget(b, first);
	before = b->n_answered;
	b->reply_instead = hold_iotlb;
	back_miss(b, first, 0, PERM_READ);
	while (back_is_open(b) && !b->turns && trial_left(b->trial, 1))
		back_listen(b, 20);
	NOTE(b, "keeps the reply to that update to itself");
	forget(b, second);
	back_miss(b, second, 0, PERM_WRITE);
	served = is_served_meanwhile(b, second, 500);
	NOTE(b, "sends the reply at last");
	back_let_go(b);
	EXPECT(b, back_answered(b, before + 2, (int)b->patience_ms),
	       "both misses to be answered when the reply was sent");
	EXPECT(b, back_holds(b, second, PERM_WRITE), "the other page to be granted");
	return served;
}

static void while_awaited(struct back *b)
{
	miss_during_update(b);
	back_expect_goes_on(b);
}

static void served_while_awaited(struct back *b)
{
	EXPECT(b, miss_during_update(b),
	       "a miss to be served while the reply to an update is awaited: nothing came for "
	       "500 ms");
	back_expect_goes_on(b);
}

static bool refuse_update(struct back *b, const struct message *request)
{
	if (request->header.request != VHU_FE_IOTLB_MSG ||
	    request->payload.iotlb.type != VHU_IOTLB_UPDATE || b->turns++)
		return false;
	back_reply_u64(b, request, 1);
	return true;
}

static void update_refused(struct back *b)
{
	back_open(b, BACK_IOMMU);
	b->reply_instead = refuse_update;
	NOTE(b, "refuses the next update");
	back_miss(b, back_ring_address(b, PERM_READ), 0, PERM_READ);
	EXPECT(b, back_expect_answer(b), "a miss not to be granted whose update was refused");
	back_expect_goes_on(b);
}

#define PROVOKES .needs.device = DEVICE_IO

static const struct conform_case cases[] = {
	{
		.id = "fe-miss.unmapped",
		.title = "a miss of what is not mapped is refused, and the connection goes on",
		.rule = "vhost-user: IOMMU support; S4, E1",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = unmapped,
	},
	{
		.id = "fe-miss.top-of-the-space",
		.title = "a miss at the end of all addresses is refused",
		.rule = "vhost-user: IOMMU support; E1",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = top_of_the_space,
	},
	{
		.id = "fe-miss.known",
		.title = "what was granted before is granted again",
		.rule = "vhost-user: IOMMU support; E1",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = known,
		.explain =
			"A back-end forgets what it likes. An update that repeats another is sent\n"
			"all the same.",
	},
	{
		.id = "fe-miss.repeated",
		.title = "the same miss eight times at once is answered eight times",
		.rule = "vhost-user: BACKEND_IOTLB_MSG; S1",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = repeated,
	},
	{
		.id = "fe-miss.unaligned",
		.title = "a miss may be of a byte in the middle of a page",
		.rule = "vhost-user: IOTLB message; U3",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = unaligned,
	},
	{
		.id = "fe-miss.to-be-written",
		.title = "a miss for writing gets an update for writing",
		.rule = "vhost-user: IOTLB message, permissions; E1",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = written,
	},
	{
		.id = "fe-miss.hint",
		.title = "a size beyond what is mapped does no harm",
		.rule = "S3, E1",
		.level = LEVEL_CONTRACT,
		PROVOKES,
		.frontend = hint,
		.explain = "The specification gives the size of a miss no meaning. At least the "
			   "first\n"
			   "byte's page is granted.",
	},
	{
		.id = "fe-miss.without-permission",
		.title = "a miss with a permission that makes no sense is answered somehow",
		.rule = "vhost-user: IOTLB message, permissions",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = without_permission,
	},
	{
		.id = "fe-miss.unasked-reply",
		.title = "without NEED_REPLY a miss gets its update, and no reply",
		.rule = "vhost-user: VHOST_USER_PROTOCOL_F_REPLY_ACK; BACKEND_IOTLB_MSG",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = unasked,
	},
	{
		.id = "fe-miss.many",
		.title = "a hundred misses at once are answered in their order",
		.rule = "vhost-user: BACKEND_IOTLB_MSG; S9, E1",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = many,
		.explain = "A reply on the back-channel has no address; only its place tells which "
			   "miss\n"
			   "it is for.",
	},
	{
		.id = "fe-miss.unread",
		.title = "replies that nobody reads for a while are not lost",
		.rule = "vhost-user: Back-end communication",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = unread,
	},
	{
		.id = "fe-miss.while-awaited",
		.title = "a miss that comes while a reply is awaited is answered afterwards at the "
			 "latest",
		.rule = "vhost-user: Communication; E3",
		.level = LEVEL_MUST,
		PROVOKES,
		.frontend = while_awaited,
	},
	{
		.id = "fe-miss.served-while-awaited",
		.title = "a miss that comes while a reply is awaited is answered at once",
		.rule = "E3",
		.level = LEVEL_CONTRACT,
		PROVOKES,
		.frontend = served_while_awaited,
		.explain = "A back-end that needs a translation before it can reply hangs with a\n"
			   "front-end that serves no misses meanwhile. The specification does not "
			   "say\n"
			   "whose fault that is.",
	},
	{
		.id = "fe-miss.update-refused",
		.title = "a miss whose update was refused is not said to be granted",
		.rule = "vhost-user: IOTLB_MSG; E1",
		.level = LEVEL_SHOULD,
		PROVOKES,
		.frontend = update_refused,
	},
};

const struct conform_area area_fe_miss = AREA("fe-miss", "misses, and their answers", cases);
