/* SPDX-License-Identifier: BSD-3-Clause */
#include "frontend/meet.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "frontend/frontend.h"
#include "transport/socket.h"

int meet_check(int fd)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	bool listening;
	int error = socket_kind(fd, &listening);

	if (error)
		return error;
	if (listening)
		return -EINVAL;
	return getpeername(fd, (struct sockaddr *)&peer, &size) < 0 ? -errno : 0;
}

int meet_accept(int listener, int timeout_ms, int *ret_fd)
{
	const int64_t deadline = frontend_now_ms() + timeout_ms;
	struct pollfd poller = { .fd = listener, .events = POLLIN };

	for (;;) {
		int64_t left = deadline - frontend_now_ms();

		if (left < 0)
			return -ETIMEDOUT;
		if (poll(&poller, 1, (int)left + 1) < 0 && errno != EINTR)
			return -errno;
		*ret_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (*ret_fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			return -errno;
		/* Who has gone again, maybe long ago, is not the one that is waited for. */
		if (*ret_fd >= 0 && !fd_peer_gone(*ret_fd))
			return 0;
		fd_close(ret_fd);
	}
}
