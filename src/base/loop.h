/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An epoll set with callbacks, and tasks that run after them. Nothing here
 * allocates: sources and tasks live in what they serve.
 *
 * Thread: one loop, one thread; loop_wake(), loop_add() and loop_remove_unused()
 * may be called from any.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/list.h"

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

#define LOOP_BATCH 32

struct loop {
	int epoll;
	struct loop_source wake; /* an eventfd */
	struct list tasks;
	bool running; /* loop_run() is, and will see what is scheduled */
	struct epoll_event batch[LOOP_BATCH];
	int batch_n, batch_at; /* being delivered */
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

/*
 * Waits (not at all if a task is scheduled), calls back, runs tasks until none
 * is left or for a bounded number of rounds, each with a look at the fds. After
 * that the loop's fd is readable if there is more to do. 0 or -errno.
 */
int loop_run(struct loop *loop, int timeout_ms);

/* Makes a loop_run() that waits return. Any thread. */
void loop_wake(struct loop *loop);

#endif
