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

/* The owner alone writes, so that no read-modify-write is needed. */
static inline void translate_count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);

	if (n)
		atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

/* Makes room for one more. 0, -E2BIG or -ENOMEM. */
int iov_list_grow(struct iov_list *list);

/* Appends a piece, or joins it to the last. */
static inline int iov_list_add(struct iov_list *list, char *ptr, uint64_t len)
{
	struct iovec *last;
	int err;

	if (list->n) {
		last = &list->iov[list->n - 1];
		if ((char *)last->iov_base + last->iov_len == ptr) {
			last->iov_len += len;
			return 0;
		}
	}
	if (list->n == list->cap) {
		err = iov_list_grow(list);
		if (err)
			return err;
	}
	list->iov[list->n++] = (struct iovec){ ptr, len };
	return 0;
}

/* The end of a translate_page_fn: @page is the page's address here | its permissions. */
static inline int translate_page_found(struct translate_view *view, uint64_t addr, uint64_t len,
                                       uint64_t page, struct iov_list *iov)
{
	struct translate_line *line = translate_line_of(view, addr);
	char *ptr = (char *)(uintptr_t)(page & ~(uint64_t)TRANSLATE_OFFSET);

	line->tag = (addr & ~(uint64_t)TRANSLATE_OFFSET) | (page & PERM_RW);
	line->page = ptr;
	translate_count(&view->walks, 1);
	return iov ? iov_list_add(iov, ptr + (addr & TRANSLATE_OFFSET), len) : 0;
}

#endif
