/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: the translations a front-end sent, as they were seen. */
#include <inttypes.h>

#include "observe.h"
#include "suite_frontend.h"

/* How long an invalidation may come behind the refusal that announces it. */
#define LATE_US 1000000

static bool is_within(uint64_t iova, uint64_t first, uint64_t size)
{
	return iova >= first && (iova - first < size || (!size && !first));
}

static void answered(struct back *b)
{
	unsigned oldest;
	struct walk w;

	walk_start_iommu(&w, b);
	while (walk_next(&w) && w.i < b->record.thinned)
		walk_at_any(&w, MESSAGE_MAIN);
	NOTE(b, "%u misses were answered", w.n_answered);
	if (!w.n_asked)
		trial_skip(b->trial, "nothing was missed");
	if (w.n_asked == w.n_answered || !told_any_started(&w.told))
		return;
	oldest = w.asked[w.n_answered % BACK_ASKED];
	if (record_end_us(&b->record) - b->record.seen[oldest].us < b->patience_ms * UINT64_C(1000))
		return;
	walk_show(&w, oldest);
	trial_fail(b->trial, "a reply to each miss: this one has none");
}

static void well_formed(struct back *b)
{
	struct walk w;

	walk_start_iommu(&w, b);
	while (walk_next(&w)) {
		const struct vhu_header *header = &w.seen->header;

		if (!walk_at_any(&w, MESSAGE_BACK))
			continue;
		EXPECT_SEEN(&w, w.answers, "no message on the back-channel but replies");
		EXPECT_SEEN(&w, header->request == w.answers->header.request,
		            "a reply with the number of its request, %u",
		            w.answers->header.request);
		EXPECT_SEEN(&w, header->flags == (VHU_FLAG_VERSION | VHU_FLAG_REPLY),
		            "version 1 and the reply flag, 0x5: it is 0x%x", header->flags);
		EXPECT_SEEN(&w, header->size == 8, "a reply of 8 bytes: it has %u", header->size);
	}
}

/* Whether an update between message @from and here gives the address. */
static bool was_updated(const struct walk *w, const struct seen *from, const struct vhu_iotlb *miss,
                        uint8_t perm)
{
	for (unsigned i = w->i; i-- > 0 && &w->record->seen[i] != from;) {
		struct message message;

		if (!seen_request(&w->record->seen[i], VHU_FE_IOTLB_MSG))
			continue;
		seen_message(&w->record->seen[i], &message);
		if (message.payload.iotlb.type == VHU_IOTLB_UPDATE &&
		    is_within(miss->iova, message.payload.iotlb.iova, message.payload.iotlb.size) &&
		    (message.payload.iotlb.perm & perm) == perm)
			return true;
	}
	return false;
}

static bool is_granted(const struct walk *w, const struct vhu_iotlb *miss, uint8_t perm)
{
	const struct held_range *range = held_find(w->held, miss->iova);

	return (range && (range->perm & perm) == perm) || was_updated(w, w->answers, miss, perm);
}

static void expect_granted(struct back *b, bool with_perm)
{
	struct vhu_iotlb miss;
	uint64_t value;
	unsigned n = 0;
	struct walk w;

	walk_start_iommu(&w, b);
	while (walk_next_answer(&w, &miss, &value)) {
		if (value)
			continue;
		n++;
		if (is_granted(&w, &miss, with_perm ? miss.perm : 0))
			continue;
		walk_show_page(&w, miss.iova);
		trial_fail(b->trial,
		           "an update that has 0x%" PRIx64 "%s before the miss is said to be "
		           "answered",
		           (uint64_t)miss.iova, with_perm ? " with the permission asked for" : "");
	}
	walk_expect_some(&w, n, "misses were granted", "no miss was granted");
}

static void covers(struct back *b)
{
	expect_granted(b, false);
}

static void permits(struct back *b)
{
	expect_granted(b, true);
}

static void updates_are_sane(struct back *b)
{
	const struct vhu_iotlb *update;
	unsigned n = 0;
	struct walk w;

	walk_start_iommu(&w, b);
	for (; (update = walk_next_iotlb(&w, VHU_IOTLB_UPDATE)); n++) {
		EXPECT_SEEN(&w, update->size, "an update to have a size");
		EXPECT_SEEN(&w, update->iova + update->size - 1 >= update->iova,
		            "an update not to wrap");
		EXPECT_SEEN(&w, update->perm >= 1 && update->perm <= 3,
		            "an update to give a permission: it is %u", update->perm);
	}
	walk_expect_some(&w, n, "updates", "there were no updates");
}

static void updates_inside(struct back *b)
{
	const struct vhu_iotlb *update;
	struct walk w;

	walk_start_iommu(&w, b);
	while ((update = walk_next_iotlb(&w, VHU_IOTLB_UPDATE)))
		EXPECT_SEEN(&w, told_inside(&w.told, update->uaddr, update->size) == update->size,
		            "an update to lie in the memory that is shared");
}

