/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ordered map from the first address of a range to what is known of the range:
 * a B+ tree, so that a walk among a million ranges meets few cache lines that it
 * has not met lately. That ranges are disjoint is the caller's care (pagetable.c).
 *
 * A place is valid until the next insertion or removal.
 *
 * Thread: one at a time.
 */
#ifndef IOMMU_BTREE_H
#define IOMMU_BTREE_H

#include <stdbool.h>
#include <stdint.h>

/* At least a quarter of this are in every node but the root and the latest leaf. */
#define BTREE_ORDER 32u

struct btree_value {
	uint64_t last;
	uint64_t uva;     /* of the first address; of what is hidden: the number of its unmap */
	uint64_t holders; /* a bit per device that was given a part */
	uint8_t perm;
	bool hidden;
	bool exposed; /* hidden, and its unmap has failed */
	bool joined;  /* goes on where the range before it ends: they were mapped together */
};

struct btree_node;

struct btree {
	struct btree_node *root; /* NULL: empty */
	unsigned height;         /* of the root; leaves are at 0 */
	uint64_t count;
	struct btree_node *spare; /* linked by next */
	unsigned n_spare;
};

struct btree_place {
	struct btree_node *node;
	unsigned at;
};

void btree_init(struct btree *tree);
void btree_done(struct btree *tree);

/* Afterwards @insertions do not fail. 0 or -ENOMEM. */
int btree_reserve(struct btree *tree, unsigned insertions);

/* @start is not in the tree; see btree_reserve(). */
void btree_insert(struct btree *tree, uint64_t start, const struct btree_value *value);
/* @start is in the tree. */
void btree_remove(struct btree *tree, uint64_t start);

/* The greatest start at or below @addr; false: there is none. */
bool btree_find_below(const struct btree *tree, uint64_t addr, struct btree_place *ret);
/* The least start at or above @addr. */
bool btree_find_above(const struct btree *tree, uint64_t addr, struct btree_place *ret);
/* To the neighbour; false, and unchanged: there is none. */
bool btree_next(struct btree_place *place);
bool btree_prev(struct btree_place *place);

uint64_t btree_start(const struct btree_place *place);
struct btree_value *btree_value(const struct btree_place *place);

/* Order, depth, fill and count. For tests. */
bool btree_check(const struct btree *tree);

#endif
