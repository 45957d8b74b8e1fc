/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message as one line of text, for logs, traces and reports. Believes nothing:
 * a payload too short for its layout is shown as bytes.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire/feature.h"
#include "wire/message.h"

#define BYTES_SHOWN 16u

/* What has been written; @used counts up to @size - 1 and never beyond. */
struct text {
	char *start;
	size_t size;
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
	size_t room = text->size - text->used;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->start + text->used, room, format, args);
	va_end(args);
	if (n > 0)
		text->used += (size_t)n < room ? (size_t)n : room - 1;
}

static void put_bytes(struct text *text, const unsigned char *bytes, size_t n)
{
	size_t shown = n < BYTES_SHOWN ? n : BYTES_SHOWN;

	for (size_t i = 0; i < shown; i++)
		put(text, " %02x", bytes[i]);
	if (n > shown)
		put(text, " and %zu more", n - shown);
}

/* " 0x9 [NAME NAME 7]": bits without a name by their number. */
static void put_bits(struct text *text, uint64_t bits, const char *(*name_of)(unsigned))
{
	const char *separator = " [";

	put(text, " 0x%" PRIx64, bits);
	for (unsigned bit = 0; bit < 64; bit++) {
		const char *name = name_of(bit);

		if (!(bits & VHU_BIT(bit)))
			continue;
		if (name)
			put(text, "%s%s", separator, name);
		else
			put(text, "%s%u", separator, bit);
		separator = " ";
	}
	if (bits)
		put(text, "]");
}

static void put_region(struct text *text, const struct vhu_memory_region *region)
{
	put(text, " gpa 0x%" PRIx64 " size 0x%" PRIx64 " uva 0x%" PRIx64 " offset 0x%" PRIx64,
	    region->gpa, region->size, region->uva, region->mmap_offset);
}

static void put_u64(struct text *text, const struct message *message)
{
	put(text, " %" PRIu64 " (0x%" PRIx64 ")", message->payload.u64, message->payload.u64);
}

static void put_ack(struct text *text, const struct message *message)
{
	if (message->payload.u64 == 0)
		put(text, " success");
	else
		put(text, " failure 0x%" PRIx64, message->payload.u64);
}

static void put_features(struct text *text, const struct message *message)
{
	put_bits(text, message->payload.u64, feature_name);
}

static void put_protocol_features(struct text *text, const struct message *message)
{
	put_bits(text, message->payload.u64, protocol_feature_name);
}

static void put_status(struct text *text, const struct message *message)
{
	put_bits(text, message->payload.u64, status_name);
}

static void put_vring_index(struct text *text, uint64_t value)
{
	uint64_t unknown = value & ~(VHU_VRING_INDEX_MASK | VHU_VRING_NOFD);

	put(text, " ring %u", (unsigned)(value & VHU_VRING_INDEX_MASK));
	if (value & VHU_VRING_NOFD)
		put(text, " nofd");
	if (unknown)
		put(text, " unknown bits 0x%" PRIx64, unknown);
}

static void put_vring_fd(struct text *text, const struct message *message)
{
	put_vring_index(text, message->payload.u64);
}

static void put_transfer(struct text *text, const struct message *message)
{
	put(text, " error %u%s", (unsigned)(message->payload.u64 & 0xff),
	    message->payload.u64 & VHU_VRING_NOFD ? " nofd" : "");
}

static void put_vring_state(struct text *text, const struct message *message)
{
	const struct vhu_vring_state *state = &message->payload.state;

	put(text, " ring %u num %u", state->index, state->num);
	if (state->num > 0xffff)
		put(text, " (0x%x)", state->num);
}

static void put_vring_addr(struct text *text, const struct message *message)
{
	const struct vhu_vring_addr *addr = &message->payload.addr;

	put(text,
	    " ring %u flags 0x%x desc 0x%" PRIx64 " used 0x%" PRIx64 " avail 0x%" PRIx64
	    " log 0x%" PRIx64,
	    addr->index, addr->flags, addr->desc, addr->used, addr->avail, addr->log);
}

