/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A running queue: a ring, the requests taken from it, and its fds. Takes chains
 * in ring order, translates them whole, hands them to the device in ring order,
 * gives them back in any order.
 *
 * Life of a request:
 *
 *	free --take--> ahead --issue--> issued --complete--> free
 *	                 |                 \                  ^
 *	                 | stop             `--> held --------'
 *	                 v                      (its misses are unanswered, S10)
 *	               rewound (the ring index goes back; nothing was done)
 *
 * What the device returns undone goes from issued back to ahead, to its place there.
 *
 * ahead is a queue in ring order. Its head is translated in full and issued; if
 * it can't be, its holes and those of the chains behind it are reported to the
 * session in one batch, and the ring is *blocked* until the session says that
 * the head's holes are resolved.
 *
 * Threads: made and freed by the session while no lane serves it; in between
 * everything is the worker's but what is marked otherwise.
 */
#ifndef BACKEND_QUEUE_H
#define BACKEND_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vhu/device.h>

#include "backend/lane.h"
#include "backend/mailbox.h"
#include "backend/retain.h"
#include "base/list.h"
#include "vring/vring.h"

/* Most chains that are taken and not yet issued. */
#define QUEUE_AHEAD_MAX 64u
/* Most holes of one report. */
#define QUEUE_HOLES_MAX 128u
/* In place of a slot: nobody waits for the hole, it is told as an access that has failed (S8). */
#define QUEUE_SLOT_NONE UINT16_MAX

enum slot_state {
	SLOT_IDLE,    /* nobody was asked */
	SLOT_WAITING, /* reported; set by the worker */
	SLOT_FILLED,  /* look again; this and the next are set by the session */
	SLOT_RETRY,   /* look again, but not for ever */
	SLOT_REFUSED, /* access failure */
};

/*
 * What session and worker know together of a chain (by its head) or of the
 * ring's own pages (the last slot).
 */
struct slot {
	_Atomic uint8_t state;
	/*
	 * The last miss sent on its behalf; stored before that miss is sent, so
	 * that who sees its answer sees this.
	 */
	_Atomic uint64_t ticket;

	/* session only */
	uint16_t waiting; /* misses it waits for */
	uint8_t verdict;  /* worst so far, an enum slot_state */
	bool starved;     /* a part of its holes found no place in the miss table */
};

enum request_state {
	REQUEST_FREE,
	REQUEST_AHEAD,
	REQUEST_ISSUED,
	REQUEST_HELD,
};

struct request {
	struct vhu_request device; /* what the device sees */
	struct list node;          /* in ahead, issued or held */
	struct chain chain;
	struct segment table; /* indirect table, once read */
	struct iov_list out, in;
	uint64_t order;   /* in which it was taken */
	uint32_t written; /* while held */
	enum request_state state;
	bool watched; /* a drain waits for it */
	bool faulted; /* refused: only the status bytes are wanted now */
	bool probed;  /* its holes were reported, or there were none */
	uint8_t retries;
};

/* Holes on their way up; the worker's while not posted, then the session's. */
struct hole_report {
	struct mail mail;
	struct list node; /* the session's: of those that have come and are not taken yet */
	_Atomic bool posted;
	_Atomic bool wanted; /* the worker has more to say: wake it afterwards */
	unsigned n;
	struct hole holes[QUEUE_HOLES_MAX];
	uint16_t slots[QUEUE_HOLES_MAX];
};

struct queue_config {
	const char *subject; /* of the session's log lines */
	const struct vhu_device_ops *ops;
	void *dev;
	unsigned index;
	struct vring_config ring;
	int kick_fd, call_fd, err_fd; /* the queue's from queue_new() on */
	bool enabled;
};

struct vhu_queue {
	/* constant */
	const struct vhu_device_ops *ops;
	void *dev;
	unsigned index;
	char subject[40];
	struct lane *lane; /* set by LANE_START */

	/* worker only */
	struct list node; /* in lane->queues */
	void *priv;       /* the device's */
	struct vring ring;
	int call_fd, err_fd;
	struct loop_source kick;
	struct loop_source watch; /* of the device */
	void (*watch_ready)(void *dev, struct vhu_queue *queue);
	struct list ahead, issued, held;
	unsigned n_ahead, n_issued;
	uint64_t n_taken;
	unsigned n_put;           /* used elements not yet published */
	struct request *requests; /* by head */
	void *device_memory;      /* of their priv pointers */
	struct retain retain;
	uint8_t ring_retries;
	bool enabled;
	bool owed;         /* the driver may have made something available (S7) */
	bool due;          /* to be pumped by the lane's task */
	bool frozen;       /* a drain will unmap the ring: take and issue nothing */
	bool drained_busy; /* frozen while requests were issued */
	bool halted;       /* a ring page was refused (S4b) */
	bool broken;       /* until the next start */
	bool in_batch;     /* called from below: finish later */
	bool quiet;        /* the driver was asked not to kick, and so is owed a look */
	bool restless;     /* counted in the lane */
	bool shown;        /* used elements, for which no call was considered yet */
	bool call_owed;    /* the driver wants a call and there is no fd for it */
	struct lane_command *stopping;

	/* session only */
	struct session *session;
	bool leaving; /* told to stop: it may not be woken any more */

	/* session and worker */
	struct slot *slots; /* ring.config.num of them, and the ring's */
	struct hole_report report;
	struct mail wake;
	_Atomic bool wake_posted;
	_Atomic bool unhalt;      /* with a wake: a ring page was given after all */
	_Atomic bool holding;     /* held is not empty: wake it when replies have come */
	_Atomic bool halted_seen; /* halted, as the session may see it */
};

/* 0, -EINVAL for a bad ring, -ENOMEM. On failure the fds stay the caller's. */
int queue_new(const struct queue_config *config, void (*report)(struct mail *mail),
              struct vhu_queue **ret);
/* Not served by a lane any more, or never. Closes its fds. */
void queue_free(struct vhu_queue *queue);

/* Session thread: look again, something was resolved. */
void queue_wake(struct vhu_queue *queue);

/* The rest is for the lane, on the worker's thread. */
int queue_start(struct vhu_queue *queue, struct lane *lane);
void queue_stopped(struct vhu_queue *queue);
int queue_set(struct vhu_queue *queue, const struct lane_command *command);
void queue_schedule(struct vhu_queue *queue);
/* One round: takes, translates, issues, publishes, reports. lane_settle() is to follow. */
void queue_pump(struct vhu_queue *queue);
/* Publishes what was put. queue_publish() is to follow. */
void queue_show(struct vhu_queue *queue);
/* The same, and signals the driver if it wants that. */
void queue_publish(struct vhu_queue *queue);
/* Publishes held requests: those whose misses are answered, or all. */
void queue_release_held(struct vhu_queue *queue, bool all);
void queue_break(struct vhu_queue *queue, const char *why);
void queue_halt(struct vhu_queue *queue, const char *why);
void queue_look(struct vhu_queue *queue);
/* What the device has is waited for: it may want to give something back. */
void queue_drain(struct vhu_queue *queue);
/*
 * Asks for kicks, before the ring is not looked at any more. False: there is
 * something, for which none will come.
 */
bool queue_rest(struct vhu_queue *queue);
/* For who looks: whether there is something to take. */
bool queue_has_work(const struct vhu_queue *queue);
/* Whether it may be left alone until its next kick (S7). */
void queue_note_rest(struct vhu_queue *queue, bool rests);

/* Room for holes in the report being made; NULL if the last one is on its way. */
struct hole_report *queue_report_open(struct vhu_queue *queue);
/* The room left for one slot's holes, and what it took of it. */
struct hole_list queue_report_room(struct hole_report *report);
void queue_report_add(struct vhu_queue *queue, struct hole_report *report,
                      const struct hole_list *holes, unsigned slot);
/* The same for who has given up. */
void queue_report_failed(struct hole_report *report, const struct hole_list *holes);
void queue_report_send(struct vhu_queue *queue, struct hole_report *report);

#endif
