/* SPDX-License-Identifier: BSD-3-Clause */
/* Data that no two places have in common: words of a sequence that a key begins. Pure. */
#ifndef TOOLS_PATTERN_H
#define TOOLS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* @bytes is a multiple of 8. Word i of key k is word 0 of key k + i. */
void pattern_fill(void *data, size_t bytes, uint64_t key);

/* How many bytes are not as pattern_fill() makes them. */
uint64_t pattern_differs(const void *data, size_t bytes, uint64_t key);

/* For keys of what is alike: spreads bits. */
static inline uint64_t pattern_mix(uint64_t x)
{
	x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 32;
}

#endif
