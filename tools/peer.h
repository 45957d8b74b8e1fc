/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process at the other end of a Unix socket: how it is reached, which it is,
 * and how much processor time it has had.
 */
#ifndef TOOLS_PEER_H
#define TOOLS_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct peer {
	pid_t pid;     /* 0: not known */
	char name[32]; /* of its program, in letters that need no quoting; empty: not known */
	clockid_t clock;
	bool has_clock;
};

/*
 * Connects to @path, where somebody listens or will within @timeout_ms. 0 and a socket;
 * or -errno, and what was said as @program.
 */
int peer_connect(const char *program, const char *path, int timeout_ms, int *ret_fd);

/*
 * Who listens at the other end of @fd. Where that is this process, or one of
 * another process namespace, or a service manager that passed its socket on,
 * nothing is known.
 */
void peer_of(int fd, struct peer *ret);

/* Processor time of all threads of the peer, or of this process, in ns; 0: not known. */
uint64_t peer_cpu_ns(const struct peer *peer);
uint64_t own_cpu_ns(void);

#endif
