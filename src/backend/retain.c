/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/retain.h"

#include <stdlib.h>

static bool retain_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	const struct retain *retain = view->source;
	uint64_t hole;

	if (retain->below->walk(retain->below, addr, perm, ret))
		return true;
	hole = ret->after;
	for (unsigned i = 0; i < retain->n; i++) {
		const struct retained *kept = &retain->kept[i];

		if ((kept->perm & perm) != perm)
			continue;
		if (range_has(kept->range, addr)) {
			*ret = (struct walk){
				.ptr = kept->ptr + (addr - kept->range.start),
				.before = 0,
				.after = kept->range.last - addr + 1,
				.perm = kept->perm,
			};
			return true;
		}
		if (kept->range.start > addr && kept->range.start - addr < hole)
			hole = kept->range.start - addr;
	}
	ret->after = hole;
	return false;
}

void retain_init(struct retain *retain)
{
	*retain = (struct retain){ 0 };
	retain->view.walk = retain_walk;
	retain->view.source = retain;
	retain->view.can_miss = true;
}

void retain_done(struct retain *retain)
{
	free(retain->kept);
	retain_init(retain);
}

static bool retain_has_room(struct retain *retain)
{
	struct retained *kept;
	unsigned cap = retain->cap ? 2 * retain->cap : 64;

	if (retain->n < retain->cap)
		return true;
	/* More pieces than a request may have are of no use to it. */
	if (cap > 2 * IOV_LIST_MAX)
		return false;
	kept = realloc(retain->kept, cap * sizeof(*kept));
	if (!kept)
		return false;
	retain->kept = kept;
	retain->cap = cap;
	return true;
}

/* How many bytes from @addr on are kept in one piece. */
static uint64_t retain_keeps(const struct retain *retain, uint64_t addr, uint8_t perm)
{
	for (unsigned i = 0; i < retain->n; i++)
		if (range_has(retain->kept[i].range, addr) && (retain->kept[i].perm & perm) == perm)
			return retain->kept[i].range.last - addr + 1;
	return 0;
}

void retain_look(struct retain *retain, struct translate_view *below, uint64_t addr, uint64_t len,
                 uint8_t perm)
{
	while (len) {
		struct walk walk;
		uint64_t step = retain_keeps(retain, addr, perm);
		bool found = false;

		if (!step) {
			found = below->walk(below, addr, perm, &walk);
			step = walk.after;
		}
		if (step > len)
			step = len;
		if (found) {
			if (!retain_has_room(retain))
				return;
			retain->kept[retain->n++] = (struct retained){
				.range = { addr, addr + (step - 1) },
				.ptr = walk.ptr,
				.perm = walk.perm,
			};
		}
		addr += step;
		len -= step;
	}
}

struct translate_view *retain_view(struct retain *retain, struct translate_view *below)
{
	if (!retain->n)
		return below;
	retain->below = below;
	return &retain->view;
}

void retain_forget(struct retain *retain, struct range range)
{
	unsigned left = 0;

	for (unsigned i = 0; i < retain->n; i++)
		if (!range_overlaps(retain->kept[i].range, range))
			retain->kept[left++] = retain->kept[i];
	retain->n = left;
}

void retain_clear(struct retain *retain)
{
	retain->n = 0;
}
