/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket that front-ends connect to: ours by path, or one we were given.
 * Main thread. */
#ifndef VHU_BLK_LISTENER_H
#define VHU_BLK_LISTENER_H

#include <sys/types.h>

struct listener {
	int fd;           /* -1: it is the server's now, or was given back */
	const char *path; /* of the file to be removed, or NULL */
	dev_t dev;
	ino_t ino;
};

struct listener_options {
	const char *path;  /* or NULL: fd */
	int mode;          /* of the file; -1: as the umask says */
	const char *group; /* or NULL */
	int fd;
	const char *fd_name; /* where it was given */
};

/* 0, or -errno after a complaint. Nobody can connect who may not. */
int listener_open(struct listener *listener, const struct listener_options *options);

/*
 * Removes the file, if it is still the one that was made, once. While the socket is open,
 * for its inode may be the next one's as soon as it is closed.
 */
void listener_remove(struct listener *listener);

#endif
