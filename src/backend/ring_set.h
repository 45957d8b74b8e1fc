/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of rings, for what concerns few of the many that a device may have: who
 * goes through it looks at no other.
 *
 * Thread: its owner's.
 */
#ifndef BACKEND_RING_SET_H
#define BACKEND_RING_SET_H

#include <stdint.h>

/* Ring indices on the wire have 8 bits. */
#define SESSION_RINGS_MAX 256u

/* Zero-initialised is empty. */
struct ring_set {
	uint64_t words[SESSION_RINGS_MAX / 64];
};

static inline void ring_set_add(struct ring_set *set, unsigned ring)
{
	set->words[ring / 64] |= UINT64_C(1) << ring % 64;
}

static inline void ring_set_remove(struct ring_set *set, unsigned ring)
{
	set->words[ring / 64] &= ~(UINT64_C(1) << ring % 64);
}

/* The first ring from @ring on that is in the set, or SESSION_RINGS_MAX. */
static inline unsigned ring_set_next(const struct ring_set *set, unsigned ring)
{
	for (unsigned word = ring / 64; word < SESSION_RINGS_MAX / 64; word++) {
		uint64_t left = set->words[word];

		if (word == ring / 64)
			left &= ~UINT64_C(0) << ring % 64;
		if (left)
			return word * 64 + (unsigned)__builtin_ctzll(left);
	}
	return SESSION_RINGS_MAX;
}

/* The ring at hand may be removed. */
#define ring_set_for_each(ring, set)                                     \
	for ((ring) = ring_set_next(set, 0); (ring) < SESSION_RINGS_MAX; \
	     (ring) = ring_set_next(set, (ring) + 1))

#endif
