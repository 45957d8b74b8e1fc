/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In an inner node keys[i] bounds child i from below, and is above all that is in
 * child i - 1. keys[0] bounds nothing: the node's own bound in its parent does.
 * Removal leaves bounds as they are.
 */
#include "iommu/rangetree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ORDER      RANGETREE_ORDER
#define FEWEST     (ORDER / 4)
#define HEIGHT_MAX 24u
#define SPARE_MAX  64u

#define CACHE_LINE 64u

struct rangetree_node {
	unsigned n;
	struct rangetree_node *next, *prev; /* leaves; next also of what is spare */
	_Alignas(CACHE_LINE) uint64_t keys[ORDER];
	union {
		struct rangetree_value values[ORDER];
		struct rangetree_node *children[ORDER];
	};
};

/* What a descent went through: from path[height] down to path[0], the leaf. */
struct path {
	struct rangetree_node *node[HEIGHT_MAX];
	unsigned at[HEIGHT_MAX];
};

void rangetree_init(struct rangetree *tree)
{
	*tree = (struct rangetree){ 0 };
}

static void free_below(struct rangetree_node *node, unsigned height)
{
	for (unsigned i = 0; height && i < node->n; i++)
		free_below(node->children[i], height - 1);
	free(node);
}

void rangetree_done(struct rangetree *tree)
{
	struct rangetree_node *node;

	if (tree->root)
		free_below(tree->root, tree->height);
	while ((node = tree->spare)) {
		tree->spare = node->next;
		free(node);
	}
}

/* An insertion splits a node per level at most, and puts a root above. */
int rangetree_reserve(struct rangetree *tree, unsigned insertions)
{
	const unsigned wanted = insertions * (tree->height + insertions + 1);

	while (tree->n_spare < wanted) {
		struct rangetree_node *node = aligned_alloc(CACHE_LINE, sizeof(*node));

		if (!node)
			return -ENOMEM;
		node->next = tree->spare;
		tree->spare = node;
		tree->n_spare++;
	}
	return 0;
}

static struct rangetree_node *node_take(struct rangetree *tree)
{
	struct rangetree_node *node = tree->spare;

	assert(node);
	tree->spare = node->next;
	tree->n_spare--;
	node->n = 0;
	node->next = node->prev = NULL;
	return node;
}

static void node_drop(struct rangetree *tree, struct rangetree_node *node)
{
	if (tree->n_spare >= SPARE_MAX) {
		free(node);
		return;
	}
	node->next = tree->spare;
	tree->spare = node;
	tree->n_spare++;
}

/*
 * Among many nodes a walk is as long as memory takes: all that a search may look at is
 * fetched at once.
 */
static void fetch(const struct rangetree_node *node)
{
	__builtin_prefetch(node);
	for (unsigned i = 0; i < ORDER; i += CACHE_LINE / sizeof(node->keys[0]))
		__builtin_prefetch(&node->keys[i]);
}

/* How many keys are at or below @key; without branches, which can't be foretold. */
static unsigned rank(const struct rangetree_node *node, uint64_t key)
{
	const uint64_t *low = node->keys;
	unsigned n = node->n;

	if (!n)
		return 0;
	while (n > 1) {
		unsigned half = n / 2;

		low += low[half - 1] <= key ? half : 0;
		n -= half;
	}
	return (unsigned)(low - node->keys) + (*low <= key);
}

/* Returns the leaf. */
static struct rangetree_node *descend(const struct rangetree *tree, uint64_t key, struct path *path)
{
	struct rangetree_node *node = tree->root;

	for (unsigned level = tree->height; level; level--) {
		unsigned at = rank(node, key);

		path->node[level] = node;
		path->at[level] = at ? at - 1 : 0;
		node = node->children[path->at[level]];
		fetch(node);
	}
	path->node[0] = node;
	return node;
}

/* @n elements; @to and @from may be the same node. */
static void copy(struct rangetree_node *to, unsigned at, const struct rangetree_node *from,
                 unsigned from_at, unsigned n, unsigned level)
{
	memmove(&to->keys[at], &from->keys[from_at], n * sizeof(to->keys[0]));
	if (level)
		memmove(&to->children[at], &from->children[from_at], n * sizeof(to->children[0]));
	else
		memmove(&to->values[at], &from->values[from_at], n * sizeof(to->values[0]));
}

/* Opens a gap of one at @at. */
static void open_gap(struct rangetree_node *node, unsigned at, unsigned level)
{
	copy(node, at + 1, node, at, node->n - at, level);
	node->n++;
}

static void close_gap(struct rangetree_node *node, unsigned at, unsigned level)
{
	node->n--;
	copy(node, at, node, at + 1, node->n - at, level);
}

