/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The narrow interface of the data plane: (address, length, permission) becomes
 * pieces of local memory, or holes. A ring never knows whether addresses are
 * guest physical ones looked up in the memory table or I/O virtual ones looked
 * up in a device IOTLB: both sit behind one view, whose front cache answers a
 * hit with one load and a compare.
 *
 * A view belongs to one worker thread; nothing in it is shared but two counters.
 * What it has cached is removed by that thread alone (translate_forget()), when
 * the session tells it to: until then a line stays good whatever happens to the
 * map behind it, which is why an invalidation is acknowledged only after every
 * worker has forgotten.
 */
#ifndef MEMORY_TRANSLATE_H
#define MEMORY_TRANSLATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/range.h"

/* The values of struct vhu_iotlb.perm on the wire. */
enum {
	PERM_READ = 1,
	PERM_WRITE = 2,
	PERM_RW = 3,
};

#define TRANSLATE_PAGE 4096u

/* What could not be translated: contiguous, maximal within one request. */
struct hole {
	uint64_t addr;
	uint64_t len;
	uint8_t perm;
};

/*
 * Holes met so far, in a caller's array. Neighbours of equal permission are
 * joined. What did not fit is dropped and @more set: it will be met again.
 */
struct hole_list {
	struct hole *holes;
	unsigned n;
	unsigned cap;
	bool more;
};

/*
 * Pieces of local memory met so far; neighbours in memory are joined. The array
 * grows by itself up to IOV_LIST_MAX and keeps its size for the next use, so
 * that a warm list never allocates. Zero-initialised is empty.
 */
struct iov_list {
	struct iovec *iov;
	unsigned n;
	unsigned cap;
};

#define IOV_LIST_MAX 16384u

/* Of more than so many pieces a list does not keep its size after use. */
#define IOV_LIST_KEEP 512u

void iov_list_done(struct iov_list *list);
/* After use: gives back what is more than most uses need. The pieces are gone then. */
void iov_list_trim(struct iov_list *list);

/* The answer of what stands behind the front cache. */
struct walk {
	char *ptr;       /* of the address asked for */
	uint64_t before; /* bytes before it that belong to the same piece */
	uint64_t after;  /* bytes from it on, at least 1: of the piece or of the hole */
	uint8_t perm;    /* all that the piece allows */
};

struct translate_view;

/*
 * Looks @addr up for @perm. True: *ret is a piece. False: a hole, of which only
 * ret->after is set (how far nothing gives @perm; may be less than the truth).
 */
typedef bool translate_walk_fn(struct translate_view *view, uint64_t addr, uint8_t perm,
                               struct walk *ret);

/*
 * translate() of a buffer that lies in one page which has no line, with lines there.
 * What a short way does not lead to is left to translate_range().
 */
typedef int translate_page_fn(struct translate_view *view, uint64_t addr, uint64_t len,
                              uint8_t perm, struct iov_list *iov, struct hole_list *holes);

/* One page of the front cache: the page's address | its permissions. */
struct translate_line {
	uint64_t tag;
	char *page;
};

struct translate_view {
	struct translate_line *lines; /* NULL: no front cache */
	uint64_t mask;                /* number of lines - 1 */
	translate_walk_fn *walk;
	translate_page_fn *walk_page; /* walk() may put its short way here */
	void *source;                 /* of both */

	/* A hole may be filled by asking (IOTLB), or is final (memory table). */
	bool can_miss;

	/* Written by the owner alone, read by anybody: relaxed. */
	_Atomic uint64_t hits;
	_Atomic uint64_t walks;
};

/* @lines: a power of two, or 0 for a view without front cache. 0 or -ENOMEM. */
int translate_view_init(struct translate_view *view, unsigned lines);
void translate_view_done(struct translate_view *view);

/* What stands behind, from now on; forgets everything. */
void translate_view_attach(struct translate_view *view, translate_walk_fn *walk, void *source,
                           bool can_miss);

/* Drops what is cached of @range. */
void translate_forget(struct translate_view *view, struct range range);

/*
 * Appends the pieces of [addr, addr + len) to @iov and its holes to @holes,
 * going on behind a hole until @holes is full. @iov may be NULL where only the
 * holes matter, @holes where only the fact of one does. Pieces and holes are
 * joined to what earlier calls appended, too: what a device reads and what it
 * writes need a list each.
 *
 * Returns 0; -EAGAIN if there were holes that can be asked for; -EFAULT if there
 * were final ones, or the range wraps; -E2BIG beyond IOV_LIST_MAX; -ENOMEM.
 * After an error @iov holds pieces that must not be used.
 */
int translate(struct translate_view *view, uint64_t addr, uint64_t len, uint8_t perm,
              struct iov_list *iov, struct hole_list *holes);

/* The same without a look at the front cache first. For who is asked by translate(). */
int translate_range(struct translate_view *view, uint64_t addr, uint64_t len, uint8_t perm,
                    struct iov_list *iov, struct hole_list *holes);

#endif
