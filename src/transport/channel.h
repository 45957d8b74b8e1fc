/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole messages over a stream socket, with their fds, in both directions and
 * without ever blocking: what has come in part waits for the rest, what can't be
 * sent at once waits in a bounded queue. Knows the header's layout and size
 * limit, and nothing of what messages mean.
 *
 * Thread: one at a time.
 */
#ifndef TRANSPORT_CHANNEL_H
#define TRANSPORT_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

struct channel;

/*
 * @fd: a connected Unix stream socket, made non-blocking, the channel's from
 * here on (also on failure it is not closed). 0, -ENOMEM, or fcntl's -errno.
 */
int channel_new(int fd, enum message_channel kind, struct channel **ret);
void channel_free(struct channel *channel);
int channel_fd(const struct channel *channel);

/*
 * The next message. 1: *ret is one and owns its fds; 0: no whole message has
 * come yet; -ENOTCONN: the peer closed between two messages; -EPIPE: it closed
 * in the middle of one; -EPROTO, -EMSGSIZE: the header is none
 * (nothing was read behind the header); -EBADF: more fds than a message may
 * carry, or truncated control data; other -errno of recvmsg(2). channel_fault()
 * says it in words. After an error it returns the same again; what waits may
 * still be sent. *ret is written only with 1; payload bytes that were not sent
 * are 0 then.
 *
 * Every fd is received close-on-exec. fds belong to the message whose bytes
 * they came with, header or payload. Whether a header is that of a request or of
 * a reply is told by its REPLY bit; both are let through. So is an unknown
 * request of legal size: message_check() refuses it, the channel goes on.
 *
 * 0 may be what the last read has shown and not what the socket holds now: who
 * polls the socket, level-triggered, misses nothing, and is spared the call that
 * would find it empty. channel_expect() has the next call look.
 */
int channel_recv(struct channel *channel, struct message *ret);
void channel_expect(struct channel *channel);

/* What was wrong, after channel_recv() returned an error. */
const struct message_fault *channel_fault(const struct channel *channel);

/*
 * Queues a message behind those that wait; channel_flush() sends. The message's
 * fds are borrowed: they are duplicated here and stay the caller's. 0, -ENOBUFS
 * if CHANNEL_QUEUE_MAX messages wait, -ENOMEM, -EMFILE, -EBADF (an fd that was
 * taken).
 */
int channel_queue(struct channel *channel, const struct message *message);
#define CHANNEL_QUEUE_MAX 512u

/*
 * Sends what is queued, as many messages in one sendmsg(2) as can go together.
 * 0: all sent; -EAGAIN: some wait for the socket; -EPIPE and other -errno: the
 * socket is dead. Never raises SIGPIPE.
 */
int channel_flush(struct channel *channel);

/* channel_queue() and channel_flush(); -EAGAIN counts as success (it will go). */
int channel_send(struct channel *channel, const struct message *message);

/* Messages that wait, the one partly sent included. */
unsigned channel_waiting(const struct channel *channel);
/* Whether the first of those is partly sent. */
bool channel_in_message(const struct channel *channel);
/* Drops the waiting ones but the one partly sent (rule S6); how many. */
unsigned channel_drop_waiting(struct channel *channel);

/* What has gone over it so far, and the system calls that took. */
struct channel_stats {
	uint64_t received, reads;
	uint64_t sent, sends;
};

struct channel_stats channel_stats(const struct channel *channel);

#endif
