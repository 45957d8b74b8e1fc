/* SPDX-License-Identifier: BSD-3-Clause */
#include "observe.h"

#include <inttypes.h>

#define SHOWN 10u

void walk_start(struct walk *walk, struct back *b)
{
	*walk = (struct walk){ .b = b, .record = &b->record, .held = &b->scratch };
	b->walked = true;
	held_clear(&b->scratch);
	told_start(&walk->told, b->record.features, b->record.protocol);
	if (!b->record.n)
		trial_skip(b->trial, "nothing was observed");
}

void walk_start_iommu(struct walk *walk, struct back *b)
{
	if (!(b->features & VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)))
		trial_skip(b->trial, "the front-end has not negotiated an IOMMU");
	walk_start(walk, b);
}

static void take_iotlb(struct walk *walk, const struct vhu_iotlb *iotlb)
{
	if (iotlb->type == VHU_IOTLB_UPDATE)
		held_set(walk->held, iotlb->iova, iotlb->size, iotlb->uaddr, iotlb->perm);
	else if (iotlb->type == VHU_IOTLB_INVALIDATE)
		held_drop(walk->held, iotlb->iova, iotlb->size);
}

/* What a back-end forgets by itself. */
static bool ends_translations(const struct told *told, uint32_t request)
{
	switch (request) {
	case VHU_FE_SET_MEM_TABLE:
	case VHU_FE_REM_MEM_REG:
	case VHU_FE_RESET_DEVICE: return true;
	case VHU_FE_GET_VRING_BASE:
	case VHU_FE_SET_FEATURES: return !told_any_started(told);
	default: return false;
	}
}

static void take_main(struct walk *walk)
{
	uint32_t request = walk->message.header.request;

	told_take(&walk->told, &walk->message);
	if (request == VHU_FE_IOTLB_MSG)
		take_iotlb(walk, &walk->message.payload.iotlb);
	if (ends_translations(&walk->told, request))
		held_clear(walk->held);
	if (request == VHU_FE_SET_BACKEND_REQ_FD)
		walk->n_asked = walk->n_answered = 0;
}

static void take_back(struct walk *walk)
{
	if (walk->seen->ours && walk->seen->header.flags & VHU_FLAG_NEED_REPLY)
		walk->asked[walk->n_asked++ % BACK_ASKED] = walk->i;
	else if (walk->answers)
		walk->n_answered++;
}

bool walk_next(struct walk *walk)
{
	if (walk->begun) {
		if (walk->seen->channel == MESSAGE_BACK)
			take_back(walk);
		else if (!walk->seen->ours)
			take_main(walk);
		walk->i++;
	}
	walk->begun = true;
	walk->answers = NULL;
	if (walk->i >= walk->record->n)
		return false;
	walk->seen = &walk->record->seen[walk->i];
	seen_message(walk->seen, &walk->message);
	if (walk->seen->channel == MESSAGE_BACK && !walk->seen->ours &&
	    walk->n_answered < walk->n_asked)
		walk->answers = &walk->record->seen[walk->asked[walk->n_answered % BACK_ASKED]];
	return true;
}

static bool found(const struct walk *walk, bool is_it)
{
	walk->b->found |= is_it;
	return is_it;
}

bool walk_at_any(const struct walk *walk, enum message_channel channel)
{
	return found(walk, !walk->seen->ours && walk->seen->channel == channel);
}

bool walk_at(const struct walk *walk, uint32_t request)
{
	return found(walk, seen_request(walk->seen, request));
}

const struct vhu_iotlb *walk_next_iotlb(struct walk *walk, uint8_t type)
{
	while (walk_next(walk))
		if (found(walk, seen_request(walk->seen, VHU_FE_IOTLB_MSG) &&
		                        walk->message.payload.iotlb.type == type))
			return &walk->message.payload.iotlb;
	return NULL;
}

bool walk_next_answer(struct walk *walk, struct vhu_iotlb *ret_miss, uint64_t *ret_value)
{
	struct message asked;

	while (walk_next(walk)) {
		if (!walk->answers || walk->answers->header.request != VHU_BE_IOTLB_MSG)
			continue;
		seen_message(walk->answers, &asked);
		*ret_miss = asked.payload.iotlb;
		*ret_value = walk->message.payload.u64;
		return found(walk, true);
	}
	return false;
}

void walk_show(const struct walk *walk, unsigned i)
{
	const struct seen *seen = &walk->record->seen[i];
	struct message message;
	char text[512];

	seen_message(seen, &message);
	message_describe(&message, seen->channel, seen_is_reply(seen), text, sizeof(text));
	trial_note(walk->b->trial, seen->ours ? EVIDENCE_SENT : EVIDENCE_CAME,
	           "at %" PRIu64 ".%03" PRIu64 " s, message %u: %s%s", seen->us / 1000000,
	           seen->us / 1000 % 1000, i, seen->channel == MESSAGE_BACK ? "back-channel: " : "",
	           text);
}

static bool is_about(const struct walk *walk, unsigned i, uint64_t iova)
{
	const struct seen *seen = &walk->record->seen[i];
	struct message message;
	uint64_t page = iova & ~(BACK_PAGE - 1);
	const struct vhu_iotlb *iotlb;

	if (seen_is_reply(seen) ||
	    (seen->channel == MESSAGE_MAIN && !seen_request(seen, VHU_FE_IOTLB_MSG)))
		return false;
	seen_message(seen, &message);
	iotlb = &message.payload.iotlb;
	if (iotlb->iova >= page)
		return iotlb->iova - page < BACK_PAGE;
	if (!iotlb->size)
		return iotlb->type == VHU_IOTLB_INVALIDATE;
	return page - iotlb->iova < iotlb->size;
}

void walk_show_page(const struct walk *walk, uint64_t iova)
{
	unsigned shown[SHOWN], n = 0;

	for (unsigned i = walk->i + 1; i-- > 0 && n < SHOWN;)
		if (i == walk->i || is_about(walk, i, iova))
			shown[n++] = i;
	while (n)
		walk_show(walk, shown[--n]);
}

void walk_expect_some(const struct walk *walk, unsigned n, const char *what, const char *none)
{
	NOTE(walk->b, "%u %s", n, what);
	if (!n)
		trial_skip(walk->b->trial, "%s", none);
}
