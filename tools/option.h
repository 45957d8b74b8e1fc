/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values of options that argp has found. Each function ends the process with a line
 * that names option, value and what could be given instead, if the value is none.
 */
#ifndef TOOLS_OPTION_H
#define TOOLS_OPTION_H

#include <argp.h>
#include <stdint.h>

/* A number of digits. */
unsigned option_number(struct argp_state *state, const char *option, const char *text,
                       unsigned least, unsigned most);
/* The same, which may end with K, M, G or T. */
uint64_t option_size(struct argp_state *state, const char *option, const char *text, uint64_t least,
                     uint64_t most);
/* Seconds, with or without a fraction: above 0, and a day at the most. */
double option_seconds(struct argp_state *state, const char *option, const char *text);
/* The index of one of @words, which end with NULL. */
int option_word(struct argp_state *state, const char *option, const char *text,
                const char *const *words);

/* By enum vhu_iommu_policy. */
extern const char *const option_policies[];

/* A size in few characters: 64K, 1536, 4M. It lasts until the call after the next. */
const char *option_size_text(uint64_t size);

#endif
