/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A descriptor chain, copied once from memory the driver may change at any time
 * (rule V1): from here on only the copy is looked at. Holds addresses, never
 * pointers.
 *
 * Thread: the ring's worker.
 */
#ifndef VRING_CHAIN_H
#define VRING_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"
#include "memory/translate.h"
#include "vring/area.h"

struct segment {
	uint64_t addr;
	uint32_t len;
	uint8_t perm; /* PERM_READ: device-readable, PERM_WRITE: device-writable */
};

/*
 * Readable segments come first, then writable ones (2.7.4.2). The array grows by
 * itself up to the ring's size plus one table of at most that size, and is kept
 * for the next use. Zero-initialised is empty.
 */
struct chain {
	uint16_t head;
	uint16_t n; /* segments, n_out of them readable */
	uint16_t n_out;
	uint16_t cap;
	uint64_t out_len; /* bytes in readable segments */
	uint64_t in_len;  /* bytes in writable segments */
	struct segment *segments;

	/* An indirect table yet to be read: len 0 if there is none. */
	struct segment table;
	uint16_t limit; /* the ring's size: no chain and no table is longer */

	/* of chain_load_table(), not mapped outside of it */
	struct vring_area scratch;
};

/* The most descriptors in a ring that chains are taken from. */
#define CHAIN_LIMIT_MAX 1024u

/* What a descriptor with DESC_INDIRECT is where chain_follow() meets it. */
enum chain_indirect {
	CHAIN_INDIRECT_OFF,    /* not negotiated */
	CHAIN_INDIRECT_ON,     /* the end of the chain, which goes on in a table */
	CHAIN_INDIRECT_NESTED, /* in such a table, where it may not be */
};

/* Empties the chain for a new @head of a ring of @limit, at most CHAIN_LIMIT_MAX, descriptors. */
void chain_start(struct chain *chain, uint16_t head, uint16_t limit);
void chain_done(struct chain *chain);

/*
 * Appends a copied descriptor with all checks: zero length is legal, a readable
 * one after a writable one is not, nor one that wraps around the end of the
 * address space. Returns 0, -ENOMEM, or -EPROTO with *ret_fault set to a
 * constant that says why.
 */
int chain_add(struct chain *chain, uint64_t addr, uint32_t len, bool writable,
              const char **ret_fault);

/*
 * Appends the descriptors of @table, which has @size of them, from @at on, until
 * the last or until one that is indirect, which becomes chain->table. Each is
 * copied once; at most @size are looked at, so that a loop ends. Returns as
 * chain_add().
 */
int chain_follow(struct chain *chain, const struct vring_area *table, uint16_t size, uint16_t at,
                 enum chain_indirect indirect, const char **ret_fault);

/*
 * Reads the indirect table through the view. 0: the chain is complete; -EAGAIN:
 * the table has holes, nothing was read; -EFAULT: final holes; -EPROTO: the
 * table is malformed, *ret_fault says why, to be given to vring_break();
 * -ENOMEM, -E2BIG. After an error the chain is as before and may be tried again.
 */
int chain_load_table(struct chain *chain, struct translate_view *view, struct hole_list *holes,
                     const char **ret_fault);

/* Number of distinct (4 KiB page, permission) pairs the segments touch. */
uint64_t chain_pages(const struct chain *chain);

/* Whether a segment, or the table yet to be read, meets the range. */
bool chain_overlaps(const struct chain *chain, struct range range);

#endif
