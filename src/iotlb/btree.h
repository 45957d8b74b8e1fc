/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ordered map from 64-bit keys to numbers: a B+ tree. It knows nothing of
 * what a number stands for. Nodes are few cache lines each, in an array that
 * never moves, so that a look into a great map meets few lines that are cold.
 *
 * Threads: one writer. btree_floor() and btree_next() may run beside it and then
 * end in bounded time with any answer at all: the caller finds out afterwards
 * whether there was a change (struct iotlb, @changes), and drops the answer.
 */
#ifndef IOTLB_BTREE_H
#define IOTLB_BTREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iotlb/arena.h"

#define BTREE_KEYS   20u
#define BTREE_LEVELS 16u

/*
 * A leaf has keys and their numbers; a node above has the nodes below it and the
 * least key of each (that of the first is not looked at). All are release, and
 * pair with the loads of btree_floor() and btree_next().
 */
struct btree_node {
	_Atomic uint64_t key[BTREE_KEYS];
	_Atomic uint32_t id[BTREE_KEYS];
	_Atomic uint32_t n;
	_Atomic uint32_t next; /* of leaves, 0: the last; of nodes not in use: the next such */
	uint64_t unused;
};

struct btree {
	struct btree_node *nodes; /* nodes[0] is never in use */
	_Atomic uint64_t root;    /* {levels: 32, node: 32}, levels 0: empty; release as above */
	uint32_t capacity;
	uint32_t touched; /* nodes above have not been in use since the last reset */
	uint32_t spare;   /* list of those that are not, at or below it */
	uint32_t n_nodes;
	uint64_t n; /* keys */
};

/* A place in a leaf; position -1: before its first key. */
struct btree_place {
	uint32_t node;
	int position;
};

/* From the leaf, at [0], to the root. */
struct btree_path {
	unsigned levels;
	struct btree_place at[BTREE_LEVELS];
};

/* Of the arena, for @keys keys. */
size_t btree_size(uint32_t keys);
void btree_init(struct btree *tree, struct arena *arena, uint32_t keys);

/* Of memory in use. */
static inline uint64_t btree_bytes(const struct btree *tree)
{
	return tree->touched * (uint64_t)sizeof(struct btree_node);
}

/* Of any thread: as many as there are nodes on the way to a key. */
static inline unsigned btree_levels(const struct btree *tree)
{
	return (unsigned)(atomic_load_explicit(&tree->root, memory_order_relaxed) >> 32);
}

/* Empty again; gives memory back. */
void btree_reset(struct btree *tree);

/*
 * The way to the last key at or below @key. False: there is none; the path then
 * leads to before the first key. It is good until the next change.
 */
bool btree_floor(const struct btree *tree, uint64_t key, struct btree_path *ret);

/* Key and number at a place for which btree_floor() or btree_next() said true. */
uint64_t btree_key(const struct btree *tree, struct btree_place place);
uint32_t btree_id(const struct btree *tree, struct btree_place place);

/* Goes on to the next key, from the place of any btree_floor(). False: there is none. */
bool btree_next(const struct btree *tree, struct btree_place *place);

/* @path is btree_floor() of @key, which is not in the map; there must be room. */
void btree_insert(struct btree *tree, const struct btree_path *path, uint64_t key, uint32_t id);

/* What the path leads to. */
void btree_remove(struct btree *tree, const struct btree_path *path);

/* @key lies above the one that the path leads to and below the next. */
void btree_rekey(struct btree *tree, const struct btree_path *path, uint64_t key);

/* Order, links, fill, counts. For tests and debug. */
bool btree_check(const struct btree *tree);

#endif
