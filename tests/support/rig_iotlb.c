/* SPDX-License-Identifier: BSD-3-Clause */
/* Translations: what the rig tells the back-end, asked and unasked. */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "support/rig.h"

#define PAGE UINT64_C(4096)

void rig_map(struct rig *rig, uint64_t iova, uint64_t size, uint64_t gpa, uint8_t perm)
{
	assert_true(rig->n_maps < RIG_MAPS_MAX);
	rig->maps[rig->n_maps++] = (struct rig_map){ iova, size, gpa, perm };
}

static struct range map_range(const struct rig_map *map)
{
	return (struct range){ map->iova, map->iova + (map->size - 1) };
}

void rig_unmap(struct rig *rig, uint64_t iova, uint64_t size)
{
	const struct range range = { iova, iova + (size - 1) };

	for (unsigned i = 0; i < rig->n_maps;) {
		if (range_overlaps(map_range(&rig->maps[i]), range))
			rig->maps[i] = rig->maps[--rig->n_maps];
		else
			i++;
	}
}

static void init(struct message *message, uint64_t iova, uint64_t size, uint8_t type)
{
	message_init(message, VHU_FE_IOTLB_MSG);
	message->header.flags |= VHU_FLAG_NEED_REPLY;
	message->header.size = sizeof(message->payload.iotlb);
	message->payload.iotlb.iova = iova;
	message->payload.iotlb.size = size;
	message->payload.iotlb.type = type;
	/* What real front-ends leave there is not to be looked at (rule U4). */
	memset(message->payload.iotlb.padding, 0xa5, sizeof(message->payload.iotlb.padding));
}

void rig_send_update(struct rig *rig, uint64_t iova, uint64_t size, uint64_t gpa, uint8_t perm)
{
	struct message message;

	init(&message, iova, size, VHU_IOTLB_UPDATE);
	message.payload.iotlb.uaddr = rig_user_address(rig, gpa);
	message.payload.iotlb.perm = perm;
	rig_send(rig, &message);
}

void rig_send_invalidate(struct rig *rig, uint64_t iova, uint64_t size)
{
	struct message message;

	init(&message, iova, size, VHU_IOTLB_INVALIDATE);
	message.payload.iotlb.uaddr = UINT64_C(0xa5a5a5a5a5a5a5a5);
	message.payload.iotlb.perm = 0xa5;
	rig_send(rig, &message);
}

uint64_t rig_update(struct rig *rig, uint64_t iova, uint64_t size, uint64_t gpa, uint8_t perm)
{
	rig_send_update(rig, iova, size, gpa, perm);
	return rig_expect_u64(rig, VHU_FE_IOTLB_MSG);
}

uint64_t rig_invalidate(struct rig *rig, uint64_t iova, uint64_t size)
{
	rig_send_invalidate(rig, iova, size);
	return rig_expect_u64(rig, VHU_FE_IOTLB_MSG);
}

bool rig_try_miss(struct rig *rig, struct rig_miss *ret, int timeout_ms)
{
	struct message message;
	int error = peer_recv(rig->back, &message, timeout_ms);

	if (error == -ETIMEDOUT)
		return false;
	if (error)
		fail_msg("back-channel: %s", strerror(-error));
	assert_int_equal(message.n_fds, 0);
	assert_int_equal(message.header.request, VHU_BE_IOTLB_MSG);
	assert_int_equal(message.header.flags & VHU_FLAG_REPLY, 0);
	assert_int_equal(message.header.size, sizeof(struct vhu_iotlb));
	assert_int_equal(message.payload.iotlb.type, VHU_IOTLB_MISS);
	assert_in_range(message.payload.iotlb.perm, PERM_READ, PERM_RW);
	rig->misses++;
	*ret = (struct rig_miss){ message.payload.iotlb.iova, message.payload.iotlb.size,
		                  message.payload.iotlb.perm, message.header };
	return true;
}

struct rig_miss rig_next_miss(struct rig *rig)
{
	struct rig_miss miss;

	if (!rig_try_miss(rig, &miss, PEER_PATIENCE))
		fail_msg("no miss came");
	return miss;
}

void rig_expect_no_miss(struct rig *rig)
{
	struct rig_miss miss;

	if (rig_try_miss(rig, &miss, PEER_QUIET))
		fail_msg("a miss of %#llx, perm %u", (unsigned long long)miss.iova, miss.perm);
}

void rig_answer(struct rig *rig, const struct rig_miss *miss, uint64_t value)
{
	const struct message request = { .header = miss->header };

	if (miss->header.flags & VHU_FLAG_NEED_REPLY)
		assert_int_equal(peer_reply_u64(rig->back, &request, value), 0);
}

void rig_refuse(struct rig *rig, const struct rig_miss *miss)
{
	rig_answer(rig, miss, 1);
}

static const struct rig_map *find_map(const struct rig *rig, uint64_t iova, uint8_t perm)
{
	for (unsigned i = 0; i < rig->n_maps; i++)
		if (range_has(map_range(&rig->maps[i]), iova) && (rig->maps[i].perm & perm) == perm)
			return &rig->maps[i];
	return NULL;
}

bool rig_grant(struct rig *rig, const struct rig_miss *miss)
{
	const struct rig_map *map = find_map(rig, miss->iova, miss->perm);
	struct range page = { miss->iova & ~(PAGE - 1), miss->iova | (PAGE - 1) }, whole;

	if (!map)
		return false;
	whole = map_range(map);
	if (page.start < whole.start)
		page.start = whole.start;
	if (page.last > whole.last)
		page.last = whole.last;
	assert_int_equal(rig_update(rig, page.start, range_size(page),
	                            map->gpa + (page.start - map->iova), map->perm),
	                 0);
	rig_answer(rig, miss, 0);
	return true;
}

void rig_serve_misses(struct rig *rig, int quiet_ms)
{
	struct rig_miss miss;

	while (rig_try_miss(rig, &miss, quiet_ms))
		if (!rig_grant(rig, &miss))
			rig_refuse(rig, &miss);
}
