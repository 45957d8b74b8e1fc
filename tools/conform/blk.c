/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk.h"

#include <string.h>

struct blk_request blk_request(struct front *f)
{
	struct blk_request request = { .header = front_alloc(f, 16), .status = front_alloc(f, 1) };

	return request;
}

static const char *type_name(uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN: return "read";
	case VIRTIO_BLK_T_OUT: return "write";
	case VIRTIO_BLK_T_FLUSH: return "flush";
	case VIRTIO_BLK_T_GET_ID: return "get id";
	default: return "request";
	}
}

void blk_submit(struct front *f, unsigned index, struct blk_request *request, uint32_t type,
                uint64_t sector, const struct span *spans, unsigned n)
{
	const struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	struct seg segs[BLK_SEGS + 2];

	if (n > BLK_SEGS)
		trial_error(f->trial, "the case has too many segments");
	memcpy(request->header.ptr, &header, sizeof(header));
	*request->status.ptr = (char)BLK_UNTOLD;
	segs[0] = (struct seg){ request->header.addr, sizeof(header), false };
	for (unsigned i = 0; i < n; i++)
		segs[1 + i] = (struct seg){ spans[i].addr, spans[i].len, type != VIRTIO_BLK_T_OUT };
	segs[1 + n] = (struct seg){ request->status.addr, 1, true };
	NOTE(f, "disk: %s, sector %llu", type_name(type), (unsigned long long)sector);
	request->head = front_submit(f, index, segs, n + 2);
}

uint8_t blk_expect_status(struct front *f, unsigned index, const struct blk_request *request)
{
	struct ring_used_elem elem = expect_used(f, index);

	EXPECT_EQUAL(f, elem.id, request->head, "head of the used chain");
	NOTE(f, "disk: status %u", (unsigned char)*request->status.ptr);
	return (uint8_t)*request->status.ptr;
}

uint8_t blk_do(struct front *f, uint32_t type, uint64_t sector, const struct span *spans,
               unsigned n)
{
	struct blk_request request = blk_request(f);

	blk_submit(f, 0, &request, type, sector, spans, n);
	return blk_expect_status(f, 0, &request);
}

uint64_t blk_capacity(struct front *f)
{
	struct message message = msg_config(VHU_FE_GET_CONFIG, 0, 8, 0), reply;
	uint64_t capacity = 0;

	if (!(f->protocol & VHU_BIT(VHU_PROTOCOL_F_CONFIG)))
		return 0;
	front_send(f, &message);
	reply = expect_reply(f, VHU_FE_GET_CONFIG);
	memcpy(&capacity, reply.payload.config.bytes, sizeof(capacity));
	return capacity;
}
