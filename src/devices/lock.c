/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* What can be done with an image, as QEMU numbers it. */
enum {
	USE_READ = 0,
	USE_WRITE = 1,
	USE_RESIZE = 3,
};

#define DONE_BASE   100
#define DENIED_BASE 200

static int lock_call(int fd, int command, short type, off_t start, off_t len, struct flock *ret)
{
	*ret = (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = len,
	};
	return fcntl(fd, command, ret) < 0 ? -errno : 0;
}

static int hold(int fd, int byte)
{
	struct flock lock;
	int error = lock_call(fd, F_OFD_SETLK, F_RDLCK, byte, 1, &lock);

	return error == -EACCES ? -EAGAIN : error;
}

/* Whether anybody else holds it. */
static int check_free(int fd, int byte)
{
	struct flock lock;
	int error = lock_call(fd, F_OFD_GETLK, F_WRLCK, byte, 1, &lock);

	if (error)
		return error;
	return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

int lock_take(int fd, bool writes)
{
	const struct {
		bool wanted;
		int mine, theirs;
	} bytes[] = {
		{ true, DONE_BASE + USE_READ, DENIED_BASE + USE_READ },
		{ writes, DONE_BASE + USE_WRITE, DENIED_BASE + USE_WRITE },
		{ true, DENIED_BASE + USE_WRITE, DONE_BASE + USE_WRITE },
		{ true, DENIED_BASE + USE_RESIZE, DONE_BASE + USE_RESIZE },
	};
	const unsigned n = sizeof(bytes) / sizeof(bytes[0]);
	int error = 0;

	/* First all are taken, then all looked for: of two at least one sees the other. */
	for (unsigned i = 0; i < n && !error; i++)
		if (bytes[i].wanted)
			error = hold(fd, bytes[i].mine);
	for (unsigned i = 0; i < n && !error; i++)
		if (bytes[i].wanted)
			error = check_free(fd, bytes[i].theirs);
	if (error)
		lock_release(fd);
	return error;
}

void lock_release(int fd)
{
	struct flock lock;

	lock_call(fd, F_OFD_SETLK, F_UNLCK, DONE_BASE, DENIED_BASE + 100 - DONE_BASE, &lock);
}
