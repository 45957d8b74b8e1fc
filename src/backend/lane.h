/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lane is one session's share of a worker: the queues it serves there, the
 * view they translate through, and the mailbox by which the session commands
 * it. Everything in it belongs to the worker's thread from the first command on,
 * but for the mailbox and the counters.
 *
 * A command travels down to the lane and comes back up as its acknowledgement,
 * possibly much later: whoever must be drained is drained in between. A session
 * has at most one command per lane under way (see operation.h).
 *
 * A lane that sleeps, or only looks at its rings, with nothing issued needs no command
 * to forget a range: that is left with it (lane_leave(); docs/threads.md has the proof).
 */
#ifndef BACKEND_LANE_H
#define BACKEND_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/forget.h"
#include "backend/mailbox.h"
#include "base/range.h"
#include "memory/translate.h"

struct vhu_queue;

/*
 * Lines of a worker's front cache: 64 KiB of memory, 16 MiB of reach. With fewer,
 * as builds for tests may want, pages come into each other's way.
 */
#ifndef LANE_LINES
#define LANE_LINES 4096u
#endif

enum lane_order {
	/* Serve a queue. */
	LANE_START,
	/* Finish what the queue has issued, serve it no more. */
	LANE_STOP,
	/* Change fds, state or addresses of a running queue. */
	LANE_SET,
	/* Forget a range; acknowledged when no access through it is left (I2). */
	LANE_SHOOT,
	/* Finish everything, forget everything, take a new view (memory table, mode). */
	LANE_VIEW,
	/* Keep what the chains under assembly can reach now, before it is evicted (F2). */
	LANE_LOOK,
	/* The session ends: detach from the worker. */
	LANE_LEAVE,
};

/* What LANE_SET changes. */
enum lane_set {
	LANE_SET_CALL,
	LANE_SET_ERR,
	LANE_SET_KICK,
	LANE_SET_ENABLE,
	LANE_SET_ADDRESSES,
};

/* What a lane translates through. */
struct lane_view {
	translate_walk_fn *walk;      /* of addresses in descriptors */
	translate_walk_fn *walk_ring; /* of the rings' own addresses */
	void *source;
	bool can_miss;
};

struct lane_command {
	struct mail mail;
	struct lane *lane;
	enum lane_order order;
	struct vhu_queue *queue; /* of START, STOP, SET */
	struct range range;      /* of SHOOT */
	struct lane_view view;   /* of VIEW */
	enum lane_set set;       /* of SET, with one of: */
	int fd;                  /* CALL, ERR, KICK: the queue's from here on; -1: none */
	bool enable;
	uint64_t desc, avail, used;

	/* The acknowledgement. */
	void (*done)(struct lane_command *command);
	void *opaque;
	int result;          /* of START and SET: 0 or -errno */
	uint16_t next_avail; /* of STOP */
};

/* Written by the lane, read by anybody, relaxed. */
struct lane_counters {
	_Atomic uint64_t requests;
	_Atomic uint64_t refused;
	_Atomic uint64_t kicks;
	_Atomic uint64_t calls;
	_Atomic uint64_t ring_errors;
	_Atomic uint64_t pages_needed;
};

static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	/* One writer: no locked instruction needed. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
	                      memory_order_relaxed);
}

/* The same, for what the session concludes from a lower number: the lane is done with it. */
static inline void gauge_add(_Atomic unsigned *gauge, int n)
{
	unsigned now = atomic_load_explicit(gauge, memory_order_relaxed);

	/* release: what was done with it; pairs with lane_leave() */
	atomic_store_explicit(gauge, now + (unsigned)n, memory_order_release);
}

struct lane {
	struct loop *loop;       /* the worker's */
	struct mailbox commands; /* any thread posts */
	struct mailbox *reports; /* the session's box: reports and acknowledgements */
	/* Written by the session, read here: replies to misses seen so far. */
	const _Atomic uint64_t *answered;
	/* Written by the session: the cache is at its bound, keep what was looked up. */
	const _Atomic bool *pressure;

	struct translate_view view;      /* of descriptors, with the front cache */
	struct translate_view ring_view; /* of rings, without */
	struct list queues;
	struct loop_task task; /* pumps the queues that are due */
	struct loop_poller poller;
	uint64_t poll_ns; /* how long rings are looked at before the sleep; constant */

	/* The SHOOT or VIEW under way, and the issued requests it waits for. */
	struct lane_command *draining;
	unsigned drain_left;
	_Atomic bool drains; /* there are such requests; a hint for the session */

	/* Ranges to forget before anything else is done. */
	struct forget forget;
	struct loop_post forget_post;
	/*
	 * Written by the lane, read by the session between two looks at the loop's
	 * turn: requests issued and not yet shown to the driver; queues that are owed
	 * a look or have chains parked.
	 */
	_Atomic unsigned busy, restless;

	/* Faults in shared memory this lane has seen counted; the session is told (sigbus.h). */
	unsigned faults_seen;
	/* An eventfd of the front-end has held the worker up: none of them is signalled any more.
	 */
	_Atomic bool held_up;
	struct mail alarm; /* of either, to the session, whose deliver it is */
	_Atomic bool alarm_posted;

	struct lane_counters counters;
};

/* 0 or -errno. @shared_thread: @loop is the session's own. */
int lane_init(struct lane *lane, struct loop *loop, bool shared_thread, struct mailbox *reports,
              const _Atomic uint64_t *answered, const _Atomic bool *pressure);
/* After LANE_LEAVE was acknowledged, or if no command was ever sent. */
void lane_done(struct lane *lane);

/* Sends a command; command->done runs on the session's thread. */
void lane_command(struct lane *lane, struct lane_command *command);

enum lane_left {
	LANE_LEFT, /* counts as acknowledged */
	LANE_NEAR, /* awake, on another CPU: it will soon acknowledge a LANE_SHOOT */
	LANE_BUSY, /* it needs a LANE_SHOOT, too */
};

/*
 * Session thread: if the lane sleeps or only looks, with nothing issued, has it forget
 * @range before it does anything else. @of_ring: a page of one of its rings is in it; such a
 * ring must be at rest, or the lane would ask for kicks there when it lets go of it.
 */
enum lane_left lane_leave(struct lane *lane, struct range range, bool of_ring);

/* For queue.c: something of a queue may have ended a drain or a stop. */
void lane_settle(struct lane *lane);
void lane_schedule(struct lane *lane);
void lane_held_up(struct lane *lane);
void lane_add_queue(struct lane *lane, struct vhu_queue *queue);
void lane_remove_queue(struct lane *lane, struct vhu_queue *queue);

#endif
