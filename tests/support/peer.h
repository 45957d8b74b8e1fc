/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other end of a vhost-user socket, for tests: sends what it is told to,
 * right or wrong, and receives with a time-out. Independent of transport/, so
 * that neither's mistakes hide the other's.
 *
 * Thread: any, one at a time per socket. Nothing here asserts; see rig.h for
 * that.
 */
#ifndef SUPPORT_PEER_H
#define SUPPORT_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/message.h"

/* How long a test waits for what must come, in ms. Ample: machines are slow. */
#define PEER_PATIENCE 5000

/* How long it waits to be sure that nothing comes. */
#define PEER_QUIET 50

/*
 * Sends header.size bytes of payload behind the header, whatever they are. fds
 * stay the caller's. 0 or -errno; waits for room up to PEER_PATIENCE.
 */
int peer_send(int fd, const struct message *message);

/* The same without waiting, without fds: -EAGAIN if there is no room. */
int peer_try_send(int fd, const struct message *message);

/* Sends bytes that need not be a message. */
int peer_send_bytes(int fd, const void *bytes, size_t len);

/* 0; -ETIMEDOUT: nothing came; -ENOTCONN: closed; -EPROTO: not a message; -errno. */
int peer_recv(int fd, struct message *ret, int timeout_ms);

/* A reply to @request: @size bytes from @payload. */
int peer_reply(int fd, const struct message *request, const void *payload, size_t size);
int peer_reply_u64(int fd, const struct message *request, uint64_t value);

/* Whether the other end is closed (true) or silent (false) for PEER_QUIET ms. */
bool peer_closed(int fd);

#endif
