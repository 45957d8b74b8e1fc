/* SPDX-License-Identifier: BSD-3-Clause */
/* What a page of memory or of the disk is full of: words that follow from a seed. Any thread. */
#ifndef TRAP_PATTERN_H
#define TRAP_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE          4096u
#define PATTERN_WORDS (PAGE / sizeof(uint64_t))
#define PATTERN_STEP  UINT64_C(0x9e3779b97f4a7c15)

/* Neighbouring values come out far from each other. */
static inline uint64_t pattern_mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static inline void pattern_fill(void *page, uint64_t seed)
{
	uint64_t *words = page;

	for (unsigned i = 0; i < PATTERN_WORDS; i++)
		words[i] = seed + i * PATTERN_STEP;
}

static inline bool pattern_is(const void *page, uint64_t seed)
{
	const uint64_t *words = page;
	uint64_t different = 0;

	for (unsigned i = 0; i < PATTERN_WORDS; i++)
		different |= words[i] ^ (seed + i * PATTERN_STEP);
	return !different;
}

/* Where the first difference is. */
static inline unsigned pattern_differs(const void *page, uint64_t seed)
{
	const uint64_t *words = page;
	unsigned i = 0;

	while (i < PATTERN_WORDS && words[i] == seed + i * PATTERN_STEP)
		i++;
	return i * (unsigned)sizeof(words[0]);
}

/* A generator of its own for each run: the same seed, the same choices. */
static inline uint64_t pattern_random(uint64_t *state)
{
	*state += PATTERN_STEP;
	return pattern_mix(*state);
}

#endif
