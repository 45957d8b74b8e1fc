/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/btree_node.h"

/* What has been seen so far, in order. */
struct seen {
	const struct btree *tree;
	uint64_t keys;
	uint32_t nodes;
	uint32_t leaf; /* the last one */
	uint64_t last; /* key, of @keys */
};

static bool leaf_check(struct seen *seen, uint32_t number, uint64_t least, uint64_t most)
{
	const struct btree_node *leaf = &seen->tree->nodes[number];

	if (seen->leaf &&
	    (seen->tree->nodes[seen->leaf].next != number || node_key(leaf, 0) != least))
		return false;
	seen->leaf = number;
	for (unsigned i = 0; i < node_count(leaf); i++) {
		uint64_t key = node_key(leaf, i);

		if (key < least || key > most || (seen->keys && key <= seen->last))
			return false;
		seen->last = key;
		seen->keys++;
	}
	return true;
}

/* All keys of the node are within [@least, @most]. */
static bool node_check(struct seen *seen, uint32_t number, unsigned level, uint64_t least,
                       uint64_t most)
{
	const struct btree_node *node = &seen->tree->nodes[number];
	unsigned n = node_count(node);
	bool is_root = number == (uint32_t)seen->tree->root;

	seen->nodes++;
	if (number == 0 || number > seen->tree->touched || level == 0)
		return false;
	if (n == 0 && !is_root)
		return false;
	if (level == 1)
		return leaf_check(seen, number, least, most);
	if (n < (is_root ? 2 : BTREE_KEYS / 4))
		return false;
	for (unsigned i = 0; i < n; i++) {
		uint64_t first = i ? node_key(node, i) : least;
		uint64_t last = i + 1 < n ? node_key(node, i + 1) - 1 : most;

		if (first < least || last > most || first > last ||
		    !node_check(seen, node_id(node, i), level - 1, first, last))
			return false;
	}
	return true;
}

bool btree_check(const struct btree *tree)
{
	struct seen seen = { .tree = tree };
	unsigned levels = (unsigned)(tree->root >> 32);

	if (!levels)
		return tree->n == 0 && tree->n_nodes == 0;
	if (!node_check(&seen, (uint32_t)tree->root, levels, 0, UINT64_MAX))
		return false;
	return seen.keys == tree->n && seen.nodes == tree->n_nodes &&
	       tree->nodes[seen.leaf].next == 0 && tree->touched <= tree->capacity;
}
