/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a split virtqueue by hand: every field can be written as
 * no driver may. Chains that are meant well are made by ring_add(). Knows no
 * message: front_ring.c hands rings over.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_RING_H
#define CONFORM_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "vring/layout.h"

/* What the device is to read or write: an address as it understands it. */
struct seg {
	uint64_t addr;
	uint32_t len;
	bool writable; /* by the device */
};

struct ring {
	unsigned index;
	uint16_t num;
	bool event_idx;
	uint64_t desc_addr, avail_addr, used_addr; /* gpa, or iova with an IOMMU */
	struct ring_desc *desc;
	uint16_t *avail; /* flags, index, heads, used_event */
	uint16_t *used;  /* flags, index, elements, avail_event */
	/* One table of RING_TABLE entries per descriptor; NULL: none. */
	struct ring_desc *tables;
	uint64_t tables_addr;
	int kick, call, err; /* eventfds; -1: none */

	uint16_t next_desc; /* where ring_add() takes descriptors, round and round */
	uint16_t seen;      /* used elements taken by ring_take() */
};

#define RING_TABLE 8u

/* Offsets of the parts in one piece of memory, and its size: pages of their own. */
struct ring_shape {
	uint64_t avail, used, tables, size;
};

struct ring_shape ring_shape(uint16_t num, bool indirect);

/* Descriptor @i, as it is. */
void ring_desc(struct ring *ring, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
               uint16_t next);

/*
 * A chain of segments, in descriptors that were not used for the longest time; its
 * head. With @indirect in a table. Shows nothing.
 */
uint16_t ring_add(struct ring *ring, const struct seg *segs, unsigned n, bool indirect);

/* Makes a head available; the device sees it. */
void ring_show(struct ring *ring, uint16_t head);
/* Only the index, to any value. */
void ring_jump(struct ring *ring, uint16_t index);
uint16_t ring_avail_index(const struct ring *ring);

uint16_t ring_used_index(const struct ring *ring);
/* Whether the device has used more than ring_take() took; takes the oldest of it. */
bool ring_take(struct ring *ring, struct ring_used_elem *ret);

/* The driver's wishes: no calls at all; with event_idx, a call when index is passed. */
void ring_no_calls(struct ring *ring, bool none);
void ring_used_event(struct ring *ring, uint16_t index);
/* Whether the device wants a kick for what was shown since index @old. */
bool ring_wants_kick(const struct ring *ring, uint16_t old);

#endif
