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

/* Room for a crowd of translations, or of replies. */
#define RECEIVER_AHEAD 4096u

struct receiver {
	enum message_channel kind;

	/* Read, not yet part of a message: [start, end) of ahead. */
	unsigned char ahead[RECEIVER_AHEAD];
	size_t start, end;
	/* How much to ask for at least when a message or its payload begins. */
	size_t ask;
	/* The last read has brought less than was asked for: there was no more. */
	bool dry;
	uint64_t reads; /* system calls made so far */

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

/*
 * As channel_recv(), from @fd. Where the last read has shown that there is no
 * more, it says so once without another one.
 */
int receiver_next(struct receiver *receiver, int fd, struct message *ret);
/* There may be more than that read has shown. */
void receiver_expect(struct receiver *receiver);

#endif