/* As many regions as are announced, fit the protocol and were sent. */
static void put_memory(struct text *text, const struct message *message)
{
	const struct vhu_memory *memory = &message->payload.memory;
	size_t sent = (message->header.size - offsetof(struct vhu_memory, regions)) /
	              sizeof(struct vhu_memory_region);

	put(text, " %u regions", memory->n);
	for (uint32_t i = 0; i < memory->n && i < sent && i < VHU_MEMORY_REGIONS_MAX; i++) {
		put(text, ", %u:", i);
		put_region(text, &memory->regions[i]);
	}
}

static void put_memory_single(struct text *text, const struct message *message)
{
	put_region(text, &message->payload.single.region);
}

static void put_log(struct text *text, const struct message *message)
{
	put(text, " size 0x%" PRIx64 " offset 0x%" PRIx64, message->payload.log.mmap_size,
	    message->payload.log.mmap_offset);
}

static const char *perm_text(uint8_t perm)
{
	static const char *const texts[] = { "none", "r", "w", "rw" };

	return perm < 4 ? texts[perm] : "?";
}

/* Only the fields that the type has: the others are left unset by senders. */
static void put_iotlb(struct text *text, const struct message *message)
{
	static const char *const types[] = {
		[VHU_IOTLB_MISS] = "MISS",
		[VHU_IOTLB_UPDATE] = "UPDATE",
		[VHU_IOTLB_INVALIDATE] = "INVALIDATE",
		[VHU_IOTLB_ACCESS_FAIL] = "ACCESS_FAIL",
	};
	const struct vhu_iotlb *iotlb = &message->payload.iotlb;
	bool known = iotlb->type >= VHU_IOTLB_MISS && iotlb->type <= VHU_IOTLB_ACCESS_FAIL;

	if (known)
		put(text, " %s", types[iotlb->type]);
	else
		put(text, " type %u", iotlb->type);
	put(text, " iova 0x%" PRIx64 " size 0x%" PRIx64, iotlb->iova, iotlb->size);
	if (!known || iotlb->type == VHU_IOTLB_UPDATE)
		put(text, " uaddr 0x%" PRIx64, iotlb->uaddr);
	if (iotlb->type != VHU_IOTLB_INVALIDATE)
		put(text, " perm %s", perm_text(iotlb->perm));
	if (iotlb->type != VHU_IOTLB_INVALIDATE && iotlb->perm > 3)
		put(text, " (0x%x)", iotlb->perm);
}

static void put_config(struct text *text, const struct message *message)
{
	const struct vhu_config *config = &message->payload.config;
	size_t n = message->header.size - VHU_CONFIG_HEADER;

	put(text, " offset %u size %u", config->offset, config->size);
	if (config->flags)
		put(text, " flags 0x%x", config->flags);
	if (n) {
		put(text, " bytes");
		put_bytes(text, config->bytes, n < VHU_CONFIG_MAX ? n : VHU_CONFIG_MAX);
	}
}

static void put_vring_area(struct text *text, const struct message *message)
{
	const struct vhu_vring_area *area = &message->payload.area;

	put_vring_index(text, area->index);
	put(text, " size 0x%" PRIx64 " offset 0x%" PRIx64, area->size, area->offset);
}

static void put_inflight(struct text *text, const struct message *message)
{
	const struct vhu_inflight *inflight = &message->payload.inflight;

	put(text, " size 0x%" PRIx64 " offset 0x%" PRIx64 " queues %u of %u", inflight->mmap_size,
	    inflight->mmap_offset, inflight->num_queues, inflight->queue_size);
}

