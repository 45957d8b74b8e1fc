/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rig of cases that judge a front-end: a back-end by hand, which listens, and
 * is a disk or a network that swallows frames.
 *
 *	static void unmapped_is_refused(struct back *b)
 *	{
 *		back_open(b, BACK_IOMMU);
 *		back_miss(b, BACK_UNMAPPED, 0, PERM_READ);
 *		EXPECT(b, back_expect_answer(b) != 0, "a miss of nothing to be refused");
 *		back_expect_goes_on(b);
 *	}
 *
 * A front-end can't be told what to do. It is expected to use its device all the
 * time. Two sorts of cases follow:
 *
 * Cases that *observe* judge the record of one connection, its first few seconds,
 * during which everything was answered as it should be (observe.h). They are tried
 * after it, and need no connection.
 *
 * Cases that *provoke* begin with back_open(). They find a connection whose rings
 * run, and requests that wait: nothing is served from there on, so that what comes
 * is due to the case, until back_expect_goes_on(). The connection is the one of the
 * case before, as long as it lasts; where it did not, the front-end is expected to
 * come back, by itself or by --restart-cmd. A case that fails while the front-end
 * stops its rings or leaves, as it may at any time, is tried again.
 *
 * The device keeps no translation from one request to the next: what it needs it
 * asks for each time, so that a translation that was replaced or ended is noticed.
 *
 * back_life.c listens and starts again, back_open.c waits until the device is used,
 * back_turn.c waits for what comes next, back_answer.c answers, back_memory.c maps,
 * back_iotlb.c asks for translations, back_ring.c serves rings, back_disk.c is the
 * disk.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_BACK_H
#define CONFORM_BACK_H

#include <linux/virtio_config.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "held.h"
#include "link.h"
#include "record.h"
#include "told.h"
#include "trial.h"

#define BACK_PAGE     UINT64_C(4096)
#define BACK_RINGS    16u
#define BACK_QUEUES   4u   /* that are offered */
#define BACK_ASKED    256u /* requests on the back-channel without a reply, at most */
#define BACK_HELD     64u  /* replies held back, at most */
#define BACK_IOVS     1100u
#define BACK_SEGS     512u
#define BACK_QUIET    60  /* ms without anything that show that nothing comes */
#define BACK_SURVIVES 500 /* ms in which a front-end makes up its mind */

/* Mapped by nobody in his right mind, and within the reach of any IOMMU. */
#define BACK_UNMAPPED UINT64_C(0x7ffeedc000)

enum back_perm {
	PERM_READ = 1,
	PERM_WRITE = 2,
};

enum back_want {
	BACK_ANY,
	BACK_IOMMU, /* addresses are translated, and there is a back-channel */
};

struct back_region {
	char *file, *ptr; /* the mapping, and the region in it; NULL: it can't be mapped */
	uint64_t file_size;
};

struct back_ring {
	int kick, call, err; /* -1: none */
	uint16_t next;       /* avail index */
	bool owed;           /* to be looked at */
	bool broken;         /* until it is started again */
};

/* A request of ours on the back-channel, in the order in which they were sent. */
struct back_asked {
	uint32_t request;
	uint64_t iova;
	uint8_t perm;
	uint64_t value; /* of the reply */
};

struct back {
	struct trial *trial; /* the case's, or one whose evidence nobody reads */
	struct link main, back;

	/* The whole run. */
	const char *path, *restart_cmd;
	enum case_device device;
	pid_t pid; /* as told; 0: it was not */
	unsigned patience_ms;
	unsigned observe_ms;
	int listener;
	char *disk;
	struct trial *idle;
	struct record record; /* of the observation */
	struct held scratch;  /* of a walk through it */
	bool recording;
	uint64_t features; /* negotiated on the connection that was observed */
	pid_t peer;        /* of the last connection; 0: not known */
	char name[64];     /* of its program; empty: not known */
	unsigned returns;  /* how often it came back by itself */
	const char *away;  /* why nothing can be tried on it any more; NULL: it can */
	unsigned stops;    /* rings that were stopped, memory that changed: what was known is not */

	/* The connection; reset by back_forget(). */
	struct told told;
	struct back_region regions[TOLD_REGIONS]; /* beside those of told */
	struct back_ring rings[BACK_RINGS];
	struct held held;
	struct back_asked asked[BACK_ASKED]; /* a ring */
	unsigned n_asked, n_answered;        /* ever */
	struct message replies[BACK_HELD];   /* held back */
	unsigned n_replies;
	bool holding;
	bool left;       /* it stopped its rings and closed */
	unsigned served; /* requests */

	/* The case's; reset by back_begin(). */
	bool paused; /* rings are not served */
	bool deaf;   /* the back-channel is not read */
	/* Replies in place of the rig, which has taken note already; true: it has. */
	bool (*reply_instead)(struct back *b, const struct message *request);
	unsigned turns;          /* the hook's */
	uint64_t config_sectors; /* 0: what the disk has */
	unsigned case_stops;     /* stops when it began */
	bool walked, found;      /* it looked at the record, and what it is about was there */
};

/* back_life.c, of the runner. */

