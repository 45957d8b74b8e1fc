/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receiving half of a channel: bytes and fds from a stream socket become
 * messages. It reads a little ahead where the next message is likely to be like
 * the last one, since a system call costs more than all else that is done for a
 * message; never more than RECEIVER_AHEAD bytes, and never a payload whose header
 * has not been judged beyond that.
 *
 * Thread: the channel's.
 */
#ifndef TRANSPORT_RECEIVER_H
#define TRANSPORT_RECEIVER_H

#include "wire/message.h"

/* Room for some replies, or the header and payload of what comes most. */
#define RECEIVER_AHEAD 256u

struct receiver {
	enum message_channel kind;

	/* Read, not yet part of a message: [start, end) of ahead. */
	unsigned char ahead[RECEIVER_AHEAD];
	size_t start, end;
	/* How much to ask for when a message begins. */
	size_t guess;

	/*
	 * fds that came with a read. The kernel ends a read behind the data they were
	 * sent with, so they belong to a message with bytes in that read.
	 */
	int fds[MESSAGE_FDS_MAX];
	unsigned n_fds;

	/* The message being received: @received bytes of header and payload are here. */
	struct message incoming;
	size_t received;
	int error; /* what receiver_next() failed with */
	struct message_fault fault;
};

void receiver_init(struct receiver *receiver, enum message_channel kind);
/* Closes what fds nobody took. */
void receiver_done(struct receiver *receiver);

/* As channel_recv(), from @fd. */
int receiver_next(struct receiver *receiver, int fd, struct message *ret);

#endif
