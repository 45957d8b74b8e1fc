/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/zeroes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

/* Best first; each ends with a way that always works. */
enum way {
	WAY_PUNCH,
	WAY_RANGE, /* of a block device: the kernel writes zeros if it must */
	WAY_IOCTL,
	WAY_WRITE,
	WAY_NOTHING,
};

static const unsigned char ways_to_discard[] = { WAY_PUNCH, WAY_IOCTL, WAY_NOTHING };
static const unsigned char ways_to_free[] = { WAY_PUNCH, WAY_RANGE, WAY_WRITE };
static const unsigned char ways_to_zero[] = { WAY_RANGE, WAY_WRITE };

/* Never written, so that no memory stands behind it. */
static _Alignas(4096) char zeros[1 << 20];

static enum way way_of(const struct transfer *transfer)
{
	if (transfer->op == TRANSFER_DISCARD)
		return ways_to_discard[transfer->way];
	return transfer->unmap ? ways_to_free[transfer->way] : ways_to_zero[transfer->way];
}

struct zeroes_step zeroes_next(const struct transfer *transfer)
{
	switch (way_of(transfer)) {
	case WAY_PUNCH:
		return (struct zeroes_step){
			.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		};
	case WAY_RANGE:
		return (struct zeroes_step){ .mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	case WAY_IOCTL: return (struct zeroes_step){ .kind = ZEROES_IOCTL };
	case WAY_WRITE:
	case WAY_NOTHING: break;
	}
	return (struct zeroes_step){
		.kind = ZEROES_WRITE,
		.zeros = zeros,
		.len = transfer->left < sizeof(zeros) ? transfer->left : sizeof(zeros),
	};
}

ssize_t zeroes_call(const struct transfer *transfer, int fd)
{
	struct zeroes_step step = zeroes_next(transfer);
	off_t offset = (off_t)transfer->offset;
	uint64_t range[2] = { transfer->offset, transfer->left };
	struct iovec iov = { zeros, step.len };
	ssize_t result = 0;

	switch (step.kind) {
	case ZEROES_FALLOCATE:
		result = fallocate(fd, step.mode, offset, (off_t)transfer->left);
		break;
	case ZEROES_IOCTL: result = ioctl(fd, BLKDISCARD, range); break;
	case ZEROES_WRITE:
		result = pwritev2(fd, &iov, 1, offset, transfer->durable ? RWF_DSYNC : 0);
		break;
	}
	return result < 0 ? -errno : result;
}

static bool is_unknown(ssize_t result)
{
	return result == -EOPNOTSUPP || result == -ENOTTY || result == -ENOSYS;
}

static bool written(struct transfer *transfer, ssize_t result)
{
	if (result <= 0) {
		transfer->error = result < 0 ? (int)result : -EIO;
		return true;
	}
	transfer->offset += (uint64_t)result;
	transfer->left -= (uint64_t)result;
	return transfer->left == 0;
}

bool zeroes_advance(struct transfer *transfer, ssize_t result)
{
	enum way way = way_of(transfer);

	if (way == WAY_WRITE)
		return written(transfer, result);
	if (is_unknown(result)) {
		transfer->way++;
		return way_of(transfer) == WAY_NOTHING;
	}
	if (result < 0) {
		transfer->error = (int)result;
		return true;
	}
	transfer->left = 0;
	if (!transfer->durable)
		return true;
	/* These calls know no RWF_DSYNC. */
	transfer->op = TRANSFER_FLUSH;
	return false;
}
