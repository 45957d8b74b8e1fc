/* SPDX-License-Identifier: BSD-3-Clause */
/* What the driver does to its rings: mostly right, so that much happens, and wrong at will. */
#include "backend.h"
#include "vring/layout.h"

/* An address in a descriptor: memory, by the iova that stands for its gpa, or anything. */
static uint64_t next_address(struct input *input)
{
	unsigned what = input_u8(input);

	if (what == 255)
		return input_u64(input);
	return (what % 16) * PAGE + (what & 16 ? input_u16(input) % PAGE : 0);
}

static uint32_t next_length(struct input *input)
{
	unsigned what = input_u8(input);

	if (what == 255)
		return input_u32(input);
	return what < 128 ? what : (what - 128) * 128u;
}

static void put_desc(uint64_t gpa, struct ring_desc desc)
{
	peer_write(gpa, &desc, sizeof(desc));
}

/* Of the table, or of an indirect one somewhere in memory. */
void ring_write_desc(struct play *play)
{
	struct input *input = play->input;
	unsigned where = input_u8(input);
	uint64_t table = where & 1 ? play->ring_gpa[where / 2 % QUEUES]
	                           : (2 + where / 2 % 6) * PAGE + (where & 128 ? PAGE - 24 : 0);
	unsigned flags = input_u8(input);
	struct ring_desc desc = {
		.addr = next_address(input),
		.len = next_length(input),
		.flags = (uint16_t)(flags & 7),
		.next = (uint16_t)(flags >> 3),
	};

	put_desc(table + 16u * (where / 16 % RING_NUM), desc);
}

static uint16_t avail_index(const struct play *play, unsigned q)
{
	uint16_t index;

	memcpy(&index, peer_memory(play->ring_gpa[q] + RING_AVAIL + RING_INDEX_OFFSET),
	       sizeof(index));
	return index;
}

static void set_avail_index(const struct play *play, unsigned q, uint16_t index)
{
	peer_write(play->ring_gpa[q] + RING_AVAIL + RING_INDEX_OFFSET, &index, sizeof(index));
}

static void show(const struct play *play, unsigned q, uint16_t head)
{
	uint16_t index = avail_index(play, q);

	peer_write(play->ring_gpa[q] + RING_AVAIL + avail_entry_offset(RING_NUM, index), &head,
	           sizeof(head));
	set_avail_index(play, q, (uint16_t)(index + 1));
}

void ring_show(struct play *play)
{
	unsigned what = input_u8(play->input), q = what & 1;

	show(play, q, (uint16_t)(what / 2 % 16));
	if (what & 128)
		peer_kick(q);
}

void ring_jump(struct play *play)
{
	unsigned what = input_u8(play->input), q = what & 1;

	set_avail_index(play, q,
	                what & 2 ? input_u16(play->input)
	                         : (uint16_t)(avail_index(play, q) + what / 4 - 16));
	peer_kick(q);
}

void ring_poke(struct play *play)
{
	uint64_t gpa = input_u16(play->input) % MEMORY;
	uint64_t bytes = input_u64(play->input);

	peer_write(gpa, &bytes, sizeof(bytes));
}

/* A request of two buffers and its status, by the descriptors of its index, and a kick. */
void ring_request(struct play *play)
{
	struct input *input = play->input;
	unsigned what = input_u8(input), q = what & 1, pages = input_u8(input);
	uint16_t head = (uint16_t)(what / 2 % 4 * 2);
	uint64_t out = (2 + pages % 6) * PAGE, in = (2 + pages / 8 % 6) * PAGE;
	uint64_t table = play->ring_gpa[q];
	bool indirect = what & 8;
	uint16_t at = indirect ? 0 : head;

	if (indirect) {
		table = (2 + pages / 64) * PAGE + 0xc00;
		put_desc(play->ring_gpa[q] + 16u * head,
		         (struct ring_desc){ table, 32, DESC_INDIRECT, 0 });
	}
	put_desc(table + 16u * at, (struct ring_desc){ out + (what & 16 ? PAGE - 100 : 0), 512,
	                                               DESC_NEXT, (uint16_t)(at + 1) });
	put_desc(table + 16u * (at + 1u),
	         (struct ring_desc){ in + (what & 32 ? PAGE - 100 : 0), what & 64 ? 2 * PAGE : 600,
	                             DESC_WRITE, 0 });
	show(play, q, head);
	peer_kick(q);
}
