/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of a vhost-user socket, held by a fuzz target that speaks for the peer:
 * sends what it is told to, right or wrong, and receives, and never waits.
 */
#ifndef FUZZ_END_H
#define FUZZ_END_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/message.h"

struct end {
	int fd; /* -1: closed */
	struct message incoming;
	size_t received;
};

/* Both ends of a new socket pair; the other one is the caller's. */
void end_open(struct end *end, int *ret_other);
/* Takes a connected socket over. */
void end_take(struct end *end, int fd);
void end_close(struct end *end);

/*
 * header.size bytes of payload, however many there are in truth, and the fds,
 * which stay the caller's. False: there was no room, or nobody is there.
 */
bool end_send(struct end *end, const struct message *message);
bool end_send_bytes(struct end *end, const void *bytes, size_t size);

/* The next message, which then owns its fds. 1; 0: none; -1: closed, or no message. */
int end_recv(struct end *end, struct message *ret);

#endif
