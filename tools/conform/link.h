/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket on which messages are sent as they are, right or wrong, and received
 * as they come, each of them evidence of the trial. Independent of transport/,
 * so that its mistakes are found, too. Knows no reply rule and no rig.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_LINK_H
#define CONFORM_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "trial.h"
#include "wire/message.h"

struct link {
	struct trial *trial;
	enum message_channel channel; /* which requests travel here */
	bool asks;                    /* the requests are ours; else we are asked */
	int fd;                       /* -1: none */
};

void link_close(struct link *link);

/*
 * Header, and header.size bytes of payload behind it as far as there are any.
 * fds stay the caller's. 0 or -errno: -EPIPE and the like where the peer has
 * closed, -ETIMEDOUT where there was no room for as long as the trial's patience.
 */
int link_send(struct link *link, const struct message *message);
/* The same in bytes that need not be a message; @what: for the evidence. */
int link_send_bytes(struct link *link, const void *bytes, size_t len, const char *what);
/* Without waiting: -EAGAIN if there is no room. */
int link_try_send(struct link *link, const struct message *message);

/*
 * The next message, within @ms. 0; -ETIMEDOUT: none; -ENOTCONN: the peer has
 * closed; -EPROTO: what came is no message; other -errno. fds of the message are
 * the caller's: message_close_fds().
 */
int link_recv(struct link *link, struct message *ret, int ms);

/* Waits until something can be read; false: nothing within @ms. */
bool link_readable(const struct link *link, int ms);

/* A reply of @size bytes to @request. 0 or -errno. */
int link_reply(struct link *link, const struct message *request, const void *payload, size_t size);
int link_reply_u64(struct link *link, const struct message *request, uint64_t value);

#endif
