/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket that front-ends connect to. Where one can't be accepted, for want of
 * fds or memory, the socket stays readable: who came is refused if that is
 * possible, and else the socket is not looked at for a while, so that a session
 * goes on undisturbed. Who waits is accepted as soon as that can be done again.
 *
 * Thread: the server's.
 */
#ifndef BACKEND_ACCEPTOR_H
#define BACKEND_ACCEPTOR_H

#include <stdbool.h>

#include "base/timer.h"

struct acceptor {
	const char *subject; /* of log lines */
	struct loop *loop;
	struct loop_source source; /* fd -1: at rest, or closed */
	struct timer rest;
	int fd;      /* -1: closed */
	int reserve; /* an fd to give up where there are no more */
	bool fails;  /* nobody could be accepted, which was told, and nobody was since */
	void (*came)(struct acceptor *acceptor, int fd);
};

/* One that is closed. */
void acceptor_init(struct acceptor *acceptor, struct loop *loop, const char *subject);
/*
 * Takes @fd, a listening socket, on success. @came is given each connection, and
 * has to close it. 0 or -errno.
 */
int acceptor_open(struct acceptor *acceptor, int fd,
                  void (*came)(struct acceptor *acceptor, int fd));
/* Harmless where it is closed. */
void acceptor_close(struct acceptor *acceptor);
bool acceptor_is_open(const struct acceptor *acceptor);

#endif
