/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a software IOMMU knows: disjoint ranges of I/O virtual addresses, to the
 * byte, each standing for contiguous user addresses. Not here: who is told of
 * what, and when (iommu.c).
 *
 * A mapping is *live* until it is hidden; hidden ones answer no walk but keep
 * their place, so that nothing is mapped there while a device may still reach
 * the memory.
 *
 * Thread: one at a time.
 */
#ifndef IOMMU_PAGETABLE_H
#define IOMMU_PAGETABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"

struct mapping {
	struct range iova;
	uint64_t uva; /* of iova.start */
	uint8_t perm;
	bool given; /* a device was told of a part of it */
	bool hidden;
};

struct pagetable_node;

struct pagetable {
	struct pagetable_node *root;
	struct pagetable_node *spare; /* freed nodes, linked by right */
	uint64_t count, max;          /* mappings */
	uint64_t random;              /* state of the generator of priorities */
};

void pagetable_init(struct pagetable *table, uint64_t max);
void pagetable_done(struct pagetable *table);

/* -EEXIST: a part of the range is taken, live or hidden; -ENOSPC: max; -ENOMEM. */
int pagetable_map(struct pagetable *table, struct range iova, uint64_t uva, uint8_t perm);

/* The live mapping that holds @iova; false: there is none. */
bool pagetable_walk(const struct pagetable *table, uint64_t iova, struct mapping *ret);

/* The same, and remembers that a device was told of it. */
bool pagetable_walk_given(struct pagetable *table, uint64_t iova, struct mapping *ret);

/*
 * Hides all of @iova, exactly, cutting mappings at its ends. *ret_given is the
 * smallest range that holds every given byte of it; *ret_any_given whether there
 * is one. Ranges hidden before count again. 0; -ENOSPC, -ENOMEM: nothing changed.
 */
int pagetable_hide(struct pagetable *table, struct range iova, struct range *ret_given,
                   bool *ret_any_given);

/* Removes what is hidden in @iova, but for what is @keep_given and was given. */
void pagetable_remove_hidden(struct pagetable *table, struct range iova, bool keep_given);

uint64_t pagetable_hidden_bytes(const struct pagetable *table);

/* Invariants: sorted, disjoint, counted, heap order. For tests. */
bool pagetable_check(const struct pagetable *table);

#endif
