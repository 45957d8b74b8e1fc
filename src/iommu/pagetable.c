/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mappings sit in a treap: a search tree by address that is a heap by random
 * priority. Everything that changes a range cuts the tree in three at the
 * range's ends, deals with the middle, and joins what is left.
 */
#include "iommu/pagetable.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct pagetable_node {
	struct pagetable_node *left, *right;
	uint64_t priority;
	struct mapping mapping;
};

/* xorshift64: depth must not follow from the order of mappings, no more. */
static uint64_t next_random(struct pagetable *table)
{
	uint64_t x = table->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return table->random = x;
}

static struct pagetable_node *node_new(struct pagetable *table, const struct mapping *mapping)
{
	struct pagetable_node *node = table->spare;

	if (node)
		table->spare = node->right;
	else
		node = malloc(sizeof(*node));
	if (!node)
		return NULL;
	*node = (struct pagetable_node){ .priority = next_random(table), .mapping = *mapping };
	table->count++;
	return node;
}

static void node_drop(struct pagetable *table, struct pagetable_node *node)
{
	node->right = table->spare;
	table->spare = node;
	table->count--;
}

/* What begins below @addr goes left. */
static void split(struct pagetable_node *node, uint64_t addr, struct pagetable_node **left,
                  struct pagetable_node **right)
{
	while (node) {
		if (node->mapping.iova.start < addr) {
			*left = node;
			left = &node->right;
			node = node->right;
		} else {
			*right = node;
			right = &node->left;
			node = node->left;
		}
	}
	*left = *right = NULL;
}

/* All of @a lies below all of @b. */
static struct pagetable_node *join(struct pagetable_node *a, struct pagetable_node *b)
{
	struct pagetable_node *root, **at = &root;

	while (a && b) {
		if (a->priority > b->priority) {
			*at = a;
			at = &a->right;
			a = a->right;
		} else {
			*at = b;
			at = &b->left;
			b = b->left;
		}
	}
	*at = a ? a : b;
	return root;
}

struct pieces {
	struct pagetable_node *below, *middle, *above;
};

/* No mapping may straddle an end of @range. */
static struct pieces take_apart(struct pagetable *table, struct range range)
{
	struct pieces pieces;
	struct pagetable_node *rest;

	split(table->root, range.start, &pieces.below, &rest);
	if (range.last == UINT64_MAX) {
		pieces.middle = rest;
		pieces.above = NULL;
	} else {
		split(rest, range.last + 1, &pieces.middle, &pieces.above);
	}
	return pieces;
}

static void put_together(struct pagetable *table, struct pieces pieces)
{
	table->root = join(join(pieces.below, pieces.middle), pieces.above);
}

/* The mapping with the greatest start at or below @addr. */
static struct pagetable_node *find_below(const struct pagetable *table, uint64_t addr)
{
	struct pagetable_node *node = table->root, *best = NULL;

	while (node) {
		if (node->mapping.iova.start <= addr) {
			best = node;
			node = node->right;
		} else {
			node = node->left;
		}
	}
	return best;
}

static struct pagetable_node *find(const struct pagetable *table, uint64_t addr)
{
	struct pagetable_node *node = find_below(table, addr);

	return node && node->mapping.iova.last >= addr ? node : NULL;
}

static void insert(struct pagetable *table, struct pagetable_node *node)
{
	struct pagetable_node *left, *right;

	split(table->root, node->mapping.iova.start, &left, &right);
	table->root = join(join(left, node), right);
}

static struct pagetable_node *straddler(const struct pagetable *table, uint64_t addr)
{
	struct pagetable_node *node = find(table, addr);

	return node && node->mapping.iova.start < addr ? node : NULL;
}

/* Makes a mapping begin at @addr if one goes across it. */
static int cut(struct pagetable *table, uint64_t addr)
{
	struct pagetable_node *node = straddler(table, addr), *upper;
	struct mapping mapping;

	if (!node)
		return 0;
	mapping = node->mapping;
	mapping.uva += addr - mapping.iova.start;
	mapping.iova.start = addr;
	upper = node_new(table, &mapping);
	if (!upper)
		return -ENOMEM;
	node->mapping.iova.last = addr - 1;
	insert(table, upper);
	return 0;
}

/*
 * A cut that was made and turns out useless is harmless: it changes no address's
 * translation.
 */
static int cut_ends(struct pagetable *table, struct range range)
{
	unsigned cuts = straddler(table, range.start) != NULL;
	int error;

	if (range.last != UINT64_MAX)
		cuts += straddler(table, range.last + 1) != NULL;
	if (cuts > table->max - table->count)
		return -ENOSPC;
	error = cut(table, range.start);
	if (!error && range.last != UINT64_MAX)
		error = cut(table, range.last + 1);
	return error;
}

