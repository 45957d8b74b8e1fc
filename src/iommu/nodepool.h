/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for the nodes of a tree, all of one size and aligned to it. It comes in parts of
 * 2 MiB, each of which goes when it is empty. Who has several asks for further ones as
 * large pages: to go from node to node among very many then misses fewer of the
 * processor's own translations, which takes as long as to miss a cache.
 *
 * Thread: one at a time.
 */
#ifndef IOMMU_NODEPOOL_H
#define IOMMU_NODEPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define NODEPOOL_SIZE 1024u /* bytes of a node */

struct nodepool {
	struct list parts; /* those with room come first */
	unsigned n_parts;
	bool large; /* so are further parts */
	uint64_t n_free;
};

void nodepool_init(struct nodepool *pool);
/* Nodes that were not dropped go, too. */
void nodepool_done(struct nodepool *pool);

/* Afterwards @n can be taken. 0 or -ENOMEM. */
int nodepool_reserve(struct nodepool *pool, unsigned n);

/* There is one, see nodepool_reserve(); what it holds is anything. */
void *nodepool_take(struct nodepool *pool);
void nodepool_drop(struct nodepool *pool, void *node);

/* Has large pages from now on, also for what there is, if the system can do that. */
void nodepool_enlarge(struct nodepool *pool);

#endif
