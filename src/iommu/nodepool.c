/* SPDX-License-Identifier: BSD-3-Clause */
#include "iommu/nodepool.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

/* Of Linux 6.1; the C library may be older. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PART_SIZE  ((size_t)2 << 20)
#define PART_NODES (unsigned)(PART_SIZE / NODEPOOL_SIZE - 1)

/* With so many a large page more is at most a quarter more than is in use. */
#define SMALL_PARTS 4u

/* A node that nobody has. */
struct spare {
	struct spare *next;
};

/* At the head of a part, in place of its first node. */
struct part {
	struct list node;
	unsigned n_used;
	unsigned n_touched; /* nodes beyond were never taken, and are no memory yet */
	struct spare *spare;
};

static_assert(sizeof(struct part) <= NODEPOOL_SIZE, "it takes a node's place");

void nodepool_init(struct nodepool *pool)
{
	*pool = (struct nodepool){ 0 };
	list_init(&pool->parts);
}

static struct part *part_of(void *node)
{
	return (struct part *)((uintptr_t)node & ~(uintptr_t)(PART_SIZE - 1));
}

/* In twice the size there is one that is aligned. */
static struct part *map_part(void)
{
	char *wide = mmap(NULL, 2 * PART_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                  -1, 0);
	size_t before;

	if (wide == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)wide & (PART_SIZE - 1);
	if (before)
		munmap(wide, before);
	munmap(wide + before + PART_SIZE, PART_SIZE - before);
	return (struct part *)(void *)(wide + before);
}

static void put_first(struct nodepool *pool, struct part *part)
{
	list_remove(&part->node);
	list_append(pool->parts.next, &part->node);
}

static int add_part(struct nodepool *pool)
{
	struct part *part = map_part();

	if (!part)
		return -ENOMEM;
	if (++pool->n_parts > SMALL_PARTS)
		pool->large = true;
	if (pool->large)
		madvise(part, PART_SIZE, MADV_HUGEPAGE);
	list_init(&part->node);
	put_first(pool, part);
	pool->n_free += PART_NODES;
	return 0;
}

static void remove_part(struct nodepool *pool, struct part *part)
{
	list_remove(&part->node);
	pool->n_parts--;
	pool->n_free -= PART_NODES - part->n_used;
	munmap(part, PART_SIZE);
}

void nodepool_done(struct nodepool *pool)
{
	while (!list_is_empty(&pool->parts))
		remove_part(pool, container_of(pool->parts.next, struct part, node));
	assert(!pool->n_parts && !pool->n_free);
}

int nodepool_reserve(struct nodepool *pool, unsigned n)
{
	int error = 0;

	while (pool->n_free < n && !error)
		error = add_part(pool);
	return error;
}

void *nodepool_take(struct nodepool *pool)
{
	struct part *part = container_of(pool->parts.next, struct part, node);
	void *node;

	assert(pool->n_free);
	node = part->spare;
	if (node)
		part->spare = part->spare->next;
	else
		node = (char *)part + (size_t)++part->n_touched * NODEPOOL_SIZE;
	if (++part->n_used == PART_NODES) {
		list_remove(&part->node);
		list_append(&pool->parts, &part->node);
	}
	pool->n_free--;
	return node;
}

/* As much as a part has may be free: who takes and drops by turns maps nothing. */
void nodepool_drop(struct nodepool *pool, void *node)
{
	struct part *part = part_of(node);
	struct spare *spare = node;

	spare->next = part->spare;
	part->spare = spare;
	if (part->n_used-- == PART_NODES)
		put_first(pool, part);
	pool->n_free++;
	if (!part->n_used && pool->n_free >= 2 * (uint64_t)PART_NODES)
		remove_part(pool, part);
}

void nodepool_enlarge(struct nodepool *pool)
{
	struct list *node;

	pool->large = true;
	list_for_each (node, &pool->parts) {
		struct part *part = container_of(node, struct part, node);

		madvise(part, PART_SIZE, MADV_HUGEPAGE);
		madvise(part, PART_SIZE, MADV_COLLAPSE);
	}
}
