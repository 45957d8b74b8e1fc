/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be done with one node of a B+ tree, or with two neighbours, whatever
 * level they are on. Only btree.c and btree_check.c see this.
 *
 * Thread: the writer; node_count() and node_rank() any.
 */
#ifndef IOTLB_BTREE_NODE_H
#define IOTLB_BTREE_NODE_H

#include "iotlb/btree.h"

static inline uint64_t node_key(const struct btree_node *node, unsigned i)
{
	return atomic_load_explicit(&node->key[i], memory_order_acquire);
}

static inline uint32_t node_id(const struct btree_node *node, unsigned i)
{
	return atomic_load_explicit(&node->id[i], memory_order_acquire);
}

/* Never more than fit, whatever is being done to the node. */
static inline unsigned node_count(const struct btree_node *node)
{
	unsigned n = atomic_load_explicit(&node->n, memory_order_acquire);

	return n < BTREE_KEYS ? n : BTREE_KEYS;
}

#define NODE_BLOCK 5u

/* All of a node at once: without this its lines would be waited for one by one. */
static inline void node_prefetch(const struct btree_node *node)
{
	for (unsigned line = 0; line < sizeof(*node); line += 64)
		__builtin_prefetch((const char *)node + line);
}

/*
 * How many keys are at or below @key: which of four blocks, and how many there.
 * Keys that are not used are the highest there is, so that nothing about the
 * number of steps has to be guessed.
 */
static inline unsigned node_rank(const struct btree_node *node, uint64_t key)
{
	unsigned at = NODE_BLOCK * ((node_key(node, NODE_BLOCK - 1) <= key) +
	                            (node_key(node, 2 * NODE_BLOCK - 1) <= key) +
	                            (node_key(node, 3 * NODE_BLOCK - 1) <= key));
	unsigned rank = at + (node_key(node, at) <= key) + (node_key(node, at + 1) <= key) +
	                (node_key(node, at + 2) <= key) + (node_key(node, at + 3) <= key) +
	                (node_key(node, at + 4) <= key);

	return key < UINT64_MAX || rank < node_count(node) ? rank : node_count(node);
}

/* Empties it. */
void node_init(struct btree_node *node);

void node_set_key(struct btree_node *node, unsigned i, uint64_t key);

/* There must be room. */
void node_insert(struct btree_node *node, unsigned at, uint64_t key, uint32_t id);
void node_remove(struct btree_node *node, unsigned at);

/* Moves the last @n of @left to before the first of @right, and the other way round. */
void node_shift_up(struct btree_node *left, struct btree_node *right, unsigned n);
void node_shift_down(struct btree_node *left, struct btree_node *right, unsigned n);

#endif
