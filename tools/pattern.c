/* SPDX-License-Identifier: BSD-3-Clause */
#include "pattern.h"

static uint64_t word_of(uint64_t key)
{
	return pattern_mix((key + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

void pattern_fill(void *data, size_t bytes, uint64_t key)
{
	uint64_t *words = data;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		words[i] = word_of(key + i);
}

uint64_t pattern_differs(const void *data, size_t bytes, uint64_t key)
{
	const uint64_t *words = data;
	uint64_t n = 0;

	for (size_t i = 0; i < bytes / sizeof(*words); i++) {
		uint64_t difference = words[i] ^ word_of(key + i);

		for (; difference; difference >>= 8)
			n += (difference & 0xff) != 0;
	}
	return n;
}
