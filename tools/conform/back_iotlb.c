/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking for translations, and what is granted; the other requests on the back-channel, too. */
#include <errno.h>
#include <string.h>

#include "back.h"
#include "base/clock.h"

#define AT_ONCE 64u /* misses without a reply, of the device */

struct message back_miss_message(uint64_t iova, uint64_t size, uint8_t perm)
{
	struct message message;

	message_init(&message, VHU_BE_IOTLB_MSG);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb = (struct vhu_iotlb){
		.iova = iova, .size = size, .perm = perm, .type = VHU_IOTLB_MISS
	};
	return message;
}

/* False: it can't be sent. */
static bool ask(struct back *b, const struct message *message)
{
	if (b->back.fd < 0 || b->n_asked - b->n_answered == BACK_ASKED)
		return false;
	if (message->header.flags & VHU_FLAG_NEED_REPLY)
		b->asked[b->n_asked++ % BACK_ASKED] = (struct back_asked){
			.request = message->header.request,
			.iova = message->payload.iotlb.iova,
			.perm = message->payload.iotlb.perm,
		};
	if (b->recording)
		record_add(&b->record, MESSAGE_BACK, true, message);
	return !link_send(&b->back, message);
}

void back_ask(struct back *b, const struct message *message)
{
	if (!ask(b, message))
		trial_fail(b->trial, "the back-channel to take a message: it is closed");
}

void back_miss(struct back *b, uint64_t iova, uint64_t size, uint8_t perm)
{
	struct message message = back_miss_message(iova, size, perm);

	back_ask(b, &message);
}

/* Replies carry nothing by which they could be told apart but their order. */
void back_take_answer(struct back *b, const struct message *reply)
{
	if (b->n_answered == b->n_asked)
		return;
	b->asked[b->n_answered++ % BACK_ASKED].value = reply->header.size ==
	                                                               sizeof(reply->payload.u64)
	                                                       ? reply->payload.u64
	                                                       : UINT64_MAX;
}

bool back_answered(struct back *b, unsigned n, int ms)
{
	uint64_t end = clock_ns() + (uint64_t)ms * 1000000;

	while (b->n_answered < n) {
		uint64_t now = clock_ns();

		if (now >= end || !back_is_open(b) || b->back.fd < 0)
			return false;
		back_listen(b, trial_left(b->trial, (int)((end - now) / 1000000) + 1));
		if (!trial_left(b->trial, 1))
			return false;
	}
	return true;
}

uint64_t back_expect_answer(struct back *b)
{
	unsigned next = b->n_answered;

	if (!back_answered(b, next + 1, (int)b->patience_ms))
		trial_fail(b->trial, "a reply to %s on the back-channel: %s",
		           message_name(MESSAGE_BACK, b->asked[next % BACK_ASKED].request),
		           !back_is_open(b) ? "the front-end closed the connection"
		           : b->back.fd < 0 ? "the front-end closed the back-channel"
		                            : "none came");
	return b->asked[next % BACK_ASKED].value;
}

void back_expect_silence(struct back *b)
{
	uint64_t end = clock_ns() + BACK_QUIET * UINT64_C(1000000);
	struct message message;

	b->deaf = true;
	while (back_is_open(b) && clock_ns() < end)
		back_listen(b, 10);
	b->deaf = false;
	if (b->back.fd >= 0 && link_readable(&b->back, 0) && !link_recv(&b->back, &message, 0))
		trial_fail(b->trial, "nothing on the back-channel: a message of request %u came",
		           message.header.request);
}

uint64_t back_take_iotlb(struct back *b, const struct vhu_iotlb *iotlb)
{
	switch (iotlb->type) {
	case VHU_IOTLB_UPDATE:
		held_set(&b->held, iotlb->iova, iotlb->size, iotlb->uaddr, iotlb->perm);
		return 0;
	case VHU_IOTLB_INVALIDATE: held_drop(&b->held, iotlb->iova, iotlb->size); return 0;
	default: return 1;
	}
}

bool back_holds(const struct back *b, uint64_t iova, uint8_t perm)
{
	const struct held_range *range = held_find(&b->held, iova);

	return range && (range->perm & perm) == perm;
}

uint64_t back_ring_address(const struct back *b, uint8_t perm)
{
	for (unsigned i = 0; i < BACK_RINGS; i++)
		if (told_runs(&b->told, i)) {
			const struct vhu_vring_addr *addr = &b->told.rings[i].addr;

			return perm & PERM_WRITE ? addr->used : addr->avail;
		}
	return 0;
}

/* Waits until few enough have no reply; -EINTR as back_fetch(). */
static int wait_room(struct back *b, unsigned most, unsigned stops)
{
	uint64_t end = clock_ns() + b->patience_ms * UINT64_C(1000000);

	while (b->n_asked - b->n_answered > most) {
		if (b->stops != stops)
			return -EINTR;
		if (!back_is_open(b) || b->back.fd < 0)
			return -ENOTCONN;
		if (clock_ns() >= end || !trial_left(b->trial, 1))
			return -ETIMEDOUT;
		back_listen(b, 20);
	}
	return b->stops != stops ? -EINTR : 0;
}

/* One that wraps is asked for up to the end of the space. */
static int fetch_one(struct back *b, const struct back_span *span, unsigned stops)
{
	uint64_t at = span->addr, last = at + (span->len ? span->len - 1 : 0), end;
	int error;

	if (last < at)
		last = UINT64_MAX;
	do {
		struct message message = back_miss_message(at, 0, span->perm);

		error = wait_room(b, AT_ONCE, stops);
		if (!error && !ask(b, &message))
			error = -ENOTCONN;
		end = at | (BACK_PAGE - 1);
		at = end + 1;
	} while (!error && end < last);
	return error;
}

int back_fetch(struct back *b, const struct back_span *spans, unsigned n)
{
	unsigned stops = b->stops;
	int error = 0;

	if (!told_iommu(&b->told))
		return 0;
	for (unsigned i = 0; i < n && !error; i++)
		error = fetch_one(b, &spans[i], stops);
	return error ? error : wait_room(b, 0, stops);
}