/* 0 or -errno with @why; back_done() in any case. */
int back_init(struct back *b, char *why, unsigned long size);
void back_done(struct back *b);
void back_begin(struct back *b, struct trial *trial);
void back_end(struct back *b);
/* Whose evidence whatever comes is from now on. */
void back_set_trial(struct back *b, struct trial *trial);
/* Whether the process that was told is dead. */
bool back_is_dead(const struct back *b);
/* The first connection, and another one where it has ended. False: nobody connected. */
bool back_meet(struct back *b);
bool back_meet_again(struct back *b);
/* There is a connection: the front-end comes back by itself, or is started again. */
bool back_come_back(struct back *b);

/* back_life.c, of cases. */

void back_hang_up(struct back *b);
/* Everything of the connection is closed and forgotten. */
void back_forget(struct back *b);

/* back_open.c */

/* Of the runner: the first connection, as long as it is recorded. False: nobody connected. */
bool back_observe(struct back *b);
/* A connection whose rings run. Ends the trial where that can't be had. */
void back_open(struct back *b, enum back_want want);
/* A new connection, of which nothing was read. Ends the trial where none comes. */
void back_open_new(struct back *b);

/* back_turn.c */

/* What comes next is dealt with; false: nothing came within @ms, or there is no connection. */
bool back_turn(struct back *b, int ms);
/* The channels only. */
bool back_listen(struct back *b, int ms);
/* All that is there already. */
void back_drain(struct back *b);
bool back_is_open(const struct back *b);
/* Requests are served from here on, and some more must come. */
void back_expect_goes_on(struct back *b);
/* Whatever it does about it: it goes on, or it closes the connection, but lives. */
void back_expect_survives(struct back *b);
/* Serves, without a look at what comes. */
void back_serve(struct back *b, int ms);

/* back_answer.c */

/* Takes note of a request, and replies. */
void back_take(struct back *b, struct message *message);
/* Whether the device is told that a reply is wanted. */
bool back_wants_reply(const struct back *b, const struct message *message);
void back_reply(struct back *b, const struct message *request, const void *payload, size_t size);
void back_reply_u64(struct back *b, const struct message *request, uint64_t value);
/* Replies wait, in their order, until they are let go. */
void back_hold(struct back *b);
void back_let_go(struct back *b);

/* back_memory.c */

void back_map(struct back *b, struct message *message);
void back_unmap(struct back *b);
/*
 * Pieces of memory for @len bytes of an address as descriptors have it; their number,
 * -EFAULT: not held, or not in the memory table; -ENOSPC.
 */
int back_reach(const struct back *b, uint64_t addr, uint64_t len, uint8_t perm, struct iovec *iovs,
               unsigned max);
/* The same of a uva. */
int back_reach_uva(const struct back *b, uint64_t uva, uint64_t len, struct iovec *iovs,
                   unsigned max);

/* back_iotlb.c */

/* A MISS with NEED_REPLY, or any other request on the back-channel. Not waited for. */
void back_miss(struct back *b, uint64_t iova, uint64_t size, uint8_t perm);
void back_ask(struct back *b, const struct message *message);
struct message back_miss_message(uint64_t iova, uint64_t size, uint8_t perm);
/* The reply to the oldest request on the back-channel that has none. */
uint64_t back_expect_answer(struct back *b);
bool back_answered(struct back *b, unsigned n, int ms);
/* Nothing comes on the back-channel for BACK_QUIET ms. */
void back_expect_silence(struct back *b);
/* A reply on the back-channel. */
void back_take_answer(struct back *b, const struct message *reply);
/* UPDATE, INVALIDATE; the value of the reply. */
uint64_t back_take_iotlb(struct back *b, const struct vhu_iotlb *iotlb);
/* Whether it is granted. */
bool back_holds(const struct back *b, uint64_t iova, uint8_t perm);
/* An address that is mapped as long as the rings run: of one to be read, or written. */
uint64_t back_ring_address(const struct back *b, uint8_t perm);
/*
 * Asks for the first byte of the ranges in every page, and waits. 0; -EINTR: what was known of
 * rings and memory is not true any more; -ETIMEDOUT; -ENOTCONN. Whether they were granted is seen
 * by back_reach().
 */
struct back_span {
	uint64_t addr, len;
	uint8_t perm;
};
int back_fetch(struct back *b, const struct back_span *spans, unsigned n);

/* back_ring.c */

void back_ring_start(struct back *b, unsigned index);
void back_ring_kicked(struct back *b, unsigned index);
/* Serves what there is. */
void back_ring_serve(struct back *b, unsigned index);

/* back_disk.c */

#define BACK_DISK_SIZE (UINT64_C(256) << 20)

/* The device's configuration, as bytes. */
unsigned back_config(const struct back *b, unsigned char *ret, unsigned size);
/*
 * A chain of @n spans, readable ones first; the bytes that were written, or -errno:
 * it can't be completed. False grants end a request with an error.
 */
struct back_chain {
	struct back_span spans[BACK_SEGS];
	unsigned n;
};
int64_t back_disk_do(struct back *b, const struct back_chain *chain);

#endif
