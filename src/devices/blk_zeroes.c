/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DISCARD and WRITE_ZEROES (virtio 5.2.6): a list of ranges in what the driver
 * wrote. It is copied and judged as a whole before anything is done, so a list
 * with one wrong range changes nothing; then its ranges are done one by one.
 */
#include <endian.h>

#include "devices/blk_internal.h"
#include "devices/iovec.h"

static void next_range(struct blk_request *request);

static void range_done(struct transfer *transfer)
{
	struct blk_request *request = container_of(transfer, struct blk_request, transfer);

	if (transfer->error)
		blk_complete(request, VIRTIO_BLK_S_IOERR);
	else
		next_range(request);
}

/* Recursion ends with the list, where an engine is done before submit() returns. */
static void next_range(struct blk_request *request)
{
	const struct blk *blk = request->queue->blk;
	struct blk_range *range;

	if (request->range_at == request->n_ranges) {
		blk_complete(request, VIRTIO_BLK_S_OK);
		return;
	}
	range = &request->ranges[request->range_at++];
	request->transfer = (struct transfer){
		.done = range_done,
		.op = request->discards ? TRANSFER_DISCARD : TRANSFER_ZERO,
		.durable = !request->discards && blk_is_write_through(blk),
		.unmap = range->unmap,
		.offset = range->sector * BLK_SECTOR,
		.left = (uint64_t)range->sectors * BLK_SECTOR,
	};
	blk_start_transfer(request);
}

/* The status of a list with this range in it. */
static uint8_t judge(const struct blk *blk, const struct virtio_blk_discard_write_zeroes *wire,
                     bool discards)
{
	uint32_t known = discards ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	uint32_t most = discards ? BLK_DISCARD_SECTORS_MAX : BLK_ZEROES_SECTORS_MAX;
	uint32_t sectors = le32toh(wire->num_sectors);

	if (le32toh(wire->flags) & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors > most ||
	    !blk_is_in_range(blk, le64toh(wire->sector), (uint64_t)sectors * BLK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* Takes the list over; empty ranges are left out. */
static uint8_t read_ranges(struct blk_request *request, struct iovec *iov, unsigned n)
{
	const struct blk *blk = request->queue->blk;
	struct virtio_blk_discard_write_zeroes wire;
	uint64_t bytes = iovec_bytes(iov, n);

	request->n_ranges = request->range_at = 0;
	if (!bytes || bytes % sizeof(wire) || bytes / sizeof(wire) > BLK_RANGES_MAX)
		return VIRTIO_BLK_S_IOERR;
	for (; bytes; bytes -= sizeof(wire)) {
		uint8_t status;

		iovec_read(iov, n, &wire, sizeof(wire));
		iovec_drop_front(&iov, &n, sizeof(wire));
		status = judge(blk, &wire, request->discards);
		if (status != VIRTIO_BLK_S_OK)
			return status;
		if (!wire.num_sectors)
			continue;
		request->ranges[request->n_ranges++] = (struct blk_range){
			.sector = le64toh(wire.sector),
			.sectors = le32toh(wire.num_sectors),
			.unmap = wire.flags != 0,
		};
	}
	return VIRTIO_BLK_S_OK;
}

void blk_zeroes(struct blk_request *request, bool discards, struct iovec *iov, unsigned n)
{
	const struct blk *blk = request->queue->blk;
	unsigned feature = discards ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES;
	uint8_t status;

	if (!blk_has_feature(blk, feature)) {
		blk_complete(request, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (blk->storage->read_only) {
		blk_complete(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	request->discards = discards;
	status = read_ranges(request, iov, n);
	if (status == VIRTIO_BLK_S_OK)
		next_range(request);
	else
		blk_complete(request, status);
}
