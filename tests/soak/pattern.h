/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that follow from a key and a position, so that whoever finds them knows whose they are. */
#ifndef SOAK_PATTERN_H
#define SOAK_PATTERN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PATTERN_CHUNK 256u

/* The bytes from @at on, up to the end of the chunk that holds it; their number. */
static inline unsigned pattern_chunk(uint64_t key, uint64_t at, uint8_t *ret)
{
	uint64_t words[PATTERN_CHUNK / 8], first = at / PATTERN_CHUNK * (PATTERN_CHUNK / 8);
	unsigned skip = (unsigned)(at % PATTERN_CHUNK);

	for (unsigned i = 0; i < PATTERN_CHUNK / 8; i++) {
		uint64_t z = (key ^ (first + i)) * UINT64_C(0x9e3779b97f4a7c15);

		words[i] = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	}
	memcpy(ret, (uint8_t *)words + skip, PATTERN_CHUNK - skip);
	return PATTERN_CHUNK - skip;
}

static inline void pattern_fill(uint64_t key, uint64_t at, void *to, uint64_t len)
{
	uint8_t chunk[PATTERN_CHUNK], *bytes = to;

	while (len) {
		uint64_t n = pattern_chunk(key, at, chunk);

		n = n < len ? n : len;
		memcpy(bytes, chunk, n);
		bytes += n;
		at += n;
		len -= n;
	}
}

static inline bool pattern_is(uint64_t key, uint64_t at, const void *there, uint64_t len)
{
	const uint8_t *bytes = there;
	uint8_t chunk[PATTERN_CHUNK];

	while (len) {
		uint64_t n = pattern_chunk(key, at, chunk);

		n = n < len ? n : len;
		if (memcmp(bytes, chunk, n) != 0)
			return false;
		bytes += n;
		at += n;
		len -= n;
	}
	return true;
}

#endif
