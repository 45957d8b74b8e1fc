/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any message of the table, and others: its layout tells which fields are to be
 * chosen, its row how large it is and how many fds come with it. All of that
 * can be wrong, but has to be chosen to be; zeros are the plainest message.
 *
 * fuzz/record.py writes these bytes, too.
 */
#include "backend.h"

/* Flags of a message that is not as it should be. */
enum {
	NEED_REPLY = 1,
	WRONG_SIZE = 2,
	WRONG_FDS = 4,
	WRONG_FLAGS = 8,
	WRONG_PAYLOAD = 16,
	WRONG_REQUEST = 32,
};

/* Kinds of addresses, in the upper half of a byte; the lower one is a page. */
enum {
	ADDRESS_PLAIN,    /* iova or gpa */
	ADDRESS_USER,     /* uva */
	ADDRESS_RAW = 15, /* 8 bytes follow */
};

/* An offset of 16 bits follows where the byte's middle bit says so. */
static uint64_t next_address(struct input *input)
{
	unsigned what = input_u8(input);
	uint64_t address = (what % 16) * PAGE;

	if (what >> 4 == ADDRESS_RAW)
		return input_u64(input);
	if (what & 0x40)
		address += input_u16(input);
	if (what >> 4 & ADDRESS_USER)
		address += UVA;
	return address;
}

/* Pages, bytes, or anything. */
static uint64_t next_size(struct input *input)
{
	unsigned what = input_u8(input);

	if (what == 255)
		return input_u64(input);
	return what < 128 ? what * PAGE : what - 128;
}

static uint32_t next_number(struct input *input)
{
	unsigned what = input_u8(input);

	return what == 255 ? input_u32(input) : what;
}

static uint64_t next_bits(struct input *input)
{
	unsigned what = input_u8(input);

	return what == 255 ? input_u64(input) : what < 64 ? VHU_BIT(what) : what - 64u;
}

static struct vhu_memory_region next_region(struct input *input)
{
	struct vhu_memory_region region = { .gpa = next_address(input) };

	region.size = next_size(input);
	region.uva = next_address(input);
	region.mmap_offset = next_size(input);
	return region;
}

static void fill_addr(struct input *input, struct vhu_vring_addr *addr)
{
	addr->index = next_number(input);
	addr->desc = next_address(input);
	addr->avail = next_address(input);
	addr->used = next_address(input);
	addr->flags = next_number(input);
}

static void fill_iotlb(struct input *input, struct vhu_iotlb *iotlb)
{
	iotlb->type = input_u8(input);
	iotlb->perm = input_u8(input);
	iotlb->iova = next_address(input);
	iotlb->size = next_size(input);
	iotlb->uaddr = next_address(input);
}

static void fill_memory(struct input *input, struct vhu_memory *memory)
{
	memory->n = input_u8(input);
	for (uint32_t i = 0; i < memory->n && i < VHU_MEMORY_REGIONS_MAX; i++)
		memory->regions[i] = next_region(input);
}

static void fill(struct input *input, enum message_layout layout, union message_payload *payload)
{
	switch (layout) {
	case MESSAGE_LAYOUT_EMPTY: break;
	case MESSAGE_LAYOUT_FEATURES:
	case MESSAGE_LAYOUT_PROTOCOL_FEATURES:
		payload->u64 = next_bits(input) | next_bits(input);
		break;
	case MESSAGE_LAYOUT_U64:
	case MESSAGE_LAYOUT_ACK:
	case MESSAGE_LAYOUT_STATUS:
	case MESSAGE_LAYOUT_VRING_FD:
	case MESSAGE_LAYOUT_TRANSFER:
		payload->u64 = input_u8(input);
		if (payload->u64 >= 128)
			payload->u64 = next_bits(input);
		break;
	case MESSAGE_LAYOUT_VRING_STATE:
		payload->state.index = next_number(input);
		payload->state.num = next_number(input);
		break;
	case MESSAGE_LAYOUT_VRING_ADDR: fill_addr(input, &payload->addr); break;
	case MESSAGE_LAYOUT_MEMORY: fill_memory(input, &payload->memory); break;
	case MESSAGE_LAYOUT_MEMORY_SINGLE: payload->single.region = next_region(input); break;
	case MESSAGE_LAYOUT_IOTLB: fill_iotlb(input, &payload->iotlb); break;
	case MESSAGE_LAYOUT_CONFIG:
		payload->config.offset = next_number(input);
		payload->config.size = next_number(input);
		payload->config.flags = input_u8(input) & 3;
		break;
	default: input_bytes(input, payload, 40); break;
	}
}

static uint32_t due_size(const struct message_spec *spec, const union message_payload *payload)
{
	if (spec->layout == MESSAGE_LAYOUT_MEMORY)
		return 8 + 32 * (payload->memory.n % 9);
	if (spec->layout == MESSAGE_LAYOUT_CONFIG)
		return VHU_CONFIG_HEADER + payload->config.size % (VHU_CONFIG_MAX + 1);
	return spec->size_max;
}

static unsigned due_fds(const struct message_spec *spec, const union message_payload *payload)
{
	switch (spec->fds) {
	case MESSAGE_FDS_NONE: return 0;
	case MESSAGE_FDS_PER_REGION: return payload->memory.n % 9;
	case MESSAGE_FDS_VRING: return payload->u64 & VHU_VRING_NOFD ? 0 : 1;
	default: return 1;
	}
}

static void attach(struct play *play, struct message *message, unsigned n)
{
	for (unsigned i = 0; i < n && i < MESSAGE_FDS_MAX; i++) {
		/* The lower half: which of them; the upper one: of what kind. */
		unsigned what = input_u8(play->input);

		message->fds[message->n_fds++] = peer_fd(play, message->header.request, what % 16,
		                                         what / 16);
	}
}

void message_step(struct play *play)
{
	static const struct message_spec unknown = { .size_max = 8, .layout = MESSAGE_LAYOUT_U64 };
	struct input *input = play->input;
	const struct message_spec *spec;
	struct message message;
	unsigned how;

	message_init(&message, 1 + input_below(input, VHU_FE_END - 1));
	how = input_u8(input);
	if (how & WRONG_REQUEST)
		message.header.request = input_u32(input);
	spec = message_spec(MESSAGE_MAIN, message.header.request);
	if (!spec)
		spec = &unknown;
	if (how & WRONG_PAYLOAD)
		input_bytes(input, &message.payload, 64);
	else
		fill(input, spec->layout, &message.payload);
	message.header.size = how & WRONG_SIZE ? next_number(input)
	                                       : due_size(spec, &message.payload);
	message.header.flags = how & WRONG_FLAGS ? input_u32(input) : VHU_FLAG_VERSION;
	if (how & NEED_REPLY)
		message.header.flags |= VHU_FLAG_NEED_REPLY;
	attach(play, &message,
	       how & WRONG_FDS ? input_below(input, MESSAGE_FDS_MAX + 1)
	                       : due_fds(spec, &message.payload));
	/* Nobody knows where the next message begins behind one that lies about its size. */
	if (message.header.size > VHU_PAYLOAD_MAX)
		play->garbled = true;
	peer_say(play, &message);
}
