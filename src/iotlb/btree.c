/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/btree.h"

#include <assert.h>

#include "iotlb/btree_node.h"

/*
 * With fewer a node that lost a key is joined to a neighbour, or filled from it.
 * Nodes above the leaves have never fewer, the root at least two, so that
 * BTREE_LEVELS is enough for 2^32 leaves.
 */
#define KEYS_LEAST (BTREE_KEYS / 4)

/* Nodes that a reset leaves their memory. */
#define KEEP 256u

/* No leaf is empty, so that there are at most as many as keys; see KEYS_LEAST for the rest. */
static uint32_t nodes_most(uint32_t keys)
{
	return keys + keys / (KEYS_LEAST - 1) + 2 * BTREE_LEVELS;
}

static size_t nodes_size(uint32_t keys)
{
	return ((size_t)nodes_most(keys) + 1) * sizeof(struct btree_node);
}

size_t btree_size(uint32_t keys)
{
	return arena_round(nodes_size(keys));
}

void btree_init(struct btree *tree, struct arena *arena, uint32_t keys)
{
	*tree = (struct btree){
		.nodes = arena_take(arena, nodes_size(keys)),
		.capacity = nodes_most(keys),
	};
}

void btree_reset(struct btree *tree)
{
	atomic_store_explicit(&tree->root, 0, memory_order_release);
	if (tree->touched > KEEP)
		arena_drop(&tree->nodes[KEEP], &tree->nodes[tree->touched + 1]);
	tree->touched = tree->spare = tree->n_nodes = 0;
	tree->n = 0;
}

/* A number that was read beside the writer may be any. */
static struct btree_node *node_of(const struct btree *tree, uint32_t number)
{
	return &tree->nodes[number <= tree->capacity ? number : 0];
}

static unsigned root_levels(uint64_t root)
{
	return (unsigned)(root >> 32);
}

static void root_set(struct btree *tree, unsigned levels, uint32_t node)
{
	assert(levels <= BTREE_LEVELS);
	atomic_store_explicit(&tree->root, (uint64_t)levels << 32 | node, memory_order_release);
}

static uint32_t node_new(struct btree *tree)
{
	uint32_t number = tree->spare;

	if (number) {
		tree->spare = atomic_load_explicit(&tree->nodes[number].next, memory_order_relaxed);
	} else {
		assert(tree->touched < tree->capacity);
		number = ++tree->touched;
	}
	node_init(&tree->nodes[number]);
	atomic_store_explicit(&tree->nodes[number].next, 0, memory_order_release);
	tree->n_nodes++;
	return number;
}

static void node_free(struct btree *tree, uint32_t number)
{
	atomic_store_explicit(&tree->nodes[number].next, tree->spare, memory_order_release);
	tree->spare = number;
	tree->n_nodes--;
}

bool btree_floor(const struct btree *tree, uint64_t key, struct btree_path *ret)
{
	uint64_t root = atomic_load_explicit(&tree->root, memory_order_acquire);
	uint32_t number = (uint32_t)root;

	ret->levels = root_levels(root);
	ret->at[0] = (struct btree_place){ 0, -1 };
	for (unsigned level = ret->levels; level > 0; level--) {
		const struct btree_node *node = node_of(tree, number);
		int position;

		node_prefetch(node);
		position = (int)node_rank(node, key) - 1;
		if (level > 1 && position < 0)
			position = 0;
		ret->at[level - 1] = (struct btree_place){ number, position };
		if (level > 1)
			number = node_id(node, (unsigned)position);
	}
	return ret->at[0].position >= 0;
}

uint64_t btree_key(const struct btree *tree, struct btree_place place)
{
	return node_key(node_of(tree, place.node), (unsigned)place.position);
}

uint32_t btree_id(const struct btree *tree, struct btree_place place)
{
	return node_id(node_of(tree, place.node), (unsigned)place.position);
}

bool btree_next(const struct btree *tree, struct btree_place *place)
{
	const struct btree_node *node = node_of(tree, place->node);

	if ((unsigned)(place->position + 1) < node_count(node)) {
		place->position++;
		return true;
	}
	place->node = atomic_load_explicit(&node->next, memory_order_acquire);
	place->position = 0;
	return place->node && node_count(node_of(tree, place->node));
}

/* The tree's first node, or one above its root. */
static void grow_up(struct btree *tree, uint64_t key, uint32_t id)
{
	uint64_t root = atomic_load_explicit(&tree->root, memory_order_relaxed);
	uint32_t number = node_new(tree);
	struct btree_node *top = &tree->nodes[number];

	if (root_levels(root))
		node_insert(top, 0, 0, (uint32_t)root);
	node_insert(top, node_count(top), key, id);
	root_set(tree, root_levels(root) + 1, number);
}

/*
 * Where a full node is cut that gets a key at @at. One that grows at an end is
 * left full: what is made in order, up or down, leaves full nodes behind.
 */
static unsigned cut_at(unsigned level, unsigned at)
{
	if (level == 0 && (at == 0 || at == BTREE_KEYS))
		return at;
	return BTREE_KEYS / 2;
}

/* Inserts into a full node. Returns the new one above it, *ret_key is that one's. */
static uint32_t split(struct btree *tree, struct btree_node *node, unsigned level, unsigned at,
                      uint64_t key, uint32_t id, uint64_t *ret_key)
{
	unsigned cut = cut_at(level, at);
	uint32_t number = node_new(tree);
	struct btree_node *above = &tree->nodes[number];

	node_shift_up(node, above, BTREE_KEYS - cut);
	if (at > cut || cut == BTREE_KEYS)
		node_insert(above, at - cut, key, id);
	else
		node_insert(node, at, key, id);
	if (level == 0) {
		atomic_store_explicit(&above->next,
		                      atomic_load_explicit(&node->next, memory_order_relaxed),
		                      memory_order_release);
		atomic_store_explicit(&node->next, number, memory_order_release);
	}
	*ret_key = node_key(above, 0);
	return number;
}

