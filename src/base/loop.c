/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/loop.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "base/fd.h"

/* Passes over tasks that schedule tasks, before the fds have a look. */
#define PASSES_MAX 4u

/* Rounds of tasks that schedule tasks, before the caller has its turn. */
#define ROUNDS_MAX 32u

static void woken(struct loop_source *source, uint32_t events)
{
	(void)events;
	fd_drain(source->fd);
}

int loop_init(struct loop *loop)
{
	int wake, error;

	*loop = (struct loop){ .epoll = -1, .wake.fd = -1 };
	list_init(&loop->tasks);
	error = fd_event(&wake);
	if (error)
		return error;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	error = loop->epoll < 0 ? -errno : loop_add(loop, &loop->wake, wake, EPOLLIN, woken);
	if (error) {
		fd_close(&wake);
		fd_close(&loop->epoll);
	}
	return error;
}

void loop_done(struct loop *loop)
{
	fd_close(&loop->wake.fd);
	fd_close(&loop->epoll);
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events,
             void (*ready)(struct loop_source *source, uint32_t events))
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	/* First, for another thread may be sleeping in this loop already. */
	source->fd = fd;
	source->ready = ready;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		source->fd = -1;
		return -errno;
	}
	return 0;
}

int loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
	for (int i = loop->batch_at; i < loop->batch_n; i++)
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
}

void loop_remove_unused(struct loop *loop, struct loop_source *source)
{
	if (source->fd >= 0)
		epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
}

void loop_schedule(struct loop *loop, struct loop_task *task)
{
	if (task->scheduled)
		return;
	if (!loop->running && list_is_empty(&loop->tasks))
		loop_wake(loop);
	task->scheduled = true;
	list_append(&loop->tasks, &task->node);
}

void loop_cancel(struct loop_task *task)
{
	if (!task->scheduled)
		return;
	task->scheduled = false;
	list_remove(&task->node);
}

/* Those scheduled so far; what they schedule comes in the next round, after a
 * look at the fds, so that a task that goes on for ever starves nobody. */
static void run_pass(struct loop *loop)
{
	struct list now, *node;

	if (list_is_empty(&loop->tasks))
		return;
	now = loop->tasks;
	now.next->prev = now.prev->next = &now;
	list_init(&loop->tasks);
	while ((node = list_pop(&now))) {
		struct loop_task *task = container_of(node, struct loop_task, node);

		task->scheduled = false;
		task->run(task);
	}
}

/* What they schedule mostly belongs to the same piece of work. */
static void run_tasks(struct loop *loop)
{
	for (unsigned n = 0; n < PASSES_MAX && !list_is_empty(&loop->tasks); n++)
		run_pass(loop);
}

static int run_round(struct loop *loop, int timeout_ms)
{
	int n = epoll_wait(loop->epoll, loop->batch, LOOP_BATCH, timeout_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	loop->batch_n = n;
	for (loop->batch_at = 0; loop->batch_at < loop->batch_n;) {
		struct epoll_event event = loop->batch[loop->batch_at++];
		struct loop_source *source = event.data.ptr;

		if (source)
			source->ready(source, event.events);
	}
	loop->batch_n = 0;
	run_tasks(loop);
	return 0;
}

int loop_run(struct loop *loop, int timeout_ms)
{
	int error;

	loop->running = true;
	error = run_round(loop, list_is_empty(&loop->tasks) ? timeout_ms : 0);
	for (unsigned n = 0; !error && n < ROUNDS_MAX && !list_is_empty(&loop->tasks); n++)
		error = run_round(loop, 0);
	loop->running = false;
	/* Who polls the loop's fd instead of sleeping in here must not sleep now. */
	if (!list_is_empty(&loop->tasks))
		loop_wake(loop);
	return error;
}

void loop_wake(struct loop *loop)
{
	fd_signal(loop->wake.fd);
}
