/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In an inner node the key of a branch bounds its child from below, and is above all that
 * is in the child before. The first one bounds nothing: the node's own bound in its parent
 * does. Removal leaves bounds as they are.
 */
#include "iommu/rangetree.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LEAF_ORDER  RANGETREE_ORDER
#define INNER_ORDER RANGETREE_INNER_ORDER
#define HEIGHT_MAX  24u

#define CACHE_LINE  64u

static_assert(sizeof(struct rangetree_node) == NODEPOOL_SIZE, "no byte is lost");

/* What a descent went through: from path[height] down to path[0], the leaf. */
struct path {
	struct rangetree_node *node[HEIGHT_MAX];
	unsigned at[HEIGHT_MAX];
};

void rangetree_init(struct rangetree *tree)
{
	*tree = (struct rangetree){ 0 };
	nodepool_init(&tree->leaves);
	nodepool_init(&tree->inner);
}

void rangetree_done(struct rangetree *tree)
{
	nodepool_done(&tree->leaves);
	nodepool_done(&tree->inner);
}

/*
 * An insertion splits a node per level at most, and puts a root above. Every walk goes
 * through inner nodes, which are few: they lie together.
 */
int rangetree_reserve(struct rangetree *tree, unsigned insertions)
{
	int error = nodepool_reserve(&tree->leaves, insertions);

	if (!error)
		error = nodepool_reserve(&tree->inner, insertions * (tree->height + insertions));
	if (!error && tree->leaves.large && !tree->inner.large)
		nodepool_enlarge(&tree->inner);
	return error;
}

static struct rangetree_node *leaf_take(struct rangetree *tree)
{
	struct rangetree_node *leaf = nodepool_take(&tree->leaves);

	leaf->n = 0;
	leaf->next = leaf->prev = NULL;
	return leaf;
}

static struct rangetree_node *inner_take(struct rangetree *tree)
{
	struct rangetree_node *node = nodepool_take(&tree->inner);

	node->n = 0;
	return node;
}

static void node_drop(struct rangetree *tree, struct rangetree_node *node, unsigned level)
{
	nodepool_drop(level ? &tree->inner : &tree->leaves, node);
}

/*
 * Among many nodes a walk is as long as memory takes: all that may be looked at in this
 * one is fetched at once.
 */
static void fetch(const struct rangetree_node *node)
{
	for (size_t i = 0; i < sizeof(*node); i += CACHE_LINE)
		__builtin_prefetch((const char *)node + i);
}

/*
 * How many of @n keys, @stride bytes from one to the next, are at or below @key; without
 * branches, which can't be foretold.
 */
static inline unsigned rank_of(const uint64_t *keys, size_t stride, unsigned n, uint64_t key)
{
	const char *first = (const char *)keys, *low = first;

	if (!n)
		return 0;
	while (n > 1) {
		unsigned half = n / 2;

		low += *(const uint64_t *)(const void *)(low + (half - 1) * stride) <= key
		               ? half * stride
		               : 0;
		n -= half;
	}
	return (unsigned)((size_t)(low - first) / stride) +
	       (*(const uint64_t *)(const void *)low <= key);
}

static unsigned leaf_rank(const struct rangetree_node *leaf, uint64_t key)
{
	return rank_of(leaf->keys, sizeof(leaf->keys[0]), leaf->n, key);
}

/* The child in which @key is if it is anywhere; by its number. */
static unsigned branch_to(const struct rangetree_node *node, uint64_t key)
{
	unsigned rank = rank_of(&node->branches[0].key, sizeof(node->branches[0]), node->n, key);

	return rank ? rank - 1 : 0;
}

/* Returns the leaf. */
static struct rangetree_node *descend(const struct rangetree *tree, uint64_t key, struct path *path)
{
	struct rangetree_node *node = tree->root;

	for (unsigned level = tree->height; level; level--) {
		path->node[level] = node;
		path->at[level] = branch_to(node, key);
		node = node->branches[path->at[level]].child;
		fetch(node);
	}
	path->node[0] = node;
	return node;
}

static unsigned order_at(unsigned level)
{
	return level ? INNER_ORDER : LEAF_ORDER;
}

static unsigned fewest_at(unsigned level)
{
	return order_at(level) / 4;
}

/* The first key, which is what bounds it from the left. */
static uint64_t first_key(const struct rangetree_node *node, unsigned level)
{
	return level ? node->branches[0].key : node->keys[0];
}

