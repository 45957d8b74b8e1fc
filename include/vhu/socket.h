/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unix stream sockets by path, ready for a server or a front-end: non-blocking
 * and close-on-exec.
 */
#ifndef VHU_SOCKET_H
#define VHU_SOCKET_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vhu_socket_listen - a socket that front-ends (or back-ends) can connect to.
 * @path: where; at most 107 bytes. A socket that lies there and that nobody
 *	listens to any more is replaced
 * @ret_fd: the socket
 * @why: NULL, or room for a line that names path, reason and remedy of a failure
 * @why_size: bytes of @why
 *
 * Of several that begin at the same path at the same time one listens.
 *
 * Context: any thread; waits for others that begin to listen in the same folder, for a
 * fifth of a second at the most.
 * Ownership: *@ret_fd and the file at @path are the caller's.
 * Return: 0, -EADDRINUSE where somebody listens, -EEXIST where something else
 * than a socket lies, -ENAMETOOLONG, -EINVAL for an empty path, or the -errno of
 * socket(2), bind(2), listen(2).
 */
int vhu_socket_listen(const char *path, int *ret_fd, char *why, size_t why_size);

/**
 * vhu_socket_connect - a socket connected to the one at a path.
 * @path: where
 * @timeout_ms: how long to wait for somebody to listen there
 * @ret_fd: the socket
 * @why: NULL, or room for a line that says why not
 * @why_size: bytes of @why
 *
 * Context: any thread; blocks for @timeout_ms at the most.
 * Ownership: *@ret_fd is the caller's.
 * Return: 0, -ENAMETOOLONG, -EINVAL for an empty path, or the -errno of
 * connect(2).
 */
int vhu_socket_connect(const char *path, int timeout_ms, int *ret_fd, char *why, size_t why_size);

#ifdef __cplusplus
}
#endif
#endif
