/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages of the device's addresses: in which frames they are, what the back-end
 * was given, and what was taken away from it in one of several ways. Answers
 * misses; takes acknowledgements, and has what is behind them trapped at once.
 *
 * A page that goes has a new frame from the moment on when the message is sent, and the
 * miss that follows is answered with that. What the driver wants there lies in both
 * frames until the acknowledgement, as a request may be issued before and
 * after. Rings and indirect tables stay where they are; they are trapped from the
 * acknowledgement to the miss, which is answered only then.
 *
 * Thread: the front-end's.
 */
#ifndef TRAP_PAGES_H
#define TRAP_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "frames.h"
#include "line.h"

#define PAGES_MAX  512u
#define PAGES_FIFO 1024u
/* Removals that are not acknowledged, at most; sockets hold them without anybody reading. */
#define GOING_MAX 48u

struct io;

struct page {
	uint64_t iova;
	unsigned frame; /* where it is, or will be once it is asked for */
	unsigned old;   /* while it goes: where it was */
	uint64_t going; /* serial of the removal that was sent and not acknowledged; 0: none */
	uint64_t gone;  /* of the last one that was acknowledged */
	bool given;     /* an update was sent, and nothing since that takes it away */
	uint8_t perm;   /* of that */
	bool fixed;     /* never leaves its frame */
	bool pinned;    /* by the kernel while I/O goes on: only a canary tells */
	struct io *user;
	unsigned part; /* of the user */
};

/* How a page is taken away. */
enum way {
	WAY_INVALIDATE,
	WAY_RANGE,   /* several pages at once */
	WAY_NOTHING, /* an update with permission 0 */
	WAY_REPLACE, /* an update to somewhere else */
	WAY_LESS,    /* an update to the same place, for reading only */
	WAY_FLUSH,
	WAY_FLUSH_LOW, /* as QEMU does it, around 0xfee00000 */
	WAY_FLUSH_HIGH,
	WAY_SLOT,  /* the region is removed */
	WAY_TABLE, /* a memory table without it */
	WAY_ADD,   /* none: it is there again */
	WAY_END,
};

struct removal {
	enum way way;
	enum frame_state mark;
	uint64_t serial; /* and number of the round */
	unsigned first, last;
};

struct pages_miss {
	struct page *page;
	uint8_t perm;
};

struct pages {
	struct frames *frames;
	const char *subject;
	struct line main, back;
	struct page all[PAGES_MAX];
	unsigned n_fixed, n; /* the fixed ones come first */

	/* Acknowledgements to come, in order: of a removal, or serial 0. */
	struct removal acks[PAGES_FIFO];
	unsigned acks_at, n_acks;
	unsigned n_going;  /* removals among them */
	bool region_comes; /* the second one was added, which is not acknowledged yet */
	struct pages_miss misses[PAGES_FIFO];
	unsigned misses_at, n_misses;

	uint64_t serial;
	uint64_t rounds;    /* removals acknowledged */
	uint64_t trapped;   /* pages made inaccessible, and those filled with a canary */
	uint64_t canaries;  /* behind acknowledgements */
	uint64_t n_answers; /* misses answered */
	bool rings;         /* fixed pages may go, too */
	bool evicts;        /* the back-end may forget by itself */
	bool wide;          /* neighbours are neighbours in frames, too, and are given together */
	unsigned keep_away; /* frames that stay spoilt, at most */
	uint64_t random;
};

/* Made before rings run. */
void pages_init(struct pages *pages, struct frames *frames, const char *subject, uint64_t seed);
/* The next page, in a frame of its own: a fixed one in the frame of the same number. */
struct page *pages_add(struct pages *pages, bool fixed);
/* The sockets stay the caller's. */
void pages_connect(struct pages *pages, int main_fd, int back_fd);

static inline void *page_ptr(const struct pages *pages, const struct page *page)
{
	return frame_ptr(pages->frames, page->frame);
}

/* Where it was, if it is on its way: what the driver writes is written there, too. */
void *page_old_ptr(const struct pages *pages, const struct page *page);

/* Takes pages away, by whatever way but those of regions. False: not now. */
bool pages_remove(struct pages *pages, enum way way, enum frame_state mark);
/* Takes everything away and back: nothing is trapped, nothing moves. */
void pages_flush(struct pages *pages, bool odd);

/* answers.c */
/* Reads both sockets, answers, sends. False: nothing was there to be done. */
bool pages_turn(struct pages *pages);

/* regions.c */
/* The second region, out or in. False: not now, as it is not there or something goes. */
bool pages_remove_region(struct pages *pages, enum way way);
bool pages_add_region(struct pages *pages);
void pages_region_acknowledged(struct pages *pages, const struct removal *removal);

/* For each other. */

#define LINE_ROOM (LINE_BYTES / 2)

/* @n pages that are neighbours in every way. */
void pages_send_update(struct pages *pages, const struct page *page, unsigned n, uint8_t perm,
                       const struct removal *removal);
/* The page leaves its frame. */
void pages_begin(struct pages *pages, struct page *page, uint64_t serial);
void pages_expect(struct pages *pages, const struct removal *removal);
/* What the user of a page that went has got there, once it can't change any more. */
void pages_land(struct pages *pages, struct page *page);
const char *pages_way_name(enum way way);

#endif
