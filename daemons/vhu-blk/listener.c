/* SPDX-License-Identifier: BSD-3-Clause */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vhu/socket.h>

#include "number.h"
#include "say.h"

static int take_fd(struct listener *listener, int fd, const char *name)
{
	int flags = fcntl(fd, F_GETFD), error;

	if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) {
		error = -errno;
		complain("%s=%d: %s; give the number of an open socket", name, fd,
		         strerror(-error));
		return error;
	}
	listener->fd = fd;
	return 0;
}

static int find_group(const char *name, gid_t *ret)
{
	struct group *group = getgrnam(name);
	uint64_t number;

	if (group)
		*ret = group->gr_gid;
	else if (number_parse(name, &number) == 0 && number < (gid_t)-1)
		*ret = (gid_t)number;
	else
		return -ENOENT;
	return 0;
}

/* Whoever made the file may give it to a group of his. */
static int give_to_group(const char *path, const char *name)
{
	gid_t gid;
	int error;

	if (find_group(name, &gid)) {
		complain("--socket-group=%s: there is no such group; give another one", name);
		return -ENOENT;
	}
	if (lchown(path, (uid_t)-1, gid) == 0)
		return 0;
	error = -errno;
	complain("--socket-group=%s: %s: %s; give a group this user is in", name, path,
	         strerror(-error));
	return error;
}

static int set_mode(const char *path, mode_t mode)
{
	int error;

	if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	error = -errno;
	complain("--socket-mode=%04o: %s: %s", (unsigned)mode, path, strerror(-error));
	return error;
}

/* @alone: nobody else can connect yet, whatever the umask says. */
static int make_socket(struct listener *listener, const char *path, bool alone)
{
	mode_t before = 0;
	char why[240];
	int error;

	if (alone)
		before = umask(0177);
	error = vhu_socket_listen(path, &listener->fd, why, sizeof(why));
	if (alone)
		umask(before);
	if (error)
		complain("--socket-path: %s", why);
	return error;
}

static void remember(struct listener *listener, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return;
	listener->path = path;
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
}

int listener_open(struct listener *listener, const struct listener_options *options)
{
	int mode = options->mode < 0 && options->group ? 0660 : options->mode;
	int error;

	*listener = (struct listener){ .fd = -1 };
	if (!options->path)
		return take_fd(listener, options->fd, options->fd_name);
	error = make_socket(listener, options->path, mode >= 0);
	if (error)
		return error;
	remember(listener, options->path);
	if (options->group)
		error = give_to_group(options->path, options->group);
	if (!error && mode >= 0)
		error = set_mode(options->path, (mode_t)mode);
	return error;
}

void listener_remove(struct listener *listener)
{
	const char *path = listener->path;
	struct stat st;

	listener->path = NULL;
	if (path && lstat(path, &st) == 0 && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(path);
}
