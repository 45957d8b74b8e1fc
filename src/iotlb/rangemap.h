/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ordered set of disjoint ranges: a balanced (AVL) tree whose nodes live in
 * what they describe. It knows nothing of what a range stands for, and it never
 * allocates.
 *
 * Threads: none of its own; readers and one writer as the owner says.
 */
#ifndef IOTLB_RANGEMAP_H
#define IOTLB_RANGEMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"

struct rangemap_node {
	struct range range;
	struct rangemap_node *parent;
	struct rangemap_node *child[2]; /* below, above */
	int height;                     /* 1: a leaf */
};

/* Zero-initialised is empty. */
struct rangemap {
	struct rangemap_node *root;
	uint64_t n;
};

/* The last node that starts at or below @addr, or NULL. */
struct rangemap_node *rangemap_floor(const struct rangemap *map, uint64_t addr);

/* The first node that holds @addr or lies above it, or NULL. */
struct rangemap_node *rangemap_from(const struct rangemap *map, uint64_t addr);

struct rangemap_node *rangemap_next(const struct rangemap_node *node);
struct rangemap_node *rangemap_prev(const struct rangemap_node *node);

/*
 * node->range is set and meets no node's. While a node is in the map its range
 * may change in place as long as order and disjointness hold.
 */
void rangemap_insert(struct rangemap *map, struct rangemap_node *node);
void rangemap_remove(struct rangemap *map, struct rangemap_node *node);

/* Order, disjointness, balance, links, count. For tests and debug. */
bool rangemap_check(const struct rangemap *map);

#endif
