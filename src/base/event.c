/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/event.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * Who fills the counter as fast as it is emptied is outrun after a few of these;
 * and if not, the next time.
 */
#define ROUNDS_MAX 10000u

#define STEP       (UINT64_C(1) << 32)

int event_signal(struct event_guard *guard, int fd)
{
	uint64_t at = atomic_load_explicit(&guard->at, memory_order_relaxed) + STEP;
	int error;

	/* Relaxed: whoever watches looks a second later, and again when it has got hold of the fd.
	 */
	atomic_store_explicit(&guard->at, at | ((uint32_t)fd + 1), memory_order_relaxed);
	error = fd_signal(fd);
	atomic_store_explicit(&guard->at, at, memory_order_relaxed);
	if (atomic_load_explicit(&guard->freed, memory_order_relaxed) == (at | ((uint32_t)fd + 1)))
		return -ETIMEDOUT;
	return error;
}

static uint64_t now_at(const struct event_guard *guard)
{
	return atomic_load(&guard->at);
}

bool event_free(struct event_guard *guard)
{
	uint64_t at = now_at(guard), before = guard->seen;
	int fd;

	guard->seen = at;
	if (at != before || !(uint32_t)at)
		return false;
	fd = fcntl((int)(uint32_t)at - 1, F_DUPFD_CLOEXEC, 0);
	/* It is still in there, so the fd was not closed meanwhile, and is this file. */
	if (fd < 0 || now_at(guard) != at) {
		fd_close(&fd);
		return false;
	}
	atomic_store(&guard->freed, at);
	for (unsigned n = 0; n < ROUNDS_MAX && now_at(guard) == at; n++) {
		(void)fd_set_nonblocking(fd);
		(void)event_take(fd);
		sched_yield();
	}
	fd_close(&fd);
	return true;
}

int event_take(int fd)
{
	uint64_t count[8];
	const struct iovec to = { count, sizeof(count) };
	ssize_t n;

	do {
		n = preadv2(fd, &to, 1, -1, RWF_NOWAIT);
	} while (n < 0 && errno == EINTR);
	/* Kernels before 5.8 can't say that of eventfds. */
	if (n < 0 && errno == EOPNOTSUPP)
		return fd_take(fd);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return n > 0 ? 0 : -ENODATA;
}
