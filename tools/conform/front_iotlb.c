/* SPDX-License-Identifier: BSD-3-Clause */
/* Translations: what the rig tells the back-end, asked and unasked. */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "front.h"

static struct range range_of(uint64_t start, uint64_t size)
{
	return (struct range){ start, start + (size - 1) };
}

void front_map(struct front *f, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm)
{
	if (f->n_maps == FRONT_MAPS)
		trial_error(f->trial, "the case maps too much");
	f->maps[f->n_maps++] = (struct front_map){ iova, size, uva, perm };
}

void front_unmap(struct front *f, uint64_t iova, uint64_t size)
{
	struct range range = range_of(iova, size);

	for (unsigned i = 0; i < f->n_maps;) {
		if (range_overlaps(range_of(f->maps[i].iova, f->maps[i].size), range))
			f->maps[i] = f->maps[--f->n_maps];
		else
			i++;
	}
}

/* Where no acknowledgement can be asked for there may be one nevertheless, and in front. */
static uint64_t call_unasked(struct front *f, const struct message *message)
{
	struct message reply = { 0 };
	uint64_t value = 0;

	front_send(f, message);
	front_send(f, &(struct message){ .header = { VHU_FE_GET_FEATURES, VHU_FLAG_VERSION, 0 } });
	if (link_recv(&f->main, &reply, (int)f->trial->patience_ms))
		trial_fail(f->trial, "a reply to GET_FEATURES behind an IOTLB message");
	message_close_fds(&reply);
	if (reply.header.request == VHU_FE_IOTLB_MSG) {
		value = reply.payload.u64;
		expect_reply_u64(f, VHU_FE_GET_FEATURES);
	}
	return value;
}

/* By the specification it is always acknowledged; QEMU asks for it all the same. */
static uint64_t call(struct front *f, struct message message)
{
	if (!(f->protocol & VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)))
		return call_unasked(f, &message);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	front_send(f, &message);
	return expect_reply_u64(f, VHU_FE_IOTLB_MSG);
}

uint64_t front_update(struct front *f, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm)
{
	return call(f, msg_update(iova, size, uva, perm));
}

uint64_t front_invalidate(struct front *f, uint64_t iova, uint64_t size)
{
	return call(f, msg_invalidate(iova, size));
}

void expect_update(struct front *f, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm)
{
	EXPECT(f, front_update(f, iova, size, uva, perm) == 0,
	       "the UPDATE of 0x%llx to be accepted: it is refused", (unsigned long long)iova);
}

void expect_invalidate(struct front *f, uint64_t iova, uint64_t size)
{
	EXPECT(f, front_invalidate(f, iova, size) == 0,
	       "the INVALIDATE of 0x%llx to be accepted: it is refused", (unsigned long long)iova);
}

void front_push(struct front *f, const struct span *span)
{
	struct range range = range_of(span->addr, span->len);

	for (unsigned i = 0; i < f->n_maps; i++) {
		struct front_map map = f->maps[i];

		if (range_overlaps(range_of(map.iova, map.size), range))
			expect_update(f, map.iova, map.size, map.uva, map.perm);
	}
}

static void check_miss(struct front *f, const struct message *message)
{
	const struct vhu_iotlb *body = &message->payload.iotlb;

	if (message->header.flags & VHU_FLAG_REPLY)
		trial_fail(f->trial, "a request on the back-channel: it has the reply flag");
	if ((message->header.flags & VHU_FLAG_VERSION_MASK) != VHU_FLAG_VERSION)
		trial_fail(f->trial, "version 1 on the back-channel");
	if (message->header.request != VHU_BE_IOTLB_MSG)
		trial_fail(f->trial, "an IOTLB message on the back-channel: it is %s",
		           message_name(MESSAGE_BACK, message->header.request));
	if (message->header.size < VHU_IOTLB_SIZE_MIN || message->header.size > sizeof(*body))
		trial_fail(f->trial, "an IOTLB message of %u to %zu bytes: it has %u",
		           VHU_IOTLB_SIZE_MIN, sizeof(*body), message->header.size);
	if (body->type != VHU_IOTLB_MISS)
		trial_fail(f->trial, "an IOTLB message of type MISS: its type is %u", body->type);
	if (body->perm < PERM_R || body->perm > PERM_RW)
		trial_fail(f->trial, "a permission from 1 to 3 in a miss: it is %u", body->perm);
}