static void put_shared(struct text *text, const struct message *message)
{
	const uint8_t *uuid = message->payload.shared.uuid;

	put(text, " uuid ");
	for (unsigned i = 0; i < sizeof(message->payload.shared.uuid); i++)
		put(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static void put_device_state(struct text *text, const struct message *message)
{
	const struct vhu_device_state *state = &message->payload.device_state;

	if (state->direction < 2)
		put(text, " %s", state->direction ? "load" : "save");
	else
		put(text, " direction %u", state->direction);
	put(text, " phase %u", state->phase);
}

static void put_mmap(struct text *text, const struct message *message)
{
	const struct vhu_mmap *map = &message->payload.mmap;

	put(text,
	    " shmid %u fd offset 0x%" PRIx64 " shm offset 0x%" PRIx64 " len 0x%" PRIx64
	    " flags 0x%" PRIx64,
	    map->shmid, map->fd_offset, map->shm_offset, map->len, map->flags);
}

static void put_shmem(struct text *text, const struct message *message)
{
	const struct vhu_shmem *shmem = &message->payload.shmem;

	put(text, " %u regions", shmem->n);
	for (unsigned i = 0; i < VHU_SHMEM_MAX; i++)
		if (shmem->sizes[i])
			put(text, ", %u: 0x%" PRIx64, i, shmem->sizes[i]);
}

/* @size: the least a payload has for @put to read it. */
static const struct layout {
	size_t size;
	void (*put)(struct text *text, const struct message *message);
} layouts[MESSAGE_LAYOUT_END] = {
	[MESSAGE_LAYOUT_U64] = { 8, put_u64 },
	[MESSAGE_LAYOUT_ACK] = { 8, put_ack },
	[MESSAGE_LAYOUT_FEATURES] = { 8, put_features },
	[MESSAGE_LAYOUT_PROTOCOL_FEATURES] = { 8, put_protocol_features },
	[MESSAGE_LAYOUT_STATUS] = { 8, put_status },
	[MESSAGE_LAYOUT_VRING_FD] = { 8, put_vring_fd },
	[MESSAGE_LAYOUT_TRANSFER] = { 8, put_transfer },
	[MESSAGE_LAYOUT_VRING_STATE] = { 8, put_vring_state },
	[MESSAGE_LAYOUT_VRING_ADDR] = { 40, put_vring_addr },
	[MESSAGE_LAYOUT_MEMORY] = { 8, put_memory },
	[MESSAGE_LAYOUT_MEMORY_SINGLE] = { 40, put_memory_single },
	[MESSAGE_LAYOUT_LOG] = { 16, put_log },
	[MESSAGE_LAYOUT_IOTLB] = { VHU_IOTLB_SIZE_MIN, put_iotlb },
	[MESSAGE_LAYOUT_CONFIG] = { VHU_CONFIG_HEADER, put_config },
	[MESSAGE_LAYOUT_VRING_AREA] = { 24, put_vring_area },
	[MESSAGE_LAYOUT_INFLIGHT] = { 24, put_inflight },
	[MESSAGE_LAYOUT_SHARED] = { 16, put_shared },
	[MESSAGE_LAYOUT_DEVICE_STATE] = { 8, put_device_state },
	[MESSAGE_LAYOUT_MMAP] = { 40, put_mmap },
	[MESSAGE_LAYOUT_SHMEM] = { sizeof(struct vhu_shmem), put_shmem },
};

static void put_header(struct text *text, const struct message *message,
                       const struct message_spec *spec, bool is_reply)
{
	uint32_t flags = message->header.flags;

	if (spec)
		put(text, "%s", spec->name);
	else
		put(text, "unknown request %u", message->header.request);
	if (is_reply)
		put(text, " reply");
	if (flags & VHU_FLAG_NEED_REPLY)
		put(text, " need-reply");
	if ((flags & VHU_FLAG_VERSION_MASK) != VHU_FLAG_VERSION || flags & ~VHU_FLAG_MASK ||
	    !(flags & VHU_FLAG_REPLY) == is_reply)
		put(text, " flags 0x%x", flags);
}

static void put_payload(struct text *text, const struct message *message, enum message_layout which)
{
	const struct layout *layout = &layouts[which];
	uint32_t size = message->header.size;

	if (layout->put && size >= layout->size && size <= VHU_PAYLOAD_MAX) {
		layout->put(text, message);
		return;
	}
	put(text, " %u bytes", size);
	put_bytes(text, message->payload.bytes, size < VHU_PAYLOAD_MAX ? size : VHU_PAYLOAD_MAX);
}

void message_describe(const struct message *message, enum message_channel channel, bool is_reply,
                      char *text, size_t size)
{
	const struct message_spec *spec = message_spec(channel, message->header.request);
	enum message_layout layout = MESSAGE_LAYOUT_BYTES;
	struct text out = { text, size, 0 };

	if (size == 0)
		return;
	text[0] = '\0';
	if (spec)
		layout = is_reply ? spec->reply_layout : spec->layout;
	put_header(&out, message, spec, is_reply);
	if (message->header.size)
		put_payload(&out, message, layout);
	if (message->n_fds)
		put(&out, ", %u fd%s", message->n_fds, message->n_fds == 1 ? "" : "s");
}
