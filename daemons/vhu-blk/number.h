/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers as people write them. */
#ifndef VHU_BLK_NUMBER_H
#define VHU_BLK_NUMBER_H

#include <stdint.h>

/* Decimal digits and nothing else. 0, -EINVAL, -ERANGE. */
int number_parse(const char *text, uint64_t *ret);

/* The same with one of K, M, G, T (1024 to the power of 1 to 4) behind, perhaps
 * with an iB after it; either case. 0, -EINVAL, -ERANGE. */
int number_parse_size(const char *text, uint64_t *ret);

#endif