static void link_behind(struct rangetree_node *node, struct rangetree_node *right)
{
	right->prev = node;
	right->next = node->next;
	if (node->next)
		node->next->prev = right;
	node->next = right;
}

static void unlink_leaf(struct rangetree_node *node)
{
	if (node->prev)
		node->prev->next = node->next;
	if (node->next)
		node->next->prev = node->prev;
}

/*
 * Leaves filled in ascending order stay full. Inner nodes keep some on both sides,
 * so that every child has a sibling.
 */
static struct rangetree_node *split(struct rangetree *tree, struct rangetree_node *node,
                                    unsigned at, unsigned level)
{
	struct rangetree_node *right = node_take(tree);
	unsigned keep = at < ORDER ? ORDER / 2 : level ? ORDER - FEWEST : ORDER;

	copy(right, 0, node, keep, ORDER - keep, level);
	right->n = ORDER - keep;
	node->n = keep;
	if (!level)
		link_behind(node, right);
	return right;
}

/* A gap at @at of node[level], in that node or in the half it comes to lie in. */
static struct rangetree_place make_gap(struct rangetree *tree, struct path *path, unsigned level,
                                       unsigned at, uint64_t key);

static void adopt(struct rangetree *tree, struct path *path, unsigned level,
                  struct rangetree_node *left, struct rangetree_node *right, uint64_t bound)
{
	struct rangetree_place gap;

	if (level > tree->height) {
		struct rangetree_node *root = node_take(tree);

		root->n = 1;
		root->keys[0] = 0;
		root->children[0] = left;
		tree->root = root;
		tree->height = level;
		path->node[level] = root;
		path->at[level] = 0;
	}
	gap = make_gap(tree, path, level, path->at[level] + 1, bound);
	gap.node->keys[gap.at] = bound;
	gap.node->children[gap.at] = right;
}

static struct rangetree_place make_gap(struct rangetree *tree, struct path *path, unsigned level,
                                       unsigned at, uint64_t key)
{
	struct rangetree_node *node = path->node[level], *right = NULL;
	unsigned left_n;

	if (node->n < ORDER) {
		open_gap(node, at, level);
		return (struct rangetree_place){ node, at };
	}
	right = split(tree, node, at, level);
	left_n = node->n;
	adopt(tree, path, level + 1, node, right, right->n ? right->keys[0] : key);
	if (at > left_n || left_n == ORDER) {
		at -= left_n;
		node = right;
	}
	open_gap(node, at, level);
	return (struct rangetree_place){ node, at };
}

void rangetree_insert(struct rangetree *tree, uint64_t start, const struct rangetree_value *value)
{
	struct rangetree_node *leaf;
	struct path path;
	struct rangetree_place gap;

	if (!tree->root)
		tree->root = node_take(tree);
	leaf = descend(tree, start, &path);
	gap = make_gap(tree, &path, 0, rank(leaf, start), start);
	gap.node->keys[gap.at] = start;
	gap.node->values[gap.at] = *value;
	tree->count++;
}

/* @right is child @at of its parent, @left the one before it. */
static void merge(struct rangetree *tree, struct rangetree_node *parent, unsigned at,
                  unsigned level)
{
	struct rangetree_node *left = parent->children[at - 1], *right = parent->children[at];

	if (level)
		right->keys[0] = parent->keys[at];
	copy(left, left->n, right, 0, right->n, level);
	left->n += right->n;
	if (!level)
		unlink_leaf(right);
	node_drop(tree, right);
	close_gap(parent, at, level + 1);
}

static void balance(struct rangetree_node *parent, unsigned at, unsigned level)
{
	struct rangetree_node *left = parent->children[at - 1], *right = parent->children[at];
	unsigned goal = (left->n + right->n) / 2, n;

	if (level)
		right->keys[0] = parent->keys[at];
	if (left->n < goal) {
		n = goal - left->n;
		copy(left, left->n, right, 0, n, level);
		copy(right, 0, right, n, right->n - n, level);
		right->n -= n;
	} else {
		n = left->n - goal;
		copy(right, n, right, 0, right->n, level);
		copy(right, 0, left, goal, n, level);
		right->n += n;
	}
	left->n = goal;
	parent->keys[at] = right->keys[0];
}

/* node[level] may have too few. */
static void refill(struct rangetree *tree, struct path *path, unsigned level)
{
	while (level < tree->height && path->node[level]->n < FEWEST) {
		struct rangetree_node *parent = path->node[level + 1];
		unsigned at = path->at[level + 1];

		if (at == 0)
			at = 1;
		if (parent->children[at - 1]->n + parent->children[at]->n > ORDER) {
			balance(parent, at, level);
			return;
		}
		merge(tree, parent, at, level);
		level++;
	}
}

