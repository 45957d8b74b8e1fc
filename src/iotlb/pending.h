/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The misses of a session: who waits for which page, what was asked, what the
 * replies mean. Rules S1, S3, S4, S9, S10 and S11 of docs/iotlb.md live here.
 * Pure bookkeeping: it sends nothing; the session asks for the next miss to send
 * and tells what came.
 *
 * A miss goes through these states:
 *
 *	unsent --pending_next--> sent --reply 0--> answered --pending_judge--> gone
 *	  |                       |  \                  |
 *	  | update                |   reply != 0        | update
 *	  v                       v           \         v
 *	 gone                  orphaned        `-----> gone
 *	                          `--reply--> gone
 *
 * unsent, sent and answered misses are *live*: they have waiters, and at most
 * one of them exists per page and permission. An orphan only holds its place in
 * the order of replies.
 *
 * A waiter is a (ring, slot): a chain, or the ring's own pages. It is told
 * through the functions of pending_ops, which may not call back in here.
 *
 * Thread: the session's.
 */
#ifndef IOTLB_PENDING_H
#define IOTLB_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"
#include "memory/translate.h"

/* At most this many misses are unanswered at a time (rule S3). */
#define PENDING_WINDOW 128u

enum pending_verdict {
	PENDING_FILLED,  /* look again */
	PENDING_RETRY,   /* look again; the answer was lost on the way: ask 3 times at most */
	PENDING_REFUSED, /* access failure */
};

struct pending_ops {
	/* (ring, slot) waits for one miss more. */
	void (*waits)(void *opaque, unsigned ring, unsigned slot);
	/* ... for one less, and why. */
	void (*resolved)(void *opaque, unsigned ring, unsigned slot, enum pending_verdict verdict);
	/*
	 * A miss on behalf of (ring, slot) goes out, or went out, as number @seq:
	 * nothing of it is published until pending_answered() has reached that (rule
	 * S10). Numbers grow in the order of sending; of those told the highest counts.
	 */
	void (*ticket)(void *opaque, unsigned ring, unsigned slot, uint64_t seq);
};

struct pending;

/* @hints: misses carry the wanted length. NULL: no memory. */
struct pending *pending_new(const struct pending_ops *ops, void *opaque, bool hints);
void pending_free(struct pending *table);

/*
 * A chain can't go on without @hole. Attaches (ring, slot) to the misses that
 * are under way for it and makes new ones for the rest. Returns false if the
 * table is full: then at least a part of the hole has no miss, and may be
 * reported again when something was resolved.
 */
bool pending_want(struct pending *table, const struct hole *hole, unsigned ring, unsigned slot);

/*
 * Takes the next miss to send, if the window allows. ret->len is the hint, 0 for
 * none. @mute: the front-end does not reply to misses, so nothing is expected.
 */
bool pending_next(struct pending *table, bool mute, struct hole *ret);

/* The @n misses taken last were dropped before they were sent. */
void pending_unsend(struct pending *table, unsigned n);

/* An update gave @perm for @range. */
void pending_update(struct pending *table, struct range range, uint8_t perm);

/* @range was invalidated, or translations were evicted, which excuses a front-end. */
void pending_disturb(struct pending *table, struct range range);

enum pending_outcome {
	PENDING_ANSWERED,    /* zero; judged later if nothing covers it yet */
	PENDING_ANSWER_VOID, /* an orphan's */
	PENDING_ANSWER_NACK, /* an access failure */
	PENDING_ANSWER_NONE, /* nothing was asked: the peer broke the protocol */
};

/* The reply to the oldest unanswered miss. *ret_addr: what it was about. */
enum pending_outcome pending_reply(struct pending *table, bool refused, struct hole *ret_miss);

/*
 * All updates sent before the replies seen so far have been applied: misses that
 * were answered with zero and are still open are judged (rule S4). Returns how
 * many were unsatisfied. *ret_miss is each of them in turn, by the time its waiters are
 * told, and in the end the last.
 */
unsigned pending_judge(struct pending *table, struct hole *ret_miss);
/* Whether there is anything to judge. */
bool pending_has_answered(const struct pending *table);

/* The ring stopped: nobody of it waits any more; sent misses become orphans. */
void pending_drop_ring(struct pending *table, unsigned ring);
/* The same of one waiter. For how many misses it waited. */
unsigned pending_drop(struct pending *table, unsigned ring, unsigned slot);

/* A new back-channel: orphans are gone, live misses are to be sent again. */
void pending_restart(struct pending *table);

/* Nothing is translated any more: everybody looks again, and nobody will be asked. */
void pending_release(struct pending *table);

/* There is no back-channel any more: every waiter is refused. */
void pending_fail(struct pending *table);

/* Replies seen so far count up to this number; see ops->ticket. */
uint64_t pending_answered(const struct pending *table);
/* Unanswered misses, orphans included. */
unsigned pending_unanswered(const struct pending *table);

/* Invariants, for tests and debug. */
bool pending_check(const struct pending *table);

#endif
