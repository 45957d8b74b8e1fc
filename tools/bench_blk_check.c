/* SPDX-License-Identifier: BSD-3-Clause */
/* What the disk should hold: a pattern of place, seed and how often it was written. */
#include <errno.h>
#include <stdlib.h>

#include "bench_blk.h"

#define CLAIMED UINT32_C(0x80000000)

struct bench_check {
	uint64_t blocks, seed;
	uint32_t bytes;
	uint32_t generations[]; /* and CLAIMED */
};

int bench_check_new(uint64_t blocks, uint32_t bytes, uint64_t seed, struct bench_check **ret)
{
	struct bench_check *check = calloc(1, sizeof(*check) + blocks * sizeof(uint32_t));

	if (!check)
		return -ENOMEM;
	check->blocks = blocks;
	check->bytes = bytes;
	check->seed = seed;
	*ret = check;
	return 0;
}

void bench_check_free(struct bench_check *check)
{
	free(check);
}

uint64_t bench_check_claim(struct bench_check *check, uint64_t block)
{
	while (check->generations[block] & CLAIMED)
		block = block + 1 < check->blocks ? block + 1 : 0;
	check->generations[block] |= CLAIMED;
	return block;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 32;
}

/* The words of a block are mix(first), mix(first + 1) and so on. */
static uint64_t first_word(const struct bench_check *check, const struct blk_slot *slot)
{
	uint64_t x = mix(check->seed + UINT64_C(0x9e3779b97f4a7c15));

	x = mix(x ^ (slot->block + 1) * UINT64_C(0x94d049bb133111eb));
	return x + (uint64_t)slot->generation * UINT64_C(0x9e3779b97f4a7c15);
}

void bench_check_fill(struct bench_check *check, struct blk_slot *slot)
{
	uint64_t *words = slot->data, first;

	slot->generation = (check->generations[slot->block] & ~CLAIMED) + 1;
	first = first_word(check, slot);
	for (uint32_t i = 0; i < check->bytes / sizeof(*words); i++)
		words[i] = mix(first + i);
}

static uint64_t differing_bytes(const struct bench_check *check, const struct blk_slot *slot)
{
	const uint64_t *words = slot->data, first = first_word(check, slot);
	uint64_t n = 0;

	for (uint32_t i = 0; i < check->bytes / sizeof(*words); i++) {
		uint64_t difference = words[i] ^ mix(first + i);

		for (; difference; difference >>= 8)
			n += (difference & 0xff) != 0;
	}
	return n;
}

uint64_t bench_check_done(struct bench_check *check, struct blk_slot *slot)
{
	uint32_t *generation = &check->generations[slot->block];

	*generation &= ~CLAIMED;
	if (slot->writes) {
		*generation = slot->generation;
		return 0;
	}
	slot->generation = *generation;
	return differing_bytes(check, slot);
}
