/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the engines that end in a system call share: the next piece of a
 * transfer, and what to make of its result.
 */
#ifndef DEVICES_TRANSFER_H
#define DEVICES_TRANSFER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "devices/engine.h"

/* Iovecs of the next call: the kernel takes no more than IOV_MAX. */
static inline unsigned transfer_piece(const struct transfer *transfer)
{
	return transfer->n_iov < IOV_MAX ? transfer->n_iov : IOV_MAX;
}

/*
 * Takes in the result of a call (bytes, or -errno). True: the transfer is done,
 * transfer->error says how; false: there is more to do.
 */
bool transfer_advance(struct transfer *transfer, ssize_t result);

/* Makes calls until the transfer is done; sleeps. Any thread. */
void transfer_run(struct transfer *transfer, int fd);

/* Reads what can be had without sleeping. True: all of it, the transfer is done. */
bool transfer_try(struct transfer *transfer, int fd);

#endif
