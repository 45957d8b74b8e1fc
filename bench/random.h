/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A model to measure against: a map of pages that holds so many at the most and
 * throws any of them out for a new one.
 *
 * Thread: one.
 */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/translate.h"

/* Pages below this. */
#define RANDOM_PAGES (UINT64_C(1) << 20)

struct random_map;

/* @bound: at least 1. @seed: not 0. NULL: no memory. */
struct random_map *random_map_new(uint64_t bound, uint64_t seed);
void random_map_free(struct random_map *map);

/* The page is not there. */
void random_map_update(struct random_map *map, uint64_t page);
void random_map_invalidate(struct random_map *map, uint64_t page, uint64_t n);

/* See translate_walk_fn. */
bool random_map_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret);

#endif
