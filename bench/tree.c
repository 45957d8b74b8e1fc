/* SPDX-License-Identifier: BSD-3-Clause */
#include "tree.h"

#include <stdlib.h>

enum {
	BELOW = 0,
	ABOVE = 1,
};

static bool is_red(const struct tree_node *node)
{
	return node && node->red;
}

static int side_of(const struct tree_node *node)
{
	return node->parent->child[ABOVE] == node;
}

static uint64_t end_of(const struct tree_node *node)
{
	uint64_t last = node->range.last;

	for (int side = BELOW; side <= ABOVE; side++)
		if (node->child[side] && node->child[side]->last_below > last)
			last = node->child[side]->last_below;
	return last;
}

/* From @node up, as far as it changes anything. */
static void ends_update(struct tree_node *node)
{
	for (; node; node = node->parent) {
		uint64_t last = end_of(node);

		if (node->last_below == last)
			return;
		node->last_below = last;
	}
}

/* Puts @node, which may be NULL, in @old's place under its parent. */
static void put_in_place(struct tree *tree, const struct tree_node *old, struct tree_node *node)
{
	if (!old->parent)
		tree->root = node;
	else
		old->parent->child[side_of(old)] = node;
	if (node)
		node->parent = old->parent;
}

/* @node goes down to @side; its child of the other side takes its place. */
static void rotate(struct tree *tree, struct tree_node *node, int side)
{
	struct tree_node *top = node->child[!side];

	put_in_place(tree, node, top);
	node->child[!side] = top->child[side];
	if (node->child[!side])
		node->child[!side]->parent = node;
	top->child[side] = node;
	node->parent = top;
	top->last_below = node->last_below;
	node->last_below = end_of(node);
}

/* @node is red; so may its parent be, but for that all is well. */
static void insert_balance(struct tree *tree, struct tree_node *node)
{
	while (is_red(node->parent)) {
		struct tree_node *parent = node->parent, *elder = parent->parent;
		int side = side_of(parent);

		if (is_red(elder->child[!side])) {
			elder->child[!side]->red = parent->red = false;
			elder->red = true;
			node = elder;
			continue;
		}
		if (side_of(node) != side) {
			rotate(tree, parent, side);
			parent = node;
		}
		parent->red = false;
		elder->red = true;
		rotate(tree, elder, !side);
		break;
	}
	tree->root->red = false;
}

static void insert(struct tree *tree, struct tree_node *node)
{
	struct tree_node **link = &tree->root, *parent = NULL;

	while (*link) {
		parent = *link;
		if (parent->last_below < node->range.last)
			parent->last_below = node->range.last;
		link = &parent->child[parent->range.start <= node->range.start];
	}
	node->parent = parent;
	node->child[BELOW] = node->child[ABOVE] = NULL;
	node->last_below = node->range.last;
	node->red = true;
	*link = node;
	insert_balance(tree, node);
}

/* The paths through @parent's child at @side lack a black node. */
static void remove_balance(struct tree *tree, struct tree_node *parent, int side)
{
	while (parent) {
		struct tree_node *node = parent->child[side], *other;

		if (is_red(node)) {
			node->red = false;
			return;
		}
		other = parent->child[!side];
		if (other->red) {
			other->red = false;
			parent->red = true;
			rotate(tree, parent, side);
			other = parent->child[!side];
		}
		if (is_red(other->child[BELOW]) || is_red(other->child[ABOVE])) {
			if (!is_red(other->child[!side])) {
				other->child[side]->red = false;
				other->red = true;
				rotate(tree, other, !side);
				other = parent->child[!side];
			}
			other->red = parent->red;
			parent->red = false;
			other->child[!side]->red = false;
			rotate(tree, parent, side);
			return;
		}
		other->red = true;
		if (parent->parent)
			side = side_of(parent);
		parent = parent->parent;
	}
}

