/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_net_frame.h"

#include <string.h>

/* What comes behind the header of a frame; its words are the pattern's unit. */
struct start {
	unsigned char net_header[NET_HEADER];
	unsigned char to[6], from[6];
	unsigned char type[2];
	unsigned char mark[6];
	uint64_t number;
};

_Static_assert(sizeof(struct start) == 40, "the pattern begins at a multiple of 8");

static const unsigned char mac_a[6] = { 0x02, 0, 0, 0, 0, 0xa };
static const unsigned char mac_b[6] = { 0x02, 0, 0, 0, 0, 0xb };
/* For local experiments (IEEE 802). */
static const unsigned char type[2] = { 0x88, 0xb5 };
static const unsigned char mark[6] = { 'v', 'h', 'u', 'n', 'e', 't' };

/* Of the word at @offset; no two frames have one alike. */
static uint64_t pattern(uint64_t number, uint64_t offset)
{
	return (number + 1) * UINT64_C(0x9e3779b97f4a7c15) + offset * UINT64_C(0xc2b2ae3d27d4eb4f);
}

static void fill_words(unsigned char *ptr, uint32_t len, uint64_t number, uint64_t offset)
{
	uint32_t i = 0;
	uint64_t word;

	for (; i + sizeof(word) <= len; i += sizeof(word)) {
		word = pattern(number, offset + i);
		memcpy(ptr + i, &word, sizeof(word));
	}
	word = pattern(number, offset + i);
	memcpy(ptr + i, &word, len - i);
}

static uint32_t differing_bytes(uint64_t difference)
{
	uint32_t n = 0;

	for (; difference; difference >>= 8)
		n += (difference & 0xff) != 0;
	return n;
}

static uint32_t differing_words(const unsigned char *ptr, uint32_t len, uint64_t number,
                                uint64_t offset)
{
	uint32_t i = 0, n = 0;
	uint64_t word, last;

	for (; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, ptr + i, sizeof(word));
		if (word != pattern(number, offset + i))
			n += differing_bytes(word ^ pattern(number, offset + i));
	}
	last = pattern(number, offset + i);
	word = last;
	memcpy(&word, ptr + i, len - i);
	return n + differing_bytes(word ^ last);
}

void net_frame_fill(const struct net_part *parts, unsigned n, uint64_t number, bool whole)
{
	struct start *start = (struct start *)(void *)parts[0].ptr;
	uint64_t offset = sizeof(*start);

	memset(start->net_header, 0, sizeof(start->net_header));
	memcpy(start->to, mac_a, sizeof(start->to));
	memcpy(start->from, mac_b, sizeof(start->from));
	memcpy(start->type, type, sizeof(start->type));
	memcpy(start->mark, mark, sizeof(start->mark));
	start->number = number;
	if (!whole)
		return;
	fill_words(parts[0].ptr + offset, parts[0].len - (uint32_t)offset, number, offset);
	offset = parts[0].len;
	for (unsigned i = 1; i < n; i++) {
		fill_words(parts[i].ptr, parts[i].len, number, offset);
		offset += parts[i].len;
	}
}

bool net_frame_is_ours(const struct net_part *parts, unsigned n, uint64_t *ret_number)
{
	struct start start;

	if (!n || parts[0].len < sizeof(start))
		return false;
	memcpy(&start, parts[0].ptr, sizeof(start));
	*ret_number = start.number;
	return !memcmp(start.type, type, sizeof(type)) && !memcmp(start.mark, mark, sizeof(mark));
}

static uint32_t differing_macs(const struct start *start)
{
	const unsigned char *to = mac_a, *from = mac_b;
	uint32_t n = 0;

	if (!memcmp(start->to, mac_b, sizeof(start->to))) {
		to = mac_b;
		from = mac_a;
	}
	for (unsigned i = 0; i < sizeof(start->to); i++)
		n += (start->to[i] != to[i]) + (start->from[i] != from[i]);
	return n;
}

uint32_t net_frame_differing(const struct net_part *parts, unsigned n, uint64_t number)
{
	uint64_t offset = sizeof(struct start);
	struct start start;
	uint32_t differing;

	memcpy(&start, parts[0].ptr, sizeof(start));
	differing = differing_macs(&start) + differing_words(parts[0].ptr + offset,
	                                                     parts[0].len - (uint32_t)offset,
	                                                     number, offset);
	offset = parts[0].len;
	for (unsigned i = 1; i < n; i++) {
		differing += differing_words(parts[i].ptr, parts[i].len, number, offset);
		offset += parts[i].len;
	}
	return differing;
}
