/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least a request can cost on this machine: a copy of 4 KiB from anywhere in
 * memory; and what two processors have to tell each other by a ring, without a
 * check, an address or a choice in between.
 *
 * Thread: the bench's; rings have one of their own on the next processor.
 */
#ifndef BENCH_BLK_FLOOR_H
#define BENCH_BLK_FLOOR_H

#include "pairs.h"

struct floor;

/* 0 or -ENOMEM. */
int floor_new(struct floor **ret);
void floor_free(struct floor *floor);

/* Of a floor, @n times; rings are a contender that is timed. */
uint64_t floor_copy(void *opaque, uint64_t n);
uint64_t floor_rings(void *opaque, uint64_t n);

#endif
