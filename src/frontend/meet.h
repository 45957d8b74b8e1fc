/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How front-end and back-end come to a connection: one connects where the other
 * listens. Not what is said on it.
 *
 * Thread: any; whoever waits here holds no lock.
 */
#ifndef FRONTEND_MEET_H
#define FRONTEND_MEET_H

/* Whether it is a connected Unix stream socket. 0, -ENOTSOCK, -EINVAL. */
int meet_check(int fd);

/* Waits for a connection at a listening socket. 0, -ETIMEDOUT, -errno. */
int meet_accept(int listener, int timeout_ms, int *ret_fd);

#endif
