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
#ifndef IOMMU_RANGETREE_H
#define IOMMU_RANGETREE_H

#include <stdbool.h>
#include <stdint.h>

#include "iommu/nodepool.h"

/* Of leaves and of inner nodes. At least a quarter are in all but the root and the latest leaf. */
#define RANGETREE_ORDER       25u
#define RANGETREE_INNER_ORDER 63u

struct rangetree_value {
	uint64_t last;
	uint64_t uva;     /* of the first address; of what is hidden: the number of its unmap */
	uint64_t holders; /* a bit per device that was given a part */
	uint8_t perm;
	bool hidden;
	bool exposed; /* hidden, and its unmap has failed */
	bool joined;  /* goes on where the range before it ends: they were mapped together */
};

struct rangetree_node;

/* A child and its bound, which are looked at together. */
struct rangetree_branch {
	uint64_t key;
	struct rangetree_node *child;
};

/* For those below, and for rangetree.c. */
struct rangetree_node {
	unsigned n;
	struct rangetree_node *next; /* of leaves, as prev */
	union {
		struct {
			struct rangetree_node *prev;
			uint64_t keys[RANGETREE_ORDER];
			struct rangetree_value values[RANGETREE_ORDER];
		};
		struct rangetree_branch branches[RANGETREE_INNER_ORDER];
	};
};

struct rangetree {
	struct rangetree_node *root; /* NULL: empty */
	unsigned height;             /* of the root; leaves are at 0 */
	uint64_t count;
	struct nodepool leaves, inner;
};

struct rangetree_place {
	struct rangetree_node *node;
	unsigned at;
};

void rangetree_init(struct rangetree *tree);
void rangetree_done(struct rangetree *tree);

/* Afterwards @insertions do not fail. 0 or -ENOMEM. */
int rangetree_reserve(struct rangetree *tree, unsigned insertions);

/* @start is not in the tree; see rangetree_reserve(). */
void rangetree_insert(struct rangetree *tree, uint64_t start, const struct rangetree_value *value);
/* The same where it is known what is next @below. */
void rangetree_insert_behind(struct rangetree *tree, const struct rangetree_place *below,
                             uint64_t start, const struct rangetree_value *value);
/* @start is in the tree. */
void rangetree_remove(struct rangetree *tree, uint64_t start);
/* What is at @place. Whether that is the next one's now; else the next one is to be found. */
bool rangetree_remove_at(struct rangetree *tree, struct rangetree_place *place);

/* The greatest start at or below @addr; false: there is none. */
bool rangetree_find_below(const struct rangetree *tree, uint64_t addr, struct rangetree_place *ret);
/* The least start at or above @addr. */
bool rangetree_find_above(const struct rangetree *tree, uint64_t addr, struct rangetree_place *ret);
/* To the neighbour; false, and unchanged: there is none. */
bool rangetree_next(struct rangetree_place *place);
bool rangetree_prev(struct rangetree_place *place);

static inline uint64_t rangetree_start(const struct rangetree_place *place)
{
	return place->node->keys[place->at];
}

static inline struct rangetree_value *rangetree_value(const struct rangetree_place *place)
{
	return &place->node->values[place->at];
}

/* Order, depth, fill and count. For tests. */
bool rangetree_check(const struct rangetree *tree);

#endif
