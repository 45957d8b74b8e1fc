/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/rangemap.h"

#include <assert.h>
#include <stddef.h>

enum {
	BELOW = 0,
	ABOVE = 1,
};

static int height(const struct rangemap_node *node)
{
	return node ? node->height : 0;
}

static int child_height(const struct rangemap_node *node)
{
	int below = height(node->child[BELOW]);
	int above = height(node->child[ABOVE]);

	return below > above ? below : above;
}

/* Above 0: the side above is the higher one. */
static int lean(const struct rangemap_node *node)
{
	return height(node->child[ABOVE]) - height(node->child[BELOW]);
}

/* Puts @node, which may be NULL, where @old hangs below @parent. */
static void replace(struct rangemap *map, struct rangemap_node *parent,
                    const struct rangemap_node *old, struct rangemap_node *node)
{
	if (!parent)
		map->root = node;
	else
		parent->child[parent->child[ABOVE] == old] = node;
	if (node)
		node->parent = parent;
}

static void adopt(struct rangemap_node *parent, int side, struct rangemap_node *child)
{
	parent->child[side] = child;
	if (child)
		child->parent = parent;
}

/* @node goes down to @side, its child of the other side takes its place. */
static struct rangemap_node *rotate(struct rangemap *map, struct rangemap_node *node, int side)
{
	struct rangemap_node *top = node->child[!side];

	replace(map, node->parent, node, top);
	adopt(node, !side, top->child[side]);
	adopt(top, side, node);
	node->height = child_height(node) + 1;
	top->height = child_height(top) + 1;
	return top;
}

/* Returns what stands in @node's place. */
static struct rangemap_node *balance(struct rangemap *map, struct rangemap_node *node)
{
	int leans = lean(node);
	int side = leans > 0 ? ABOVE : BELOW;
	struct rangemap_node *child = node->child[side];

	if (leans >= -1 && leans <= 1) {
		node->height = child_height(node) + 1;
		return node;
	}
	/* A child that leans inward would hand its higher side over. */
	if (side == ABOVE ? lean(child) < 0 : lean(child) > 0)
		rotate(map, child, side);
	return rotate(map, node, !side);
}

/* Something below @node changed: up to where nothing is felt of it. */
static void rebalance(struct rangemap *map, struct rangemap_node *node)
{
	while (node) {
		int before = node->height;

		node = balance(map, node);
		if (node->height == before)
			return;
		node = node->parent;
	}
}

struct rangemap_node *rangemap_floor(const struct rangemap *map, uint64_t addr)
{
	struct rangemap_node *node = map->root;
	struct rangemap_node *best = NULL;

	while (node) {
		if (node->range.start <= addr) {
			best = node;
			node = node->child[ABOVE];
		} else {
			node = node->child[BELOW];
		}
	}
	return best;
}

static struct rangemap_node *outermost(struct rangemap_node *node, int side)
{
	while (node && node->child[side])
		node = node->child[side];
	return node;
}

static struct rangemap_node *step(const struct rangemap_node *node, int side)
{
	if (node->child[side])
		return outermost(node->child[side], !side);
	while (node->parent && node->parent->child[side] == node)
		node = node->parent;
	return node->parent;
}

struct rangemap_node *rangemap_next(const struct rangemap_node *node)
{
	return step(node, ABOVE);
}

struct rangemap_node *rangemap_prev(const struct rangemap_node *node)
{
	return step(node, BELOW);
}

struct rangemap_node *rangemap_from(const struct rangemap *map, uint64_t addr)
{
	struct rangemap_node *node = rangemap_floor(map, addr);

	if (!node)
		return outermost(map->root, BELOW);
	return addr <= node->range.last ? node : rangemap_next(node);
}

void rangemap_insert(struct rangemap *map, struct rangemap_node *node)
{
	struct rangemap_node **link = &map->root;
	struct rangemap_node *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->child[parent->range.start < node->range.start];
	}
	node->parent = parent;
	node->child[BELOW] = node->child[ABOVE] = NULL;
	node->height = 1;
	*link = node;
	map->n++;
	rebalance(map, parent);
}

/* The next node takes @node's place; it has no child below it. */
static void remove_inner(struct rangemap *map, struct rangemap_node *node)
{
	struct rangemap_node *next = outermost(node->child[ABOVE], BELOW);
	struct rangemap_node *changed = next->parent == node ? next : next->parent;

	replace(map, next->parent, next, next->child[ABOVE]);
	replace(map, node->parent, node, next);
	adopt(next, BELOW, node->child[BELOW]);
	adopt(next, ABOVE, node->child[ABOVE]);
	next->height = node->height;
	rebalance(map, changed);
}

void rangemap_remove(struct rangemap *map, struct rangemap_node *node)
{
	struct rangemap_node *parent = node->parent;

	assert(map->n);
	map->n--;
	if (node->child[BELOW] && node->child[ABOVE]) {
		remove_inner(map, node);
		return;
	}
	replace(map, parent, node, node->child[node->child[ABOVE] != NULL]);
	rebalance(map, parent);
}

static bool node_check(const struct rangemap_node *node)
{
	if (node->range.start > node->range.last)
		return false;
	if (node->height != child_height(node) + 1 || lean(node) < -1 || lean(node) > 1)
		return false;
	for (int side = BELOW; side <= ABOVE; side++)
		if (node->child[side] && node->child[side]->parent != node)
			return false;
	return true;
}

bool rangemap_check(const struct rangemap *map)
{
	const struct rangemap_node *prev = NULL;
	uint64_t n = 0;

	if (map->root && map->root->parent)
		return false;
	for (const struct rangemap_node *node = outermost(map->root, BELOW); node;
	     node = rangemap_next(node)) {
		if (!node_check(node))
			return false;
		if (prev && prev->range.last >= node->range.start)
			return false;
		prev = node;
		n++;
	}
	return n == map->n;
}
