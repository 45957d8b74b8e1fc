/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory, in frames of a page each, and the back-end's own mapping of it, which
 * the test finds and spoils: a frame whose removal was acknowledged is made
 * inaccessible there, or filled with a canary, until it is lifted again. Whoever
 * touches it is remembered, and may go on: what is wrong is seen without the
 * process ending.
 *
 * There are two regions: the first always shared, the second one that may be
 * removed and added.
 *
 * Thread: the front-end's, but for the handler of SIGSEGV, which only looks
 * where it is and leaves word. It may have come in the middle of anything, the
 * thread sanitizer's own work included, so nothing that it does is instrumented.
 */
#ifndef TRAP_FRAMES_H
#define TRAP_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <vhu/frontend.h>

#include "pattern.h"

#define FRAMES_MAX     1024u
#define FRAMES_REGIONS 2u

enum frame_state {
	FRAME_FREE,
	FRAME_USED,
	FRAME_READ_ONLY, /* for the back-end, which may no longer write */
	FRAME_TRAPPED,   /* for the back-end, which may not touch it */
	FRAME_CANARY,    /* full of what must not change */
};

struct frame {
	enum frame_state state;
	/* Why it is not the back-end's any more. */
	uint64_t iova;
	uint64_t round;
	const char *way;
};

struct frames_region {
	unsigned first, n; /* frames */
	int fd;
	uint64_t gpa, uva, size;
	bool shared;
	bool barred; /* where it was nothing else may be */
	/* The back-end's mapping, or where it was; read by the handler. */
	char *volatile theirs;
};

struct frames {
	struct vhu_guestmem *mem;
	char *ours;
	const char *subject; /* of verdicts: what is being run */
	struct frames_region regions[FRAMES_REGIONS];
	struct frame all[FRAMES_MAX];
	unsigned n, n_fixed; /* fixed ones are never taken */
	unsigned free[FRAMES_MAX], n_free;
	unsigned away[FRAMES_MAX], away_at, n_away; /* trapped or canaries, oldest first */
};

/* @n_fixed frames and @n more in the first region, @n_second in the other. 0 or -errno. */
int frames_init(struct frames *frames, const char *subject, unsigned n_fixed, unsigned n,
                unsigned n_second);
void frames_done(struct frames *frames);

/* A region was shared: finds the back-end's mapping. False: the verdict says why. */
bool frames_shared(struct frames *frames, unsigned region);
/* It is about to go: no frame of it is taken any more, and none is away. */
void frames_withhold(struct frames *frames, unsigned region);
/* It was removed: whoever comes where it was finds nothing there. */
void frames_removed(struct frames *frames, unsigned region, uint64_t round, const char *way);
/* Room for it to be mapped again. */
void frames_readmit(struct frames *frames, unsigned region);

static inline void *frame_ptr(const struct frames *frames, unsigned frame)
{
	return frames->ours + (uint64_t)frame * PAGE;
}

static inline bool frame_is_in(const struct frames *frames, unsigned frame, unsigned region)
{
	return frame - frames->regions[region].first < frames->regions[region].n;
}

/* Any free one, by the value of @random. There always is one. */
unsigned frames_take(struct frames *frames, uint64_t random);
/* This very one. False: it is not free. */
bool frames_take_this(struct frames *frames, unsigned frame);

/* What happens to a frame behind an acknowledgement. */
void frame_mark(struct frames *frames, unsigned frame, enum frame_state state, uint64_t iova,
                uint64_t round, const char *way);
/* The same, and it is free when it is lifted: by frames_lift(), the oldest first. */
void frame_put_away(struct frames *frames, unsigned frame, enum frame_state state, uint64_t iova,
                    uint64_t round, const char *way);
/* Accessible again; a canary must be as it was. */
void frame_lift(struct frames *frames, unsigned frame);
/* All that are away but the last @keep. */
void frames_lift(struct frames *frames, unsigned keep);
/* Whoever was caught in a trap is told of. */
void frames_tell(struct frames *frames);
/* The same, and a look at all canaries, which stay. */
void frames_look(struct frames *frames);

#endif
