/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address space that is reserved once, at the size of the bound, and backed by
 * memory only where it has been touched. It stays mapped until the end, so that
 * a reader may follow a number it has read at any time, however old: what it
 * finds there may be of use no more, but it is always there.
 *
 * Thread: the IOTLB's writer.
 */
#ifndef IOTLB_ARENA_H
#define IOTLB_ARENA_H

#include <stddef.h>

struct arena {
	char *base;
	size_t size;
	size_t taken;
};

/* How much of the arena @size bytes take: whole pages. */
size_t arena_round(size_t size);

/* All bytes are 0. @size is a sum of arena_round(). 0 or -ENOMEM. */
int arena_init(struct arena *arena, size_t size);
void arena_done(struct arena *arena);

/* The next @size bytes, from the start of a page on; there must be as many. */
void *arena_take(struct arena *arena, size_t size);

/*
 * Gives back the memory of whole pages in [@first, @end). Their bytes are then 0
 * or, where the system won't have them, as they were: nothing may rest on either.
 */
void arena_drop(void *first, void *end);

#endif
