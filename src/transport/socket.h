/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unix stream sockets by path. All are non-blocking and close-on-exec.
 */
#ifndef TRANSPORT_SOCKET_H
#define TRANSPORT_SOCKET_H

#include <stdbool.h>

struct socket_fault {
	char text[200];
};

/*
 * Listens at @path. A path where a stale socket lies (nobody listens) is
 * replaced; where somebody listens it is -EADDRINUSE; where something else lies
 * it is -EEXIST and left alone. Returns 0 and *ret_fd, or -errno with *why
 * naming path, reason and remedy. -ENAMETOOLONG: sun_path is 107 bytes.
 */
int socket_listen(const char *path, int *ret_fd, struct socket_fault *why);

/*
 * Connects to @path; waits up to @timeout_ms for somebody to listen there, with
 * 0 not at all. The socket is non-blocking, this call is not. 0, or connect(2)'s
 * -errno, the last one after waiting (-ENOENT, -ECONNREFUSED, -EAGAIN: full
 * backlog), with *why.
 */
int socket_connect(const char *path, int timeout_ms, int *ret_fd, struct socket_fault *why);

/*
 * Whether @fd is a Unix stream socket that listens, or is connected. 0, -ENOTSOCK, -EBADF;
 * -EPROTOTYPE: another kind of socket; -ENOTCONN: neither of the two.
 */
int socket_kind(int fd, bool *ret_listening);

#endif
