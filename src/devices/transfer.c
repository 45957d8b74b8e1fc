/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/transfer.h"

#include <errno.h>
#include <unistd.h>

#include "devices/iovec.h"
#include "devices/zeroes.h"

/* A disk that goes on refusing for so long is broken. */
#define REFUSALS_MOST 64

bool transfer_advance(struct transfer *transfer, ssize_t result)
{
	if (result == -EAGAIN || result == -EINTR) {
		if (++transfer->refusals < REFUSALS_MOST)
			return false;
		transfer->error = -EIO;
		return true;
	}
	transfer->refusals = 0;
	if (transfer_zeroes(transfer))
		return zeroes_advance(transfer, result);
	if (result < 0) {
		transfer->error = (int)result;
		return true;
	}
	if (transfer->left == 0)
		return true;
	/* The end of a file that has become shorter than the disk. */
	if (result == 0) {
		transfer->error = -EIO;
		return true;
	}
	transfer->offset += (uint64_t)result;
	transfer->left -= (uint64_t)result;
	iovec_drop_front(&transfer->iov, &transfer->n_iov, (uint64_t)result);
	return transfer->left == 0;
}

static ssize_t call(const struct transfer *transfer, int fd, int flags)
{
	off_t offset = (off_t)transfer->offset;
	int n = (int)transfer_piece(transfer);
	ssize_t result = 0;

	switch (transfer->op) {
	case TRANSFER_READ: result = preadv2(fd, transfer->iov, n, offset, flags); break;
	case TRANSFER_WRITE:
		flags |= transfer->durable ? RWF_DSYNC : 0;
		result = pwritev2(fd, transfer->iov, n, offset, flags);
		break;
	case TRANSFER_FLUSH: result = fdatasync(fd); break;
	case TRANSFER_DISCARD:
	case TRANSFER_ZERO: return zeroes_call(transfer, fd);
	}
	return result < 0 ? -errno : result;
}

void transfer_run(struct transfer *transfer, int fd)
{
	while (!transfer_advance(transfer, call(transfer, fd, 0)))
		;
}

bool transfer_try(struct transfer *transfer, int fd)
{
	while (transfer->left > 0) {
		ssize_t result = call(transfer, fd, RWF_NOWAIT);

		if (result < 0)
			return false;
		if (transfer_advance(transfer, result))
			return true;
	}
	return false;
}