void rangetree_remove(struct rangetree *tree, uint64_t start)
{
	struct path path;
	struct rangetree_node *leaf = descend(tree, start, &path);
	unsigned at = rank(leaf, start);

	assert(at && leaf->keys[at - 1] == start);
	close_gap(leaf, at - 1, 0);
	tree->count--;
	refill(tree, &path, 0);
	while (tree->height && tree->root->n == 1) {
		struct rangetree_node *root = tree->root;

		tree->root = root->children[0];
		tree->height--;
		node_drop(tree, root);
	}
}

bool rangetree_remove_at(struct rangetree *tree, struct rangetree_place *place)
{
	struct rangetree_node *leaf = place->node;

	if (tree->height && leaf->n <= FEWEST) {
		rangetree_remove(tree, rangetree_start(place));
		return false;
	}
	close_gap(leaf, place->at, 0);
	tree->count--;
	if (place->at < leaf->n)
		return true;
	*place = (struct rangetree_place){ leaf->next, 0 };
	return leaf->next;
}

bool rangetree_find_below(const struct rangetree *tree, uint64_t addr, struct rangetree_place *ret)
{
	struct rangetree_node *node = tree->root;
	unsigned at;

	if (!tree->count)
		return false;
	for (unsigned level = tree->height; level; level--) {
		at = rank(node, addr);
		node = node->children[at ? at - 1 : 0];
		fetch(node);
	}
	at = rank(node, addr);
	/* Its bound may be below its first key by now. */
	if (!at) {
		node = node->prev;
		if (!node)
			return false;
		at = node->n;
	}
	*ret = (struct rangetree_place){ node, at - 1 };
	return true;
}

bool rangetree_find_above(const struct rangetree *tree, uint64_t addr, struct rangetree_place *ret)
{
	struct rangetree_node *node = tree->root;

	if (rangetree_find_below(tree, addr, ret))
		return rangetree_start(ret) == addr || rangetree_next(ret);
	if (!tree->count)
		return false;
	for (unsigned level = tree->height; level; level--)
		node = node->children[0];
	*ret = (struct rangetree_place){ node, 0 };
	return true;
}

bool rangetree_next(struct rangetree_place *place)
{
	if (place->at + 1 < place->node->n) {
		place->at++;
		return true;
	}
	if (!place->node->next)
		return false;
	*place = (struct rangetree_place){ place->node->next, 0 };
	return true;
}

bool rangetree_prev(struct rangetree_place *place)
{
	if (place->at) {
		place->at--;
		return true;
	}
	if (!place->node->prev)
		return false;
	*place = (struct rangetree_place){ place->node->prev, place->node->prev->n - 1 };
	return true;
}

uint64_t rangetree_start(const struct rangetree_place *place)
{
	return place->node->keys[place->at];
}

struct rangetree_value *rangetree_value(const struct rangetree_place *place)
{
	return &place->node->values[place->at];
}

/* What a check has seen so far, from the left to the right. */
struct survey {
	const struct rangetree_node *leaf; /* the one before */
	uint64_t bound;                    /* of the next leaf from below */
	uint64_t start;                    /* the last one */
	uint64_t next;                     /* the least start that may come */
	bool full;                         /* none may */
	uint64_t count;
};

static bool check_leaf(const struct rangetree_node *leaf, struct survey *survey)
{
	if (leaf->prev != survey->leaf || (survey->leaf && survey->leaf->next != leaf))
		return false;
	if (!leaf->n || leaf->keys[0] < survey->bound)
		return false;
	for (unsigned i = 0; i < leaf->n; i++) {
		if (survey->full || leaf->keys[i] < survey->next ||
		    leaf->values[i].last < leaf->keys[i])
			return false;
		survey->start = leaf->keys[i];
		survey->full = leaf->values[i].last == UINT64_MAX;
		survey->next = leaf->values[i].last + 1;
	}
	survey->leaf = leaf;
	survey->count += leaf->n;
	return true;
}

static bool check_below(const struct rangetree_node *node, unsigned level, struct survey *survey)
{
	if (!level)
		return check_leaf(node, survey);
	if (node->n < 2)
		return false;
	for (unsigned i = 0; i < node->n; i++) {
		if (i && node->keys[i] <= survey->start)
			return false;
		if (i)
			survey->bound = node->keys[i];
		if (!check_below(node->children[i], level - 1, survey))
			return false;
	}
	return true;
}

bool rangetree_check(const struct rangetree *tree)
{
	struct survey survey = { 0 };

	if (!tree->count)
		return !tree->root || (tree->height == 0 && tree->root->n == 0);
	return check_below(tree->root, tree->height, &survey) && survey.count == tree->count &&
	       !survey.leaf->next;
}
