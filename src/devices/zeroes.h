/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Discarding and zeroing ranges of a file or block device. What a file system
 * does not know is done in the next best way, down to writing zeros (a range to
 * be zeroed) or to nothing (one to be discarded, which is only advice). Each
 * call that is made for a transfer is a step on that way.
 *
 * Pure but for zeroes_call(); any thread.
 */
#ifndef DEVICES_ZEROES_H
#define DEVICES_ZEROES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "devices/engine.h"

enum zeroes_kind {
	ZEROES_FALLOCATE,
	ZEROES_IOCTL, /* sleeps, and no ring knows it */
	ZEROES_WRITE,
};

/* What the next call is to be, at the transfer's offset. */
struct zeroes_step {
	enum zeroes_kind kind;
	int mode; /* of fallocate(2), for all that is left */
	const void *zeros;
	size_t len; /* of @zeros, to be written */
};

static inline bool transfer_zeroes(const struct transfer *transfer)
{
	return transfer->op == TRANSFER_DISCARD || transfer->op == TRANSFER_ZERO;
}

struct zeroes_step zeroes_next(const struct transfer *transfer);

/* Makes the next call: bytes, 0 or -errno. */
ssize_t zeroes_call(const struct transfer *transfer, int fd);

/* Takes in its result, which is neither -EAGAIN nor -EINTR; as transfer_advance(). */
bool zeroes_advance(struct transfer *transfer, ssize_t result);

#endif