/* Takes out a node that has at most one child. */
static void remove_outer(struct tree *tree, struct tree_node *node)
{
	struct tree_node *parent = node->parent;
	struct tree_node *child = node->child[node->child[ABOVE] != NULL];
	int side = parent ? side_of(node) : BELOW;

	put_in_place(tree, node, child);
	ends_update(parent);
	if (node->red)
		return;
	if (parent)
		remove_balance(tree, parent, side);
	else if (child)
		child->red = false;
}

/* @node takes everything of @old's but what it stands for. */
static void stand_in(struct tree *tree, const struct tree_node *old, struct tree_node *node)
{
	put_in_place(tree, old, node);
	for (int side = BELOW; side <= ABOVE; side++) {
		node->child[side] = old->child[side];
		if (node->child[side])
			node->child[side]->parent = node;
	}
	node->red = old->red;
	node->last_below = old->last_below;
	ends_update(node);
}

static void remove_node(struct tree *tree, struct tree_node *node)
{
	struct tree_node *next = node->child[ABOVE];

	if (!node->child[BELOW] || !node->child[ABOVE]) {
		remove_outer(tree, node);
		return;
	}
	while (next->child[BELOW])
		next = next->child[BELOW];
	remove_outer(tree, next);
	stand_in(tree, node, next);
}

/* The first entry that meets @range, or NULL. */
static struct tree_node *find(const struct tree *tree, struct range range)
{
	struct tree_node *node = tree->root;

	while (node && node->last_below >= range.start) {
		struct tree_node *below = node->child[BELOW];

		if (below && below->last_below >= range.start) {
			node = below;
			continue;
		}
		if (node->range.start > range.last)
			return NULL;
		if (node->range.last >= range.start)
			return node;
		node = node->child[ABOVE];
	}
	return NULL;
}

bool tree_update(struct tree *tree, struct range range, uint64_t uaddr, uint8_t perm)
{
	struct tree_node *node = malloc(sizeof(*node));

	if (!node)
		return false;
	*node = (struct tree_node){
		.range = range,
		.uaddr = uaddr,
		.size = range_size(range),
		.perm = perm,
	};
	insert(tree, node);
	list_append(&tree->all, &node->all);
	tree->n++;
	return true;
}

void tree_invalidate(struct tree *tree, struct range range)
{
	struct tree_node *node;

	while ((node = find(tree, range))) {
		remove_node(tree, node);
		list_remove(&node->all);
		tree->n--;
		free(node);
	}
}

uint64_t tree_find(const struct tree *tree, uint64_t iova, uint8_t perm)
{
	const struct tree_node *node = find(tree, (struct range){ iova, iova });

	if (!node || (node->perm & perm) != perm)
		return 0;
	return node->uaddr + (iova - node->range.start);
}

void tree_init(struct tree *tree)
{
	*tree = (struct tree){ 0 };
	list_init(&tree->all);
}

void tree_done(struct tree *tree)
{
	struct list *node;

	while ((node = list_pop(&tree->all)))
		free(container_of(node, struct tree_node, all));
	tree_init(tree);
}

/* Black nodes on each way down, the empty end included; 0: something is wrong. */
static unsigned node_check(const struct tree_node *node, uint64_t *n)
{
	unsigned blacks[2];

	if (!node)
		return 1;
	for (int side = BELOW; side <= ABOVE; side++) {
		const struct tree_node *child = node->child[side];

		blacks[side] = node_check(child, n);
		if (child && (child->parent != node || (node->red && child->red)))
			return 0;
		if (child && (child->range.start > node->range.start) != (side == ABOVE))
			return 0;
	}
	++*n;
	if (!blacks[BELOW] || blacks[BELOW] != blacks[ABOVE] || node->last_below != end_of(node))
		return 0;
	return blacks[BELOW] + !node->red;
}

bool tree_check(const struct tree *tree)
{
	uint64_t n = 0;

	return !is_red(tree->root) && node_check(tree->root, &n) && n == tree->n;
}
