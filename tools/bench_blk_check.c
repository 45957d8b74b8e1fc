/* SPDX-License-Identifier: BSD-3-Clause */
/* What the disk should hold: a pattern of place, seed and how often it was written. */
#include <errno.h>
#include <stdlib.h>

#include "bench_blk.h"
#include "pattern.h"

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

static uint64_t key_of(const struct bench_check *check, const struct blk_slot *slot)
{
	uint64_t x = pattern_mix(check->seed + UINT64_C(0x9e3779b97f4a7c15));

	x = pattern_mix(x ^ (slot->block + 1) * UINT64_C(0x94d049bb133111eb));
	return pattern_mix(x + slot->generation);
}

void bench_check_fill(struct bench_check *check, struct blk_slot *slot)
{
	slot->generation = (check->generations[slot->block] & ~CLAIMED) + 1;
	pattern_fill(slot->data, check->bytes, key_of(check, slot));
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
	return pattern_differs(slot->data, check->bytes, key_of(check, slot));
}
