/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of the loop are made of: bells that ring, jobs that write, a thread that sleeps. */
#ifndef UNIT_BASE_LOOP_STAGE_H
#define UNIT_BASE_LOOP_STAGE_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "base/loop.h"
#include "support/check.h"

/* An eventfd in a loop that counts how often it was called back. */
struct bell {
	struct loop_source source;
	struct loop *loop;
	int fd;
	unsigned rung;
	void (*then)(struct bell *bell);
	struct bell *other;
};

static inline void ring(struct loop_source *source, uint32_t events)
{
	struct bell *bell = container_of(source, struct bell, source);

	assert_true(events & EPOLLIN);
	bell->rung++;
	if (bell->then)
		bell->then(bell);
	else
		fd_drain(bell->fd);
}

static inline void bell_init(struct bell *bell, struct loop *loop)
{
	*bell = (struct bell){ .loop = loop };
	assert_int_equal(fd_event(&bell->fd), 0);
	assert_int_equal(loop_add(loop, &bell->source, bell->fd, EPOLLIN, ring), 0);
}

static inline void bell_done(struct bell *bell)
{
	loop_remove(bell->loop, &bell->source);
	fd_close(&bell->fd);
}

/* A task that writes its name where all do, and may go on. */
struct job {
	struct loop_task task;
	struct loop *loop;
	char name;
	unsigned again; /* times it schedules itself */
	struct job *next, *cancels;
	struct bell *rings; /* by its first run */
	unsigned runs;
};

static char written[512];

static inline void run(struct loop_task *task)
{
	struct job *job = container_of(task, struct job, task);
	size_t n = strlen(written);

	if (!job->runs++ && job->rings)
		fd_signal(job->rings->fd);
	if (n + 1 < sizeof(written)) {
		written[n] = job->name;
		written[n + 1] = 0;
	}
	if (job->again) {
		job->again--;
		loop_schedule(job->loop, task);
	}
	if (job->next)
		loop_schedule(job->loop, &job->next->task);
	if (job->cancels)
		loop_cancel(&job->cancels->task);
}

static inline struct job job_of(struct loop *loop, char name)
{
	return (struct job){ .task.run = run, .loop = loop, .name = name };
}

static inline void begin(struct loop *loop)
{
	written[0] = 0;
	assert_int_equal(loop_init(loop), 0);
}

static inline bool is_readable(const struct loop *loop)
{
	struct pollfd poller = { .fd = loop->epoll, .events = POLLIN };

	return poll(&poller, 1, 0) > 0;
}

static inline int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A thread that sleeps in a loop until it is told to quit. */
struct sleeper {
	struct loop loop;
	atomic_uint rounds;
	atomic_bool quit;
	pthread_t thread;
};

static inline void *sleep_in_loop(void *opaque)
{
	struct sleeper *sleeper = opaque;

	while (!atomic_load(&sleeper->quit)) {
		if (loop_run(&sleeper->loop, -1))
			break;
		atomic_fetch_add(&sleeper->rounds, 1);
	}
	return NULL;
}

static inline void sleeper_init(struct sleeper *sleeper)
{
	memset(sleeper, 0, sizeof(*sleeper));
	begin(&sleeper->loop);
}

static inline void sleeper_begin(struct sleeper *sleeper)
{
	assert_int_equal(pthread_create(&sleeper->thread, NULL, sleep_in_loop, sleeper), 0);
}

static inline void sleeper_start(struct sleeper *sleeper)
{
	sleeper_init(sleeper);
	sleeper_begin(sleeper);
}

static inline void sleeper_stop(struct sleeper *sleeper)
{
	atomic_store(&sleeper->quit, true);
	loop_wake(&sleeper->loop);
	assert_int_equal(pthread_join(sleeper->thread, NULL), 0);
	loop_done(&sleeper->loop);
}

#endif
