/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end and the back-end that plays against it, both in one thread: where
 * the front-end would wait, it is the back-end's turn, and where that has nothing
 * to say, time passes. What the parts of the target share.
 *
 *   frontend.c         a run: calls of the front-end's functions
 *   frontend_vq.c      of those of its queues
 *   frontend_peer.c    the back-end, and what it believes to have been given
 *   frontend_wait.c    waiting: the turn of the back-end, and time
 */
#ifndef FUZZ_FRONTEND_H
#define FUZZ_FRONTEND_H

#include <vhu/frontend.h>
#include <vhu/iommu.h>

#include "end.h"
#include "input.h"
#include "memory/translate.h"
#include "support/check.h"
#include "wire/message.h"

#define PAGE      4096u
#define FILES     2u
#define FILE_SIZE (4u * PAGE)
#define MEMORY    (FILES * FILE_SIZE)

/* I/O virtual addresses from 0 on, mapped in units of less than a page. */
#define UNIT  1024u
#define UNITS 64u

enum unit_state {
	UNIT_FREE,
	UNIT_MAPPED,
	UNIT_UNSURE, /* an unmap has failed */
};

/* What was mapped, and what the back-end was told of it. */
struct unit {
	enum unit_state state;
	uint64_t uva;
	uint8_t perm;
	bool held;    /* by the back-end: an UPDATE, and no INVALIDATE since */
	uint8_t ever; /* permissions it was ever given */
};

/* What is remembered of a message. */
struct brief {
	struct vhu_header header;
	unsigned char payload[sizeof(struct vhu_iotlb)];
};

#define ASKED_MAX    1200u
#define REQUESTS_MAX 1200u
#define QUEUES       2u
#define TOKENS       32u

struct play {
	struct input *input;
	struct vhu_iommu *iommu;
	struct vhu_frontend *frontend;
	struct vhu_guestmem *memory;
	struct unit units[UNITS];
	bool loud;       /* FUZZ_LOG in the environment: for a person who looks at one input */
	unsigned n_lost; /* calls of that callback */
	int64_t now_ms;

	/* the back-end */
	struct end main, back;
	bool garbled;                  /* it has sent bytes that need not be messages */
	bool polite;                   /* with nothing on the tape it answers as it should */
	struct brief asked[ASKED_MAX]; /* not yet replied to */
	unsigned n_asked;
	struct brief requests[REQUESTS_MAX]; /* its own, that want a reply */
	unsigned n_requests;

	struct vhu_vq *queues[QUEUES];
	bool out[QUEUES][TOKENS];
};

/* frontend_peer.c */

/* Takes what the front-end has sent, and judges it. */
void peer_hear(struct play *play);
/* One thing that the tape says. False: nothing was left to do. */
bool peer_step(struct play *play);
/* The range is not held any more. */
void peer_expect_not_held(struct play *play, unsigned first, unsigned n);

/* frontend_wait.c */

/* Whose turn it is while something waits; NULL: nobody's, and all is as usual. */
void wait_set(struct play *play);

/* frontend_vq.c */
void vq_step(struct play *play);
void vq_stop_all(struct play *play);

/* What a function may return: 0 or an errno, and what the top of vhu/frontend.h says. */
void expect_result(struct play *play, int result);

#endif
