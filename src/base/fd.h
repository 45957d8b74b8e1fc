/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File descriptors: closing, waiting, passing on, and the eventfds by which threads and
 * guests wake each other.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>

struct msghdr;

/* Closes *fd unless it is -1, and makes it -1. Keeps errno. */
void fd_close(int *fd);

/* An eventfd, non-blocking and close-on-exec. 0 or -errno. */
int fd_event(int *ret);

/*
 * Adds 1. Never blocks: a counter that is full is signalled already. For an fd
 * that is not an eventfd (a pipe) writes eight bytes. 0 or -errno.
 */
int fd_signal(int fd);

/*
 * Takes the counter: 0; -EAGAIN: it is 0; other -errno: this is no counter, and
 * if it is readable, it will be so for ever.
 */
int fd_take(int fd);
/* Takes the counter; true if it was not 0. */
bool fd_drain(int fd);

int fd_set_nonblocking(int fd);

/*
 * Whether it has no type, as an eventfd has none. Writing to a pipe or socket may
 * raise SIGPIPE, writing to a file may wait for whoever serves it, and makes it
 * grow; and what comes to its end is readable for ever.
 */
bool fd_is_anonymous(int fd);

/*
 * Whether the other end of a connected socket is gone. Nothing is read for it: what
 * the other end said last may still be there.
 */
bool fd_peer_gone(int fd);

/* Until one of poll()'s @events is there, @ms at the most. 0, -ETIMEDOUT or -errno. */
int fd_wait(int fd, short events, int ms);

/* Has sendmsg() pass on @n fds; @msg has CMSG_SPACE() of them as its control. */
void fd_put_rights(struct msghdr *msg, const int *fds, unsigned n);

/*
 * Takes the fds that recvmsg() has brought: behind the *@n that are in @fds already, as
 * long as there is room for @max of them; the others are closed. False: some did not
 * fit here, or in what recvmsg() was given.
 */
bool fd_take_rights(struct msghdr *msg, int *fds, unsigned *n, unsigned max);

#endif
