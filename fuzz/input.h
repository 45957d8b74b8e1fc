/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a fuzz target as a tape that is read once: numbers for whatever
 * has to be chosen, and zero for ever behind the end. A short tape is a short
 * program, so that what matters in it is easily found.
 *
 * What a target demands it demands by cmocka's assertions, as tests do, so that
 * both share their oracles; fuzz_init() makes a failed one abort.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct input {
	const uint8_t *at;
	size_t left;
};

static inline bool input_is_over(const struct input *input)
{
	return input->left == 0;
}

/* Up to @size bytes to @to; the rest becomes 0. */
static inline void input_bytes(struct input *input, void *to, size_t size)
{
	size_t n = size < input->left ? size : input->left;

	memset((char *)to + n, 0, size - n);
	if (n)
		memcpy(to, input->at, n);
	input->at += n;
	input->left -= n;
}

static inline uint8_t input_u8(struct input *input)
{
	uint8_t value;

	input_bytes(input, &value, sizeof(value));
	return value;
}

static inline uint16_t input_u16(struct input *input)
{
	uint16_t value;

	input_bytes(input, &value, sizeof(value));
	return value;
}

static inline uint32_t input_u32(struct input *input)
{
	uint32_t value;

	input_bytes(input, &value, sizeof(value));
	return value;
}

static inline uint64_t input_u64(struct input *input)
{
	uint64_t value;

	input_bytes(input, &value, sizeof(value));
	return value;
}

/* 0 to @sides - 1, of which there are at most 256. */
static inline unsigned input_below(struct input *input, unsigned sides)
{
	return input_u8(input) % sides;
}

static inline void fuzz_init(void)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
