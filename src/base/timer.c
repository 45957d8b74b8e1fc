/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/timer.h"

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>

#include "base/fd.h"

#define MS_PER_S  1000u
#define NS_PER_MS 1000000

static void timer_ready(struct loop_source *source, uint32_t events)
{
	struct timer *timer = container_of(source, struct timer, source);

	(void)events;
	/* Armed anew by what ran before in the same round: then it is not due. */
	if (fd_drain(source->fd))
		timer->due(timer);
}

int timer_init(struct timer *timer, struct loop *loop, void (*due)(struct timer *timer))
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int error = fd < 0 ? -errno : 0;

	timer->loop = loop;
	timer->due = due;
	timer->source.fd = -1;
	if (!error)
		error = loop_add(loop, &timer->source, fd, EPOLLIN, timer_ready);
	if (error)
		fd_close(&fd);
	return error;
}

void timer_done(struct timer *timer)
{
	int fd = timer->source.fd;

	if (fd < 0)
		return;
	loop_remove(timer->loop, &timer->source);
	fd_close(&fd);
}

static void set(struct timer *timer, unsigned ms)
{
	const struct itimerspec when = {
		.it_value = { .tv_sec = ms / MS_PER_S,
		              .tv_nsec = (long)(ms % MS_PER_S) * NS_PER_MS },
	};
	int r = timerfd_settime(timer->source.fd, 0, &when, NULL);

	/* It fails for a bad fd or time alone. */
	assert(r == 0);
	(void)r;
}

void timer_arm(struct timer *timer, unsigned ms)
{
	assert(ms > 0);
	set(timer, ms);
}

void timer_disarm(struct timer *timer)
{
	set(timer, 0);
}
