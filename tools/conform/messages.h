/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages to be sent, right as they are made here; a case makes them wrong
 * afterwards. Pure.
 */
#ifndef CONFORM_MESSAGES_H
#define CONFORM_MESSAGES_H

#include "wire/message.h"

struct message msg_empty(uint32_t request);
struct message msg_u64(uint32_t request, uint64_t value);
struct message msg_state(uint32_t request, uint32_t ring, uint32_t num);
/* KICK, CALL, ERR; fd -1: the bit that there is none. The fd stays the caller's. */
struct message msg_vring_fd(uint32_t request, unsigned ring, int fd);
/* With one fd, of whatever sort the message carries. */
struct message msg_fd(uint32_t request, int fd);
struct message msg_config(uint32_t request, uint32_t offset, uint32_t size, uint32_t flags);
/* What real front-ends leave in padding is not to be looked at: it is filled with rubbish. */
struct message msg_update(uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm);
struct message msg_invalidate(uint64_t iova, uint64_t size);

/*
 * A request as the message table describes it: payload of its least size, zeroes,
 * as many fds as @fd can stand for.
 */
struct message msg_of_table(uint32_t request, int fd);

#endif
