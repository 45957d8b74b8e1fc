/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The translations a front-end has granted and not taken back: ranges of iova, in
 * order, of which the newest wins where they overlap, and which are one where they
 * go on as they began. Knows no memory and no message.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_HELD_H
#define CONFORM_HELD_H

#include <stdbool.h>
#include <stdint.h>

#define HELD_MAX 65536u

struct held_range {
	uint64_t first, last; /* iova, inclusive */
	uint64_t uva;         /* of @first */
	uint8_t perm;
};

struct held {
	struct held_range *ranges; /* by @first, never overlapping */
	unsigned n;
	bool full; /* since it was last clear there was no room for some: not all is known */
};

/* 0 or -ENOMEM; held_done() in any case. */
int held_init(struct held *held);
void held_done(struct held *held);

/* Ranges that wrap or have no byte are ignored. */
void held_set(struct held *held, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm);
/* Size 0 at iova 0: all. */
void held_drop(struct held *held, uint64_t iova, uint64_t size);
void held_clear(struct held *held);

/* What @iova lies in; NULL: it is not held. */
const struct held_range *held_find(const struct held *held, uint64_t iova);
/* The lowest range that ends at @iova or behind it; NULL: there is none. */
const struct held_range *held_next(const struct held *held, uint64_t iova);
/* The uva of an iova inside of @range. */
uint64_t held_uva(const struct held_range *range, uint64_t iova);

#endif
