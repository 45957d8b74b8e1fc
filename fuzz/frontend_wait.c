/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls in which a front-end would sleep, caught by the linker (--wrap): no
 * time passes but what is decided here.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>

#include "frontend.h"

int __real_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

static struct play *waiting;

void wait_set(struct play *play)
{
	waiting = play;
}

/* The back-end's turn; with nothing to do the time is over. Whether to look again. */
static bool wait_more(int timeout)
{
	if (peer_step(waiting))
		return true;
	/* Nobody is there who could ever end it. */
	assert_true(timeout >= 0);
	waiting->now_ms += timeout;
	return false;
}

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
	int n = __real_epoll_wait(epoll, events, max, waiting ? 0 : timeout);

	while (waiting && timeout && n == 0 && wait_more(timeout))
		n = __real_epoll_wait(epoll, events, max, 0);
	return n;
}

int __wrap_poll(struct pollfd *fds, nfds_t n_fds, int timeout)
{
	int n = __real_poll(fds, n_fds, waiting ? 0 : timeout);

	while (waiting && timeout && n == 0 && wait_more(timeout))
		n = __real_poll(fds, n_fds, 0);
	return n;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (!waiting || clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, ret);
	ret->tv_sec = waiting->now_ms / 1000;
	ret->tv_nsec = waiting->now_ms % 1000 * 1000000;
	return 0;
}
