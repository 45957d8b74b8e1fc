/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/btree_node.h"

#include <assert.h>

static_assert(sizeof(struct btree_node) == 256, "a node is four cache lines");
static_assert(BTREE_KEYS == 4 * NODE_BLOCK, "node_rank() looks at four blocks");

void node_set_key(struct btree_node *node, unsigned i, uint64_t key)
{
	atomic_store_explicit(&node->key[i], key, memory_order_release);
}

static void node_set(struct btree_node *node, unsigned i, uint64_t key, uint32_t id)
{
	node_set_key(node, i, key);
	atomic_store_explicit(&node->id[i], id, memory_order_release);
}

static void node_copy(struct btree_node *to, unsigned i, const struct btree_node *from, unsigned j)
{
	node_set(to, i, node_key(from, j), node_id(from, j));
}

/* Keys beyond the count are the highest: see node_rank(). */
static void node_set_count(struct btree_node *node, unsigned n)
{
	for (unsigned i = n; i < node_count(node); i++)
		node_set_key(node, i, UINT64_MAX);
	atomic_store_explicit(&node->n, n, memory_order_release);
}

void node_init(struct btree_node *node)
{
	for (unsigned i = 0; i < BTREE_KEYS; i++)
		node_set_key(node, i, UINT64_MAX);
	atomic_store_explicit(&node->n, 0, memory_order_release);
}

void node_insert(struct btree_node *node, unsigned at, uint64_t key, uint32_t id)
{
	unsigned n = node_count(node);

	assert(at <= n && n < BTREE_KEYS);
	for (unsigned i = n; i > at; i--)
		node_copy(node, i, node, i - 1);
	node_set(node, at, key, id);
	node_set_count(node, n + 1);
}

void node_remove(struct btree_node *node, unsigned at)
{
	unsigned n = node_count(node);

	assert(at < n);
	for (unsigned i = at; i + 1 < n; i++)
		node_copy(node, i, node, i + 1);
	node_set_count(node, n - 1);
}

void node_shift_up(struct btree_node *left, struct btree_node *right, unsigned n)
{
	unsigned from = node_count(left) - n, count = node_count(right);

	assert(count + n <= BTREE_KEYS);
	for (unsigned i = count; i > 0; i--)
		node_copy(right, i - 1 + n, right, i - 1);
	for (unsigned i = 0; i < n; i++)
		node_copy(right, i, left, from + i);
	node_set_count(right, count + n);
	node_set_count(left, from);
}

void node_shift_down(struct btree_node *left, struct btree_node *right, unsigned n)
{
	unsigned count = node_count(left), rest = node_count(right) - n;

	assert(count + n <= BTREE_KEYS);
	for (unsigned i = 0; i < n; i++)
		node_copy(left, count + i, right, i);
	for (unsigned i = 0; i < rest; i++)
		node_copy(right, i, right, i + n);
	node_set_count(left, count + n);
	node_set_count(right, rest);
}
