/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/translate.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/translate_inline.h"

#define IOV_LIST_FIRST 16u

/* Pages of one walk that go into the front cache: more would push out the rest. */
#define FILL_MAX 32u

/* One call of translate(). */
struct job {
	struct translate_view *view;
	uint64_t addr; /* what is left */
	uint64_t len;
	uint8_t perm;
	struct iov_list *iov;
	struct hole_list *holes;
	uint64_t hits;
	uint64_t walks;
	bool holed;
};

void iov_list_done(struct iov_list *list)
{
	free(list->iov);
	*list = (struct iov_list){ 0 };
}

void iov_list_trim(struct iov_list *list)
{
	if (list->cap > IOV_LIST_KEEP)
		iov_list_done(list);
}

int iov_list_grow(struct iov_list *list)
{
	unsigned cap = list->cap ? 2 * list->cap : IOV_LIST_FIRST;
	struct iovec *iov;

	if (list->cap >= IOV_LIST_MAX)
		return -E2BIG;
	iov = realloc(list->iov, cap * sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	list->iov = iov;
	list->cap = cap;
	return 0;
}

/* A hole that starts at 0 does not follow one that ends with the space. */
static bool hole_follows(const struct hole *last, const struct hole *hole)
{
	return hole->addr && last->addr + last->len == hole->addr && last->perm == hole->perm;
}

/* False: there is no room for it. */
static bool hole_add(struct hole_list *list, struct hole hole)
{
	if (list->n && hole_follows(&list->holes[list->n - 1], &hole)) {
		list->holes[list->n - 1].len += hole.len;
		return true;
	}
	if (list->n == list->cap) {
		list->more = true;
		return false;
	}
	list->holes[list->n++] = hole;
	return true;
}

/* Caches the pages of [addr, addr + len), and only those wholly in the piece. */
static void view_fill(struct translate_view *view, const struct walk *walk, uint64_t addr,
                      uint64_t len)
{
	uint64_t back = addr & TRANSLATE_OFFSET;
	uint64_t at = 0; /* distance of the page's start from addr - back */

	for (unsigned n = 0; n < FILL_MAX && at < back + len; n++, at += TRANSLATE_PAGE) {
		struct translate_line *line = translate_line_of(view, addr - back + at);

		if (n == 0 && walk->before < back)
			continue;
		if (walk->after < at + TRANSLATE_PAGE - back)
			break;
		line->tag = (addr - back + at) | walk->perm;
		line->page = walk->ptr - back + at;
	}
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void job_advance(struct job *job, uint64_t len)
{
	job->addr += len;
	job->len -= len;
}

/* 1: go on; 0: nothing that follows matters any more. */
static int job_hole(struct job *job, uint64_t len)
{
	struct hole hole = { job->addr, len, job->perm };

	job->holed = true;
	if (!job->holes || !hole_add(job->holes, hole))
		return 0;
	job_advance(job, len);
	return 1;
}

/* The front cache has no line for job->addr. 1: go on; 0: stop; or an error. */
static int job_walk(struct job *job)
{
	struct walk walk = { 0 };
	uint64_t len;
	int err = 0;

	job->walks++;
	if (!job->view->walk(job->view, job->addr, job->perm, &walk)) {
		assert(walk.after);
		return job_hole(job, least(walk.after, job->len));
	}
	assert(walk.after && (walk.perm & job->perm) == job->perm);
	len = least(walk.after, job->len);
	if (job->view->lines)
		view_fill(job->view, &walk, job->addr, len);
	if (job->iov)
		err = iov_list_add(job->iov, walk.ptr, len);
	job_advance(job, len);
	return err ? err : 1;
}

static int job_run(struct job *job)
{
	while (job->len) {
		char *ptr = job->view->lines ? translate_peek(job->view, job->addr, job->perm)
		                             : NULL;
		int err = 1;

		if (ptr) {
			uint64_t len = least(TRANSLATE_PAGE - (job->addr & TRANSLATE_OFFSET),
			                     job->len);

			job->hits++;
			if (job->iov)
				err = iov_list_add(job->iov, ptr, len);
			if (err < 0)
				return err;
			job_advance(job, len);
			continue;
		}
		err = job_walk(job);
		if (err < 0)
			return err;
		if (err == 0)
			break;
	}
	if (job->holed)
		return job->view->can_miss ? -EAGAIN : -EFAULT;
	return 0;
}

int translate_range(struct translate_view *view, uint64_t addr, uint64_t len, uint8_t perm,
                    struct iov_list *iov, struct hole_list *holes)
{
	struct job job = { view, addr, len, perm, iov, holes };
	struct range range;
	int err;

	if (len == 0)
		return 0;
	if (!range_make(addr, len, &range))
		return -EFAULT;
	err = job_run(&job);
	translate_count(&view->hits, job.hits);
	translate_count(&view->walks, job.walks);
	return err;
}

int translate(struct translate_view *view, uint64_t addr, uint64_t len, uint8_t perm,
              struct iov_list *iov, struct hole_list *holes)
{
	char *ptr;

	assert(perm >= PERM_READ && perm <= PERM_RW);
	/* The usual buffer is in one page. Length 0 fails the test, too. */
	if (!view->lines || len - 1 >= TRANSLATE_PAGE - (addr & TRANSLATE_OFFSET))
		return translate_range(view, addr, len, perm, iov, holes);
	ptr = translate_peek(view, addr, perm);
	if (!ptr)
		return view->walk_page(view, addr, len, perm, iov, holes);
	translate_count(&view->hits, 1);
	return iov ? iov_list_add(iov, ptr, len) : 0;
}

int translate_view_init(struct translate_view *view, unsigned lines)
{
	assert((lines & (lines - 1)) == 0);
	*view = (struct translate_view){ .walk_page = translate_range };
	if (lines == 0)
		return 0;
	view->lines = calloc(lines, sizeof(*view->lines));
	if (!view->lines)
		return -ENOMEM;
	view->mask = lines - 1;
	return 0;
}

void translate_view_done(struct translate_view *view)
{
	free(view->lines);
	view->lines = NULL;
}

void translate_view_attach(struct translate_view *view, translate_walk_fn *walk, void *source,
                           bool can_miss)
{
	view->walk = walk;
	view->walk_page = translate_range;
	view->source = source;
	view->can_miss = can_miss;
	translate_forget(view, RANGE_ALL);
}

static void forget_pages(struct translate_view *view, uint64_t first, uint64_t last)
{
	for (uint64_t page = first;; page++) {
		struct translate_line *line = &view->lines[page & view->mask];

		if (line->tag >> TRANSLATE_PAGE_SHIFT == page)
			line->tag = 0;
		if (page == last)
			break;
	}
}

static void forget_sweep(struct translate_view *view, uint64_t first, uint64_t last)
{
	for (uint64_t i = 0; i <= view->mask; i++) {
		uint64_t page = view->lines[i].tag >> TRANSLATE_PAGE_SHIFT;

		if (first <= page && page <= last)
			view->lines[i].tag = 0;
	}
}

void translate_forget(struct translate_view *view, struct range range)
{
	uint64_t first = range.start >> TRANSLATE_PAGE_SHIFT;
	uint64_t last = range.last >> TRANSLATE_PAGE_SHIFT;

	if (!view->lines)
		return;
	if (last - first < view->mask)
		forget_pages(view, first, last);
	else
		forget_sweep(view, first, last);
}
