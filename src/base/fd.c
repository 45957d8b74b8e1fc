/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int fd_event(int *ret)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

int fd_signal(int fd)
{
	const uint64_t one = 1;
	ssize_t n;

	do {
		n = write(fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	return n < 0 && errno != EAGAIN ? -errno : 0;
}

int fd_take(int fd)
{
	uint64_t count[8];
	ssize_t n;

	do {
		n = read(fd, count, sizeof(count));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return n > 0 ? 0 : -ENODATA;
}

bool fd_drain(int fd)
{
	return fd_take(fd) == 0;
}

int fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

bool fd_is_anonymous(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
}

bool fd_peer_gone(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLRDHUP };

	return poll(&poller, 1, 0) > 0;
}

int fd_wait(int fd, short events, int ms)
{
	struct pollfd poller = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&poller, 1, ms);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

void fd_put_rights(struct msghdr *msg, const int *fds, unsigned n)
{
	struct cmsghdr *cmsg;

	msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
	memset(msg->msg_control, 0, msg->msg_controllen);
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
}

static bool take_some(const struct cmsghdr *cmsg, int *fds, unsigned *n, unsigned max)
{
	size_t came = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool fits = true;

	for (size_t i = 0; i < came; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
		if (*n < max) {
			fds[(*n)++] = fd;
		} else {
			fd_close(&fd);
			fits = false;
		}
	}
	return fits;
}

bool fd_take_rights(struct msghdr *msg, int *fds, unsigned *n, unsigned max)
{
	bool fits = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
			fits &= take_some(cmsg, fds, n, max);
	return fits;
}
