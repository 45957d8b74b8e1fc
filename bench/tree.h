/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A baseline: an IOTLB as an interval tree, in the manner of an operating
 * system's: a red-black tree of ranges by their start, each node knowing the
 * highest end below it; an allocation for each entry, and a list of all.
 *
 * Thread: one.
 */
#ifndef BENCH_TREE_H
#define BENCH_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/range.h"

struct tree_node {
	struct tree_node *parent;
	struct tree_node *child[2]; /* below, above */
	struct list all;
	struct range range;
	uint64_t last_below; /* highest end in the part of the tree under here */
	uint64_t uaddr;
	uint64_t size;
	uint32_t perm;
	bool red;
};

struct tree {
	struct tree_node *root;
	struct list all;
	uint64_t n;
};

void tree_init(struct tree *tree);
void tree_done(struct tree *tree);

/* Adds an entry beside what there is. False: no memory. */
bool tree_update(struct tree *tree, struct range range, uint64_t uaddr, uint8_t perm);

/* Removes whatever entries meet @range, as wholes. */
void tree_invalidate(struct tree *tree, struct range range);

/* Memory at @iova; 0: none. */
uint64_t tree_find(const struct tree *tree, uint64_t iova, uint8_t perm);

/* Order, colours, links, ends and count. */
bool tree_check(const struct tree *tree);

#endif