/* @n elements; @to and @from may be the same node. */
static void copy(struct rangetree_node *to, unsigned at, const struct rangetree_node *from,
                 unsigned from_at, unsigned n, unsigned level)
{
	if (level) {
		memmove(&to->branches[at], &from->branches[from_at], n * sizeof(to->branches[0]));
		return;
	}
	memmove(&to->keys[at], &from->keys[from_at], n * sizeof(to->keys[0]));
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
 * How many of a full node stay in it when one more comes to @at. Leaves filled in
 * ascending order, or in descending order, stay full. Inner nodes keep some on both sides,
 * so that every child has a sibling.
 */
static unsigned keeps(unsigned at, unsigned level)
{
	const unsigned order = order_at(level);

	if (at == order)
		return level ? order - fewest_at(level) : order;
	return at ? order / 2 : 0;
}

static struct rangetree_node *split(struct rangetree *tree, struct rangetree_node *node,
                                    unsigned keep, unsigned level)
{
	struct rangetree_node *right = level ? inner_take(tree) : leaf_take(tree);

	right->n = node->n - keep;
	copy(right, 0, node, keep, right->n, level);
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
		struct rangetree_node *root = inner_take(tree);

		root->n = 1;
		root->branches[0] = (struct rangetree_branch){ 0, left };
		tree->root = root;
		tree->height = level;
		path->node[level] = root;
		path->at[level] = 0;
	}
	gap = make_gap(tree, path, level, path->at[level] + 1, bound);
	gap.node->branches[gap.at] = (struct rangetree_branch){ bound, right };
}

static struct rangetree_place make_gap(struct rangetree *tree, struct path *path, unsigned level,
                                       unsigned at, uint64_t key)
{
	struct rangetree_node *node = path->node[level], *right = NULL;
	unsigned left_n;

	if (node->n < order_at(level)) {
		open_gap(node, at, level);
		return (struct rangetree_place){ node, at };
	}
	right = split(tree, node, keeps(at, level), level);
	left_n = node->n;
	adopt(tree, path, level + 1, node, right, right->n ? first_key(right, level) : key);
	if (at > left_n || left_n == order_at(level)) {
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
		tree->root = leaf_take(tree);
	leaf = descend(tree, start, &path);
	gap = make_gap(tree, &path, 0, leaf_rank(leaf, start), start);
	gap.node->keys[gap.at] = start;
	gap.node->values[gap.at] = *value;
	tree->count++;
}

/*
 * Between two of a leaf nothing needs to be looked for. Behind the last one the next
 * leaf's bound may come first.
 */
void rangetree_insert_behind(struct rangetree *tree, const struct rangetree_place *below,
                             uint64_t start, const struct rangetree_value *value)
{
	struct rangetree_node *leaf = below->node;
	const unsigned at = below->at + 1;

	if (leaf->n == LEAF_ORDER || at == leaf->n) {
		rangetree_insert(tree, start, value);
		return;
	}
	open_gap(leaf, at, 0);
	leaf->keys[at] = start;
	leaf->values[at] = *value;
	tree->count++;
}

/* The bound of a node is its parent's; its first branch needs it where it comes behind others. */
static void lower_bound(struct rangetree_node *node, uint64_t bound, unsigned level)
{
	if (level)
		node->branches[0].key = bound;
}

/* @right is child @at of its parent, @left the one before it. */
static void merge(struct rangetree *tree, struct rangetree_node *parent, unsigned at,
                  unsigned level)
{
	struct rangetree_node *left = parent->branches[at - 1].child;
	struct rangetree_node *right = parent->branches[at].child;

	lower_bound(right, parent->branches[at].key, level);
	copy(left, left->n, right, 0, right->n, level);
	left->n += right->n;
	if (!level)
		unlink_leaf(right);
	node_drop(tree, right, level);
	close_gap(parent, at, level + 1);
}

static void balance(struct rangetree_node *parent, unsigned at, unsigned level)
{
	struct rangetree_node *left = parent->branches[at - 1].child;
	struct rangetree_node *right = parent->branches[at].child;
	unsigned goal = (left->n + right->n) / 2, n;

	lower_bound(right, parent->branches[at].key, level);
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
	parent->branches[at].key = first_key(right, level);
}

/* node[level] may have too few. */
static void refill(struct rangetree *tree, struct path *path, unsigned level)
{
	while (level < tree->height && path->node[level]->n < fewest_at(level)) {
		struct rangetree_node *parent = path->node[level + 1];
		unsigned at = path->at[level + 1];

		if (at == 0)
			at = 1;
		if (parent->branches[at - 1].child->n + parent->branches[at].child->n >
		    order_at(level)) {
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
	unsigned at = leaf_rank(leaf, start);

	assert(at && leaf->keys[at - 1] == start);
	close_gap(leaf, at - 1, 0);
	tree->count--;
	refill(tree, &path, 0);
	while (tree->height && tree->root->n == 1) {
		struct rangetree_node *root = tree->root;

		tree->root = root->branches[0].child;
		node_drop(tree, root, tree->height--);
	}
}

bool rangetree_remove_at(struct rangetree *tree, struct rangetree_place *place)
{
	struct rangetree_node *leaf = place->node;

	if (tree->height && leaf->n <= fewest_at(0)) {
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
		node = node->branches[branch_to(node, addr)].child;
		fetch(node);
	}
	at = leaf_rank(node, addr);
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
		node = node->branches[0].child;
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
		if (i && node->branches[i].key <= survey->start)
			return false;
		if (i)
			survey->bound = node->branches[i].key;
		if (!check_below(node->branches[i].child, level - 1, survey))
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
