/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and sizes in command lines. */
#ifndef TOOLS_NUMBER_H
#define TOOLS_NUMBER_H

#include <stdint.h>

/* Decimal digits and nothing else, from @least to @most. 0, or -EINVAL. */
int number_parse(const char *text, uint64_t least, uint64_t most, uint64_t *ret);

/* The same, with K, M, G or T for powers of 1024. */
int number_parse_size(const char *text, uint64_t least, uint64_t most, uint64_t *ret);

/* Seconds, which may have a fraction: more than 0, at most @most. 0, or -EINVAL. */
int number_parse_seconds(const char *text, double most, double *ret);

#endif
