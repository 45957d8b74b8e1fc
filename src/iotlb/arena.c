/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

/* The greatest page size of a machine this may run on. */
#define PAGE_MOST ((size_t)65536)

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

void *arena_take(struct arena *arena, size_t size)
{
	void *taken = arena->base + arena->taken;

	arena->taken += arena_round(size);
	assert(arena->taken <= arena->size);
	return taken;
}

void arena_drop(void *first, void *end)
{
	uintptr_t start = ((uintptr_t)first + (PAGE_MOST - 1)) & ~(PAGE_MOST - 1);
	uintptr_t stop = (uintptr_t)end & ~(PAGE_MOST - 1);

	if (start < stop)
		(void)madvise((void *)start, stop - start, MADV_DONTNEED);
}