static void types(struct back *b)
{
	struct walk w;

	walk_start_iommu(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_IOTLB_MSG))
			EXPECT_SEEN(&w,
			            w.message.payload.iotlb.type == VHU_IOTLB_UPDATE ||
			                    w.message.payload.iotlb.type == VHU_IOTLB_INVALIDATE,
			            "an update or an invalidation");
}

static void acknowledged(struct back *b)
{
	unsigned n = 0;
	struct walk w;

	walk_start_iommu(&w, b);
	for (; walk_next_iotlb(&w, VHU_IOTLB_INVALIDATE); n++)
		EXPECT_SEEN(&w, w.seen->header.flags & VHU_FLAG_NEED_REPLY,
		            "an invalidation to ask for a reply");
	walk_expect_some(&w, n, "invalidations", "nothing was invalidated");
}

static void invalidations_are_sane(struct back *b)
{
	const struct vhu_iotlb *range;
	struct walk w;

	walk_start_iommu(&w, b);
	while ((range = walk_next_iotlb(&w, VHU_IOTLB_INVALIDATE))) {
		EXPECT_SEEN(&w, range->size || !range->iova,
		            "a size: 0 stands for all, and only at address 0");
		EXPECT_SEEN(&w, !range->size || range->iova + range->size - 1 >= range->iova,
		            "an invalidation not to wrap");
	}
}

/* Where an update says something else than what still holds; UINT64_MAX: nowhere. */
static uint64_t contradiction(const struct walk *w, const struct vhu_iotlb *update,
                              uint64_t *ret_uva)
{
	uint64_t at = update->iova, last = update->iova + update->size - 1;
	const struct held_range *range;

	while ((range = held_next(w->held, at)) && range->first <= last) {
		if (range->first > at)
			at = range->first;
		*ret_uva = held_uva(range, at);
		if (*ret_uva != update->uaddr + (at - update->iova))
			return at;
		if (range->last >= last)
			break;
		at = range->last + 1;
	}
	return UINT64_MAX;
}

static void changes_are_announced(struct back *b)
{
	const struct vhu_iotlb *update;
	uint64_t uva, at;
	unsigned n = 0;
	struct walk w;

	walk_start_iommu(&w, b);
	while ((update = walk_next_iotlb(&w, VHU_IOTLB_UPDATE))) {
		if (!update->size)
			continue;
		n++;
		at = contradiction(&w, update, &uva);
		if (at == UINT64_MAX)
			continue;
		walk_show_page(&w, at);
		trial_fail(b->trial,
		           "an invalidation before 0x%" PRIx64
		           " is other memory: it was user address "
		           "0x%" PRIx64 ", and is 0x%" PRIx64 " now",
		           at, uva, (uint64_t)update->uaddr + (at - update->iova));
	}
	walk_expect_some(&w, n, "updates were compared", "there were no updates");
}

/* Whether what follows explains that an address is not there any more. */
static bool is_explained(const struct walk *w, uint64_t iova)
{
	const struct record *record = w->record;

	for (unsigned i = w->i + 1; i < record->n; i++) {
		const struct seen *seen = &record->seen[i];
		struct message message;

		if (seen->us - w->seen->us > LATE_US)
			return false;
		if (seen_request(seen, VHU_FE_GET_VRING_BASE) ||
		    seen_request(seen, VHU_FE_SET_MEM_TABLE) ||
		    seen_request(seen, VHU_FE_REM_MEM_REG))
			return true;
		seen_message(seen, &message);
		if (seen_request(seen, VHU_FE_IOTLB_MSG) &&
		    is_within(iova, message.payload.iotlb.iova, message.payload.iotlb.size))
			return true;
	}
	/* Whether there was not time enough to see it. */
	return record_end_us(record) - w->seen->us <= LATE_US;
}

static void ends_are_announced(struct back *b)
{
	const struct held_range *range;
	struct vhu_iotlb miss;
	uint64_t value;
	unsigned n = 0;
	struct walk w;

	walk_start_iommu(&w, b);
	for (; walk_next_answer(&w, &miss, &value); n++) {
		range = held_find(w.held, miss.iova);
		if (!value || !range || (range->perm & miss.perm) != miss.perm ||
		    is_explained(&w, miss.iova))
			continue;
		walk_show_page(&w, miss.iova);
		trial_fail(b->trial,
		           "an invalidation of 0x%" PRIx64 ", which was granted before and is "
		           "refused now",
		           (uint64_t)miss.iova);
	}
	walk_expect_some(&w, n, "misses were compared", "nothing was missed");
}

