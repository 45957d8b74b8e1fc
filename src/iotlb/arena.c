/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

/* The greatest page size of a machine this may run on. */
#define PAGE_MOST ((size_t)65536)

/*
 * What lies in a part beyond so much gets large pages, where the system has them:
 * the processor then misses fewer translations of its own. It is memory for at
 * most a quarter more than is in use.
 */
#define SMALL_MOST ((size_t)8 << 20)
#define PAGE_LARGE ((size_t)2 << 20)

size_t arena_round(size_t size)
{
	return (size + (PAGE_MOST - 1)) & ~(PAGE_MOST - 1);
}

int arena_init(struct arena *arena, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	*arena = (struct arena){ .base = base, .size = size };
	return 0;
}

void arena_done(struct arena *arena)
{
	munmap(arena->base, arena->size);
	*arena = (struct arena){ 0 };
}

static void ask_for_large_pages(char *part, size_t size)
{
	uintptr_t start = ((uintptr_t)part + SMALL_MOST + (PAGE_LARGE - 1)) & ~(PAGE_LARGE - 1);
	uintptr_t end = ((uintptr_t)part + size) & ~(PAGE_LARGE - 1);

	if (start < end)
		(void)madvise((void *)start, end - start, MADV_HUGEPAGE);
}

void *arena_take(struct arena *arena, size_t size)
{
	char *taken = arena->base + arena->taken;

	arena->taken += arena_round(size);
	assert(arena->taken <= arena->size);
	ask_for_large_pages(taken, arena_round(size));
	return taken;
}

void arena_drop(void *first, void *end)
{
	uintptr_t start = ((uintptr_t)first + (PAGE_MOST - 1)) & ~(PAGE_MOST - 1);
	uintptr_t stop = (uintptr_t)end & ~(PAGE_MOST - 1);

	if (start < stop)
		(void)madvise((void *)start, stop - start, MADV_DONTNEED);
}
