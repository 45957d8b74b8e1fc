/* SPDX-License-Identifier: BSD-3-Clause */
#include "random.h"

#include <assert.h>
#include <stdlib.h>

#include "memory/translate_inline.h"
#include "pairs.h"

struct random_map {
	uint32_t place[RANDOM_PAGES]; /* in pages[], from 1; 0: not there */
	uint64_t n, bound, seed;
	uint32_t pages[];
};

struct random_map *random_map_new(uint64_t bound, uint64_t seed)
{
	struct random_map *map = calloc(1, sizeof(*map) + bound * sizeof(map->pages[0]));

	if (map) {
		map->bound = bound;
		map->seed = seed;
	}
	return map;
}

void random_map_free(struct random_map *map)
{
	free(map);
}

/* The last one moves to its place. */
static void drop(struct random_map *map, uint64_t page)
{
	uint32_t place = map->place[page], last = map->pages[--map->n];

	map->pages[place - 1] = last;
	map->place[last] = place;
	map->place[page] = 0;
}

void random_map_update(struct random_map *map, uint64_t page)
{
	assert(page < RANDOM_PAGES && !map->place[page]);
	if (map->n == map->bound)
		drop(map, map->pages[(pairs_random(&map->seed) >> 20) % map->n]);
	map->pages[map->n++] = (uint32_t)page;
	map->place[page] = (uint32_t)map->n;
}

void random_map_invalidate(struct random_map *map, uint64_t page, uint64_t n)
{
	for (uint64_t i = page; i - page < n && i < RANDOM_PAGES; i++)
		if (map->place[i])
			drop(map, i);
}

bool random_map_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	const struct random_map *map = view->source;
	uint64_t page = addr >> TRANSLATE_PAGE_SHIFT, offset = addr & TRANSLATE_OFFSET;

	(void)perm;
	*ret = (struct walk){ .after = TRANSLATE_PAGE - offset };
	if (page >= RANDOM_PAGES || !map->place[page])
		return false;
	ret->before = offset;
	ret->ptr = (char *)(uintptr_t)((2 * page + 1) * TRANSLATE_PAGE + offset);
	ret->perm = PERM_RW;
	return true;
}