static bool is_of_a_ring(const struct told *told, uint64_t iova)
{
	uint64_t page = iova & ~(BACK_PAGE - 1);

	for (unsigned i = 0; i < TOLD_RINGS; i++) {
		const struct vhu_vring_addr *addr = &told->rings[i].addr;

		if (told_runs(told, i) && (page == (addr->desc & ~(BACK_PAGE - 1)) ||
		                           page == (addr->avail & ~(BACK_PAGE - 1)) ||
		                           page == (addr->used & ~(BACK_PAGE - 1))))
			return true;
	}
	return false;
}

static void ring_pages(struct back *b)
{
	struct vhu_iotlb miss;
	uint64_t value;
	unsigned n = 0;
	struct walk w;

	walk_start_iommu(&w, b);
	while (walk_next_answer(&w, &miss, &value)) {
		if (!is_of_a_ring(&w.told, miss.iova))
			continue;
		n++;
		if (value && !is_explained(&w, miss.iova)) {
			walk_show_page(&w, miss.iova);
			trial_fail(b->trial, "pages of a ring that runs to be granted");
		}
	}
	walk_expect_some(&w, n, "misses were of pages of rings", "no page of a ring was missed");
}

static const struct conform_case cases[] = {
	{
		.id = "fe-iotlb.answered",
		.title = "every miss that asks for a reply gets one",
		.rule = "vhost-user: IOMMU support; BACKEND_IOTLB_MSG",
		.level = LEVEL_MUST,
		.frontend = answered,
	},
	{
		.id = "fe-iotlb.reply-is-well-formed",
		.title = "replies on the back-channel have their request's number, flags 0x5 and 8 "
			 "bytes",
		.rule = "vhost-user: Back-end communication; BACKEND_IOTLB_MSG",
		.level = LEVEL_MUST,
		.frontend = well_formed,
	},
	{
		.id = "fe-iotlb.covers",
		.title = "before a reply of 0 an update has covered the miss",
		.rule = "vhost-user: IOMMU support; E1",
		.level = LEVEL_MUST,
		.frontend = covers,
		.explain = "The reply means that the translation was sent. A back-end that caches\n"
			   "nothing invalid takes a zero without an update for an access failure.",
	},
	{
		.id = "fe-iotlb.permits",
		.title = "the update has the permission the miss asked for",
		.rule = "vhost-user: IOMMU support; E1",
		.level = LEVEL_MUST,
		.frontend = permits,
	},
	{
		.id = "fe-iotlb.updates",
		.title = "updates have a size and a permission and do not wrap",
		.rule = "vhost-user: IOTLB message; U1, U4",
		.level = LEVEL_MUST,
		.frontend = updates_are_sane,
	},
	{
		.id = "fe-iotlb.updates-inside",
		.title = "updates lie in the memory that is shared",
		.rule = "vhost-user: IOMMU support; U1",
		.level = LEVEL_MUST,
		.frontend = updates_inside,
	},
	{
		.id = "fe-iotlb.types",
		.title = "IOTLB messages are updates and invalidations",
		.rule = "vhost-user: IOTLB_MSG",
		.level = LEVEL_MUST,
		.frontend = types,
	},
	{
		.id = "fe-iotlb.invalidations",
		.title = "invalidations have a size, or mean all",
		.rule = "I1",
		.level = LEVEL_CONTRACT,
		.frontend = invalidations_are_sane,
	},
	{
		.id = "fe-iotlb.acknowledged",
		.title = "invalidations ask to be acknowledged",
		.rule = "vhost-user: IOMMU support; E2",
		.level = LEVEL_MUST,
		.frontend = acknowledged,
		.explain = "Until the reply a back-end may use the memory.",
	},
	{
		.id = "fe-iotlb.changes-are-announced",
		.title = "an address becomes other memory only after its invalidation",
		.rule = "vhost-user: IOMMU support; E2",
		.level = LEVEL_MUST,
		.frontend = changes_are_announced,
		.explain = "A back-end that keeps a translation, as it may, goes on using memory "
			   "that\n"
			   "belongs to something else by now: what it writes there destroys it. "
			   "Seen by\n"
			   "asking again for what is known already, which a back-end that keeps "
			   "nothing\n"
			   "would do.",
	},
	{
		.id = "fe-iotlb.ends-are-announced",
		.title = "what was granted is refused only where it is invalidated",
		.rule = "vhost-user: IOMMU support; E2",
		.level = LEVEL_MUST,
		.frontend = ends_are_announced,
		.explain = "An IOMMU that gathers invalidations may refuse before they are sent; "
			   "they\n"
			   "are waited for, a second long.",
	},
	{
		.id = "fe-iotlb.ring-pages",
		.title = "pages of rings that run are granted",
		.rule = "vhost-user: IOMMU support, ring addresses",
		.level = LEVEL_MUST,
		.frontend = ring_pages,
	},
};

const struct conform_area area_fe_iotlb = AREA("fe-iotlb",
                                               "translations: given, changed, taken back", cases);
