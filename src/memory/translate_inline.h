/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hit of a front cache, to be inlined where a call would cost more than the
 * look-up: one line loaded, one compare.
 *
 * Thread: the view's worker.
 */
#ifndef MEMORY_TRANSLATE_INLINE_H
#define MEMORY_TRANSLATE_INLINE_H

#include <stddef.h>
#include <stdint.h>

#include "memory/translate.h"

#define TRANSLATE_PAGE_SHIFT 12
#define TRANSLATE_OFFSET     (TRANSLATE_PAGE - 1)

static inline struct translate_line *translate_line_of(const struct translate_view *view,
                                                       uint64_t addr)
{
	return &view->lines[addr >> TRANSLATE_PAGE_SHIFT & view->mask];
}

/*
 * Memory at @addr if the front cache holds its page with all of @perm, good to
 * the end of the page; else NULL. Needs a view with lines. @perm is not 0: an
 * empty line allows nothing, so that it never matches.
 */
static inline char *translate_peek(const struct translate_view *view, uint64_t addr, uint8_t perm)
{
	const struct translate_line *line = translate_line_of(view, addr);
	uint64_t want = (addr & ~(uint64_t)TRANSLATE_OFFSET) | perm;

	if ((line->tag ^ want) & (~(uint64_t)TRANSLATE_OFFSET | perm))
		return NULL;
	return line->page + (addr & TRANSLATE_OFFSET);
}

#endif