bool front_next_miss(struct front *f, struct front_miss *ret, int ms)
{
	struct message message;
	int error;

	if (f->back.fd < 0)
		return false;
	error = link_recv(&f->back, &message, ms);
	if (error == -ENOTCONN)
		link_close(&f->back);
	if (error == -ETIMEDOUT || error == -ENOTCONN)
		return false;
	if (error)
		trial_fail(f->trial, "a message on the back-channel: %s", strerror(-error));
	message_close_fds(&message);
	check_miss(f, &message);
	*ret = (struct front_miss){ message.payload.iotlb.iova, message.payload.iotlb.size,
		                    message.payload.iotlb.perm, message.header };
	if (f->n_misses < FRONT_MISSES)
		f->misses[f->n_misses] = *ret;
	f->n_misses++;
	return true;
}

struct front_miss expect_miss(struct front *f)
{
	struct front_miss miss;

	if (!front_next_miss(f, &miss, (int)f->trial->patience_ms))
		trial_fail(f->trial, f->back.fd < 0 ? "a miss: the back-channel is closed"
		                                    : "a miss: none came");
	return miss;
}

void expect_no_miss(struct front *f)
{
	struct front_miss miss;

	if (front_next_miss(f, &miss, FRONT_QUIET))
		trial_fail(f->trial, "no miss: there is one of 0x%llx",
		           (unsigned long long)miss.iova);
}

void front_answer(struct front *f, const struct front_miss *miss, uint64_t value)
{
	struct message request = { .header = miss->header };

	if (miss->header.flags & VHU_FLAG_NEED_REPLY)
		link_reply_u64(&f->back, &request, value);
}

void front_refuse(struct front *f, const struct front_miss *miss)
{
	front_answer(f, miss, 1);
}

static const struct front_map *find(const struct front *f, const struct front_miss *miss)
{
	for (unsigned i = 0; i < f->n_maps; i++)
		if (range_has(range_of(f->maps[i].iova, f->maps[i].size), miss->iova) &&
		    (f->maps[i].perm & miss->perm) == miss->perm)
			return &f->maps[i];
	return NULL;
}

bool front_grant(struct front *f, const struct front_miss *miss)
{
	const struct front_map *map = find(f, miss);
	struct range whole, page = { miss->iova & ~(RAM_PAGE - 1), miss->iova | (RAM_PAGE - 1) };

	if (!map)
		return false;
	whole = range_of(map->iova, map->size);
	if (page.start < whole.start || f->grant_whole)
		page.start = whole.start;
	if (page.last > whole.last || f->grant_whole)
		page.last = whole.last;
	expect_update(f, page.start, range_size(page), map->uva + (page.start - map->iova),
	              map->perm);
	front_answer(f, miss, 0);
	return true;
}

static void serve_one(struct front *f, const struct front_miss *miss)
{
	if (f->on_miss && f->on_miss(f, miss) == ANSWER_DONE)
		return;
	if (!front_grant(f, miss))
		front_refuse(f, miss);
}

void front_serve(struct front *f, int quiet_ms)
{
	struct front_miss miss;

	while (!f->jammed && f->back.fd >= 0 && front_next_miss(f, &miss, quiet_ms)) {
		serve_one(f, &miss);
		if (!trial_left(f->trial, 1))
			trial_fail(f->trial, "misses to end: there are %u so far", f->n_misses);
	}
}

unsigned front_misses_of(const struct front *f, uint64_t iova, uint64_t size)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_misses && i < FRONT_MISSES; i++)
		n += range_has(range_of(iova, size), f->misses[i].iova);
	return n;
}
