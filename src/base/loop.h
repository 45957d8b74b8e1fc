/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An epoll set with callbacks, tasks that run after them, and posts that other
 * threads hand in. Nothing here allocates: sources, tasks and posts live in what
 * they serve.
 *
 * A loop is *asleep* when it waits, and between two runs, as its fd may be polled
 * then. It is *looking* while it does nothing but look whether there is something
 * to do; else it is awake. Posting costs no system call but to one that is asleep:
 * the others look before they sleep. And whatever wakes a loop from looking or from
 * sleep, posts run before anything else.
 *
 * Thread: one loop, one thread; loop_wake(), loop_add(), loop_remove_unused() and
 * what is said to be for any thread may be called from any.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/event.h"
#include "base/list.h"
#include "base/post.h"

struct loop_source {
	int fd; /* -1: not in a loop */
	void (*ready)(struct loop_source *source, uint32_t events);
};

/*
 * Runs once, after the callbacks of the round it was scheduled in, and before
 * the loop sleeps again.
 */
struct loop_task {
	struct list node;
	void (*run)(struct loop_task *task);
	bool scheduled;
};

/* Something to look at in memory, instead of waiting for an fd. */
struct loop_poller {
	struct list node;
	/* Whether there is something to do; changes nothing, and reads what only it reads. */
	bool (*peek)(const struct loop_poller *poller);
	/* Does what there is to do; how much that was. */
	unsigned (*look)(struct loop_poller *poller);
	/*
	 * The loop may sleep from here on: asks for events. False: there is work, which
	 * a task will do.
	 */
	bool (*rest)(struct loop_poller *poller);
	bool keen;   /* set by look(): an fd is worth a look soon */
	bool adapts; /* less is looked while it does not pay, see loop_add_poller() */
};

/* Bit 0: at rest, nothing runs before the posts do. Bit 1: it has to be rung for. */
enum loop_turn {
	LOOP_AWAKE = 0,
	LOOP_LOOKING = 1,
	LOOP_ASLEEP = 3,
};
#define LOOP_TURN_BITS 3u
#define LOOP_TURN_STEP 4u

#define LOOP_BATCH     32

struct loop {
	int epoll;
	struct loop_source wake; /* an eventfd, edge-triggered and never read */
	struct list tasks;
	struct list pollers; /* if there are any, loop_run() looks before it sleeps */
	uint64_t poll_ns;    /* for so long after the last work, */
	uint64_t poll_most;  /* and for so long at the most */
	bool adapts;
	bool keen;    /* some poller is */
	bool rested;  /* they have found none for so long */
	bool running; /* loop_run() is, and will see what is scheduled */
	struct epoll_event batch[LOOP_BATCH];
	int batch_n, batch_at; /* being delivered */

	/* any thread */
	struct post_pile posts;
	_Atomic unsigned turn; /* an enum loop_turn, and above it how often that changed */
	_Atomic bool ringing;  /* the eventfd was written, and that not yet seen */
	_Atomic bool asked;    /* loop_run() is to return when it can */
	_Atomic int cpu;       /* where it was awake last */

	struct event_guard guard; /* of the signals that its thread gives to peers */
};

/* 0 or -errno. */
int loop_init(struct loop *loop);
void loop_done(struct loop *loop);

/* @events: EPOLLIN and so on, level-triggered. 0 or -errno of epoll_ctl(2). */
int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events,
             void (*ready)(struct loop_source *source, uint32_t events));
int loop_change(struct loop *loop, struct loop_source *source, uint32_t events);
/* No callback comes after this, also not of events already fetched. */
void loop_remove(struct loop *loop, struct loop_source *source);
/* Any thread: of a source that can't ever have been ready. */
void loop_remove_unused(struct loop *loop, struct loop_source *source);

/* Also while the loop does not run: its fd is readable then. */
void loop_schedule(struct loop *loop, struct loop_task *task);
void loop_cancel(struct loop_task *task);

/* Any thread: has the post run soon. */
void loop_post(struct loop *loop, struct loop_post *post);
/*
 * Any thread: has it run before anything else when the loop wakes, for whatever
 * reason; if it is awake, soon. Sequentially consistent with loop_turn().
 */
void loop_leave(struct loop *loop, struct loop_post *post);
/* It does not run any more. Nobody may be posting it. */
void loop_unpost(struct loop *loop, struct loop_post *post);

/*
 * Any thread. Who left a post, and finds the turn to be the same as before, and
 * at rest, knows that nothing at all runs in the loop before the post does.
 */
static inline unsigned loop_turn(const struct loop *loop)
{
	return atomic_load(&loop->turn);
}

/* Asleep, or looking: pollers may be peeking. */
static inline bool loop_turn_is_at_rest(unsigned turn)
{
	return turn & 1;
}

static inline bool loop_turn_is_asleep(unsigned turn)
{
	return (turn & LOOP_TURN_BITS) == LOOP_ASLEEP;
}

/* Any thread: whether there are posts to run; what takes long has a look at it. */
static inline bool loop_has_posts(const struct loop *loop)
{
	return post_any(&loop->posts);
}

/*
 * While there are pollers the loop looks at them for @ns after the last work. If all
 * of them adapt that is halved by each sleep that is longer, down to nothing, and
 * all of it again after a shorter one, which looking would have spared.
 */
void loop_add_poller(struct loop *loop, struct loop_poller *poller, uint64_t ns);
void loop_remove_poller(struct loop *loop, struct loop_poller *poller);

/*
 * Waits (not at all if there is something to do), runs posts, calls back, runs
 * tasks until none is left or for a bounded number of rounds, each with a look
 * at the fds. After that the loop's fd is readable if there is more to do. 0 or
 * -errno.
 *
 * With pollers and a @timeout_ms that is not 0 it first goes on as long as they
 * find work, for LOOP_STINT_NS at the most, and sleeps when they have found none
 * for a while.
 */
int loop_run(struct loop *loop, int timeout_ms);
#define LOOP_STINT_NS UINT64_C(10000000)

/* Makes a loop_run() that waits return. Any thread. */
void loop_wake(struct loop *loop);
/* The loop's thread: loop_run() returns when it has done what it is at. */
void loop_return(struct loop *loop);

#endif
