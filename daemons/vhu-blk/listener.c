/* SPDX-License-Identifier: BSD-3-Clause */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vhu/socket.h>

#include "say.h"

static int take_fd(struct listener *listener, int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) {
		complain("--fd=%d: %s; give the number of an open socket", fd, strerror(errno));
		return -errno;
	}
	listener->fd = fd;
	return 0;
}

int listener_open(struct listener *listener, const char *path, int fd)
{
	struct stat st;
	char why[240];
	int error;

	*listener = (struct listener){ .fd = -1 };
	if (!path)
		return take_fd(listener, fd);
	error = vhu_socket_listen(path, &listener->fd, why, sizeof(why));
	if (error) {
		complain("--socket-path: %s", why);
		return error;
	}
	if (lstat(path, &st) == 0) {
		listener->path = path;
		listener->dev = st.st_dev;
		listener->ino = st.st_ino;
	}
	return 0;
}

void listener_remove(const struct listener *listener)
{
	struct stat st;

	if (listener->path && lstat(listener->path, &st) == 0 && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(listener->path);
}