/*
 * A key that belongs behind the last of a full leaf may as well be the first of
 * the next one: what is made downwards fills leaves so. False: it can't be.
 */
static bool insert_into_next(struct btree *tree, const struct btree_path *path, uint64_t key,
                             uint32_t id)
{
	struct btree_node *parent, *next;
	unsigned at;

	if (path->levels < 2 || path->at[0].position + 1 != (int)BTREE_KEYS)
		return false;
	parent = node_of(tree, path->at[1].node);
	at = (unsigned)path->at[1].position + 1;
	if (at >= node_count(parent))
		return false;
	next = node_of(tree, node_id(parent, at));
	if (node_count(next) == BTREE_KEYS)
		return false;
	node_insert(next, 0, key, id);
	node_set_key(parent, at, key);
	return true;
}

void btree_insert(struct btree *tree, const struct btree_path *path, uint64_t key, uint32_t id)
{
	tree->n++;
	for (unsigned level = 0; level < path->levels; level++) {
		const struct btree_place *place = &path->at[level];
		struct btree_node *node = node_of(tree, place->node);

		if (node_count(node) < BTREE_KEYS) {
			node_insert(node, (unsigned)(place->position + 1), key, id);
			return;
		}
		if (level == 0 && insert_into_next(tree, path, key, id))
			return;
		id = split(tree, node, level, (unsigned)(place->position + 1), key, id, &key);
	}
	grow_up(tree, key, id);
}

/* The node right of @left goes; it is at @at in @parent. */
static void join(struct btree *tree, struct btree_node *left, struct btree_node *parent,
                 unsigned at)
{
	uint32_t number = node_id(parent, at);
	struct btree_node *right = node_of(tree, number);

	node_shift_down(left, right, node_count(right));
	atomic_store_explicit(&left->next, atomic_load_explicit(&right->next, memory_order_relaxed),
	                      memory_order_release);
	node_remove(parent, at);
	node_free(tree, number);
}

/* Neighbours that are too many keys for one: half of them each. */
static void even_out(struct btree_node *left, struct btree_node *right, struct btree_node *parent,
                     unsigned at)
{
	unsigned l = node_count(left), r = node_count(right), half = (l + r) / 2;

	if (l < half)
		node_shift_down(left, right, half - l);
	else
		node_shift_up(left, right, l - half);
	node_set_key(parent, at, node_key(right, 0));
}

/* The node at @level of the path has few keys and is not the root. */
static void refill(struct btree *tree, const struct btree_path *path, unsigned level)
{
	struct btree_node *parent = node_of(tree, path->at[level + 1].node);
	unsigned at = (unsigned)path->at[level + 1].position;
	struct btree_node *left, *right;

	if (at + 1 < node_count(parent))
		at++;
	left = node_of(tree, node_id(parent, at - 1));
	right = node_of(tree, node_id(parent, at));
	/* What the parent says of its key holds; its own may be the one not looked at. */
	if (level > 0)
		node_set_key(right, 0, node_key(parent, at));
	if (node_count(left) + node_count(right) <= BTREE_KEYS)
		join(tree, left, parent, at);
	else
		even_out(left, right, parent, at);
}

/* A root with one node below it is none. */
static void shrink_down(struct btree *tree)
{
	uint64_t root = atomic_load_explicit(&tree->root, memory_order_relaxed);

	while (root_levels(root) > 1) {
		uint32_t number = (uint32_t)root;
		struct btree_node *top = &tree->nodes[number];

		if (node_count(top) > 1)
			break;
		root_set(tree, root_levels(root) - 1, node_id(top, 0));
		node_free(tree, number);
		root = atomic_load_explicit(&tree->root, memory_order_relaxed);
	}
}

/* The first key of the leaf is another one: its place above says so. */
static void set_least(struct btree *tree, const struct btree_path *path, uint64_t key)
{
	for (unsigned level = 1; level < path->levels; level++) {
		const struct btree_place *place = &path->at[level];

		if (place->position > 0) {
			node_set_key(node_of(tree, place->node), (unsigned)place->position, key);
			return;
		}
	}
}

static bool has_few(const struct btree *tree, const struct btree_path *path, unsigned level)
{
	return level + 1 < path->levels &&
	       node_count(node_of(tree, path->at[level].node)) < KEYS_LEAST;
}

void btree_remove(struct btree *tree, const struct btree_path *path)
{
	struct btree_node *leaf = node_of(tree, path->at[0].node);

	tree->n--;
	node_remove(leaf, (unsigned)path->at[0].position);
	if (has_few(tree, path, 0))
		refill(tree, path, 0);
	/* Empty: it was joined to the one before it, or was the last. */
	if (path->at[0].position == 0 && node_count(leaf))
		set_least(tree, path, node_key(leaf, 0));
	for (unsigned level = 1; has_few(tree, path, level); level++)
		refill(tree, path, level);
	shrink_down(tree);
}

void btree_rekey(struct btree *tree, const struct btree_path *path, uint64_t key)
{
	const struct btree_place *place = &path->at[0];

	node_set_key(node_of(tree, place->node), (unsigned)place->position, key);
	if (place->position == 0)
		set_least(tree, path, key);
}