void pagetable_init(struct pagetable *table, uint64_t max)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	*table = (struct pagetable){ .max = max,
		                     .random = ((uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec ^
		                                (uintptr_t)table) |
		                               1 };
}

void pagetable_done(struct pagetable *table)
{
	struct pagetable_node *node;

	pagetable_hide(table, RANGE_ALL, &(struct range){ 0 }, &(bool){ false });
	pagetable_remove_hidden(table, RANGE_ALL, false);
	while ((node = table->spare)) {
		table->spare = node->right;
		free(node);
	}
}

int pagetable_map(struct pagetable *table, struct range iova, uint64_t uva, uint8_t perm)
{
	const struct mapping mapping = { .iova = iova, .uva = uva, .perm = perm };
	struct pagetable_node *node = find_below(table, iova.last);

	if (node && range_overlaps(node->mapping.iova, iova))
		return -EEXIST;
	if (table->count >= table->max)
		return -ENOSPC;
	node = node_new(table, &mapping);
	if (!node)
		return -ENOMEM;
	insert(table, node);
	return 0;
}

bool pagetable_walk(const struct pagetable *table, uint64_t iova, struct mapping *ret)
{
	struct pagetable_node *node = find(table, iova);

	if (!node || node->mapping.hidden)
		return false;
	*ret = node->mapping;
	return true;
}

bool pagetable_walk_given(struct pagetable *table, uint64_t iova, struct mapping *ret)
{
	struct pagetable_node *node = find(table, iova);

	if (!node || node->mapping.hidden)
		return false;
	node->mapping.given = true;
	*ret = node->mapping;
	return true;
}

/* In order of address; the recursion is as deep as the tree. */
static void hide_each(struct pagetable_node *node, struct range *given, bool *any)
{
	struct mapping *mapping;

	if (!node)
		return;
	hide_each(node->left, given, any);
	mapping = &node->mapping;
	mapping->hidden = true;
	if (mapping->given) {
		if (!*any)
			given->start = mapping->iova.start;
		given->last = mapping->iova.last;
		*any = true;
	}
	hide_each(node->right, given, any);
}

int pagetable_hide(struct pagetable *table, struct range iova, struct range *ret_given,
                   bool *ret_any_given)
{
	struct pieces pieces;
	int error;

	*ret_any_given = false;
	error = cut_ends(table, iova);
	if (error)
		return error;
	pieces = take_apart(table, iova);
	hide_each(pieces.middle, ret_given, ret_any_given);
	put_together(table, pieces);
	return 0;
}

static struct pagetable_node *remove_each(struct pagetable *table, struct pagetable_node *node,
                                          bool keep_given)
{
	struct pagetable_node *left, *right;

	if (!node)
		return NULL;
	left = remove_each(table, node->left, keep_given);
	right = remove_each(table, node->right, keep_given);
	if (!node->mapping.hidden || (keep_given && node->mapping.given)) {
		node->left = left;
		node->right = right;
		return node;
	}
	node_drop(table, node);
	return join(left, right);
}

void pagetable_remove_hidden(struct pagetable *table, struct range iova, bool keep_given)
{
	struct pieces pieces = take_apart(table, iova);

	pieces.middle = remove_each(table, pieces.middle, keep_given);
	put_together(table, pieces);
}

static uint64_t hidden_bytes(const struct pagetable_node *node)
{
	if (!node)
		return 0;
	return hidden_bytes(node->left) + hidden_bytes(node->right) +
	       (node->mapping.hidden ? range_size(node->mapping.iova) : 0);
}

uint64_t pagetable_hidden_bytes(const struct pagetable *table)
{
	return hidden_bytes(table->root);
}

/* @next: the least address that the next mapping may begin at; @full: none may. */
static bool check_each(const struct pagetable_node *node, uint64_t *next, bool *full,
                       uint64_t *count)
{
	const struct mapping *mapping;

	if (!node)
		return true;
	if (!check_each(node->left, next, full, count))
		return false;
	mapping = &node->mapping;
	if (*full || mapping->iova.start < *next || mapping->iova.last < mapping->iova.start)
		return false;
	if ((node->left && node->left->priority > node->priority) ||
	    (node->right && node->right->priority > node->priority))
		return false;
	*full = mapping->iova.last == UINT64_MAX;
	*next = mapping->iova.last + 1;
	++*count;
	return check_each(node->right, next, full, count);
}

bool pagetable_check(const struct pagetable *table)
{
	uint64_t next = 0, count = 0;
	bool full = false;

	return check_each(table->root, &next, &full, &count) && count == table->count &&
	       count <= table->max;
}
