/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What two processes or more can see: memory and who may touch it, sockets,
 * mailboxes, rings, and the atomics that session and workers share.
 */

#define HAS(mask, bit)	((((mask) >> (bit)) & 1) == 1)
#define ALL_PAGES	((1 << PAGES) - 1)
#define ALL_QUEUES	QUEUES
#define RING_PAGE(q)	(DATA + (q))

/* Slots of a queue: one per request, one for the ring's own page. */
#define SLOTS		(REQUESTS + 1)
#define RING_SLOT	REQUESTS
#define SLOT(q, i)	((q) * SLOTS + (i))
#define ALL_DONE	((1 << REQUESTS) - 1)
#define HOLE(i, p)	((i) * PAGES + (p))

/*
 * Memory. What stands behind a page changes with each generation; a pointer is the
 * generation it leads to, plus 1, and 0 is none. A page's memory up to below
 * there[] was taken back: who touches it breaks the promise (I2).
 */
byte lent[PAGES];
byte there[PAGES];
bool mapped[PAGES];
byte ever_refused; /* pages of which a driver may see requests fail */

#define MAY_FAIL(q, i)	((WANTS(q, i) & ever_refused) != 0)

#define TOUCH(page, pointer) \
	assert(pointer > 0); \
	assert(pointer > there[page])

/* Main channel: a front-end awaits one reply before it sends the next message. */
mtype:message = { UPDATE, UPDATE_ANEW, INVALIDATE, TABLE, START, STOP };
chan main_request = [1] of { mtype:message, byte };
chan main_reply = [1] of { byte };

/* Back-channel: pages that are missed; replies, true for refused. */
chan back_request = [ROOM] of { byte };
chan back_reply = [ROOM] of { bool };

/* Both sockets are closed, by whatever killed the front-end. */
bool hung_up;
/* The back-channel alone is. */
bool back_lost;

/*
 * Mailboxes (src/backend/mailbox.c): commands with the pages they are about, and
 * wakes, down; acknowledgements with where a ring stopped, and reports with holes, up.
 */
#define NO_COMMAND	0
mtype:mail = { LANE_START, LANE_STOP, LANE_SHOOT, LANE_VIEW, LANE_LEAVE, WAKE, ACKNOWLEDGE,
	       REPORT };
chan down[QUEUES] = [3] of { mtype:mail, byte };
chan up = [2 * QUEUES] of { mtype:mail, byte, short };

/* loop_post(): rings for who sleeps. */
#if SLEEP && !LOOK
#define RING_FOR(q)	lanes[q].rung = (lanes[q].rung || lanes[q].asleep)
#else
#define RING_FOR(q)	skip
#endif

/* The map (src/iotlb/iotlb.c): one writer, readers that see it before or after. */
byte map[PAGES];
#ifdef WRONG_TRUST_REPLY
byte given[PAGES]; /* by the last update */
#endif

/* What session and worker know together of a chain or ring (src/backend/queue.h). */
#define IDLE		0
#define WAITING		1
#define FILLED		2
#define RETRY		3
#define REFUSED		4

byte slot_state[QUEUES * SLOTS];
byte slot_ticket[QUEUES * SLOTS];

/* Replies seen by the session, as lanes may know of it. */
byte answered;

typedef lane {
	/* the ring's memory and its eventfd: worker and driver */
	byte avail;
	byte used; /* a mask of requests */
#if EVENT_IDX
	byte event; /* a kick is wanted when this is passed */
#else
	bool quiet; /* no kick is wanted */
#endif
	bool kicked;

	/* session and worker */
	bool wake_posted, unhalt, holding, halted_seen, report_posted, report_wanted;
#if SLEEP
	/* the worker's loop: what a turn that is counted tells (at rest: it sleeps or looks), its eventfd */
	bool asleep, woken, rung;
	/* what a lane at rest may be left alone for, and what is left with it */
	byte busy;
	bool restless;
	byte left
#endif
}
lane lanes[QUEUES];

/*
 * Situations that the scenarios must come to. A search says which it has met; with
 * -DREACH=one of them that is an error, so that Spin shows the way there.
 */
#define SHOT_WHILE_ISSUED	1
#define FROZEN_WHILE_ISSUED	2
#define HELD_BACK		3
#define RING_HALTED		4
#define REPORT_OVERTAKEN	5
#define REPLY_OVERTOOK_UPDATE	6
#define REFUSED_AS_ORPHAN	7
#define JAMMED			8
#define DIED_IN_OPERATION	9
#define UNSATISFIED		10
#define LOST_WHILE_WAITING	11
#define LEFT_ASLEEP		12
#define LEFT_AND_WOKEN		13
#define FOUND_BY_LOOKING	14
#define LEFT_LOOKING		15
#ifdef REACH
#define MEET(what, when)	assert(!((what) == REACH && (when)))
#else
c_decl {
	static char met[32];

	static void meet(int what)
	{
		if (!met[what])
			printf("met: %d\n", what);
		met[what] = 1;
	}
};
#define MEET(what, when) \
	if \
	:: (when) -> c_code { meet(what); } \
	:: else \
	fi
#endif
