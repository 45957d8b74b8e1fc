/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

#define RETRY_MS 10
/* Most that is waited for others who begin to listen in the same folder. */
#define LOCK_MS 200

/* Returns @error, so that a failure ends with `return fault(...)`. */
__attribute__((format(printf, 3, 4))) static int fault(struct socket_fault *why, int error,
                                                       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return error;
}

static int address_of(const char *path, struct sockaddr_un *ret, struct socket_fault *why)
{
	size_t length = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (length == 0)
		return fault(why, -EINVAL, "the path of a socket can't be empty");
	if (length >= sizeof(ret->sun_path))
		return fault(
			why, -ENAMETOOLONG,
			"%.60s...: %zu bytes, a socket's path has at most %zu; use a shorter one",
			path, length, sizeof(ret->sun_path) - 1);
	memcpy(ret->sun_path, path, length + 1);
	return 0;
}

static int socket_new(int *ret_fd, struct socket_fault *why)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = errno;

	if (fd < 0)
		return fault(why, -error,
		             "can't create a socket: %s; raise the limit (ulimit -n, LimitNOFILE=)",
		             strerror(error));
	*ret_fd = fd;
	return 0;
}

/* 0, or connect(2)'s -errno; -EAGAIN means that somebody listens but is busy. */
static int connect_once(int fd, const struct sockaddr_un *address)
{
	int ret;

	do {
		ret = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

/* Whether the socket that lies at @address is one nobody listens to: 0 if so. */
static int check_stale(const struct sockaddr_un *address, struct socket_fault *why)
{
	const char *path = address->sun_path;
	int fd;
	int ret = socket_new(&fd, why);

	if (ret)
		return ret;
	ret = connect_once(fd, address);
	fd_close(&fd);
	if (ret == -ECONNREFUSED || ret == -ENOENT)
		return 0;
	if (ret == -EACCES || ret == -EPERM)
		return fault(why, ret, "%s: a socket of another user: %s; choose another path",
		             path, strerror(-ret));
	return fault(why, -EADDRINUSE,
	             "%s: somebody listens there already; stop it or choose another path", path);
}

static const char *bind_remedy(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR: return "make its folder or choose another path";
	case -EACCES:
	case -EPERM:
	case -EROFS: return "choose a folder this user may write to";
	default: return "choose another path";
	}
}

/* Makes way for bind(2): removes a stale socket and nothing else. */
static int clear_path(const struct sockaddr_un *address, struct socket_fault *why)
{
	const char *path = address->sun_path;
	struct stat st;
	int ret;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		ret = -errno;
		return fault(why, ret, "%s: %s; %s", path, strerror(-ret), bind_remedy(ret));
	}
	if (!S_ISSOCK(st.st_mode))
		return fault(why, -EEXIST,
		             "%s: exists and is no socket; move it or choose another path", path);
	ret = check_stale(address, why);
	if (ret)
		return ret;
	if (unlink(path) < 0 && errno != ENOENT) {
		ret = -errno;
		return fault(why, ret, "%s: can't remove the stale socket: %s", path,
		             strerror(-ret));
	}
	return 0;
}

static int bind_and_listen(int fd, const struct sockaddr_un *address, struct socket_fault *why)
{
	const char *path = address->sun_path;
	int ret;

	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		ret = -errno;
		return fault(why, ret, "%s: can't create the socket: %s; %s", path, strerror(-ret),
		             bind_remedy(ret));
	}
	if (listen(fd, SOMAXCONN) < 0) {
		ret = -errno;
		unlink(path);
		return fault(why, ret, "%s: can't listen: %s", path, strerror(-ret));
	}
	return 0;
}

/*
 * Who begins to listen at the same time would find a socket that is bound and not yet
 * listening, and take it for a stale one. So they lock the folder, those that can; and
 * nobody can keep us from listening by a lock of his. An fd to be closed, or -1.
 */
static int lock_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char *slash;
	int fd;

	strcpy(folder, path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0 && ms < LOCK_MS; ms += RETRY_MS)
		poll(NULL, 0, RETRY_MS);
	return fd;
}

int socket_listen(const char *path, int *ret_fd, struct socket_fault *why)
{
	struct sockaddr_un address;
	int fd = -1, lock;
	int ret = address_of(path, &address, why);

	if (ret)
		return ret;
	lock = lock_folder(path);
	ret = clear_path(&address, why);
	if (!ret)
		ret = socket_new(&fd, why);
	if (!ret)
		ret = bind_and_listen(fd, &address, why);
	fd_close(&lock);
	if (ret)
		fd_close(&fd);
	else
		*ret_fd = fd;
	return ret;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What waiting can cure: nobody there yet, nobody listening yet, a full backlog. */
static bool may_come(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -EAGAIN;
}

int socket_connect(const char *path, int timeout_ms, int *ret_fd, struct socket_fault *why)
{
	int64_t deadline = now_ms() + timeout_ms;
	struct sockaddr_un address;
	int fd;
	int ret = address_of(path, &address, why);

	if (!ret)
		ret = socket_new(&fd, why);
	if (ret)
		return ret;
	for (;;) {
		ret = connect_once(fd, &address);
		if (!may_come(ret) || now_ms() >= deadline)
			break;
		poll(NULL, 0, RETRY_MS);
	}
	if (ret) {
		fd_close(&fd);
		return fault(why, ret, "%s: can't connect%s: %s", path,
		             may_come(ret) ? ", nobody serves there" : "", strerror(-ret));
	}
	*ret_fd = fd;
	return 0;
}

static int option_of(int fd, int name, int *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, name, ret, &size) < 0 ? -errno : 0;
}

int socket_kind(int fd, bool *ret_listening)
{
	struct sockaddr_un peer;
	socklen_t size = sizeof(peer);
	int domain, type, listening;
	int ret = option_of(fd, SO_DOMAIN, &domain);

	if (!ret)
		ret = option_of(fd, SO_TYPE, &type);
	if (!ret)
		ret = option_of(fd, SO_ACCEPTCONN, &listening);
	if (ret)
		return ret;
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return -EPROTOTYPE;
	*ret_listening = listening;
	/* It has a peer, or had one. */
	if (!listening && getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
		return -errno;
	return 0;
}
