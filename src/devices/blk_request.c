/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Block requests: a header of 16 bytes in what the driver wrote, data, and a
 * status byte at the very end of what the device writes (virtio 5.2.6). How they
 * are cut into descriptors is the driver's affair (virtio 2.7.4.1).
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "devices/blk_internal.h"
#include "devices/iovec.h"

/*
 * Reports all of the writable part as written, also where an error left data
 * untouched: the status byte is its end, and what is dirty is found by length.
 */
void blk_complete(struct blk_request *request, uint8_t status)
{
	struct vhu_request *req = request->req;

	*request->status = status;
	if (status != VIRTIO_BLK_S_OK)
		blk_add(&request->queue->errors, 1);
	if (status == VIRTIO_BLK_S_UNSUPP)
		blk_add(&request->queue->unsupported, 1);
	vhu_request_complete(req, req->in_len > UINT32_MAX ? UINT32_MAX : (uint32_t)req->in_len);
}

static void transfer_done(struct transfer *transfer)
{
	struct blk_request *request = container_of(transfer, struct blk_request, transfer);
	struct blk_queue *queue = request->queue;

	if (transfer->error) {
		blk_complete(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (transfer->op == TRANSFER_READ)
		blk_add(&queue->bytes_read, request->bytes);
	else if (transfer->op == TRANSFER_WRITE)
		blk_add(&queue->bytes_written, request->bytes);
	blk_complete(request, VIRTIO_BLK_S_OK);
}

void blk_start_transfer(struct blk_request *request)
{
	struct blk_queue *queue = request->queue;
	struct transfer *transfer = &request->transfer;
	const struct storage *storage = queue->blk->storage;

	/* What moves no data has no iovecs. */
	if (queue->bounce.buffers && !iovec_is_aligned(transfer->iov, transfer->n_iov,
	                                               storage->memory_align, storage->align))
		bounce_submit(&queue->bounce, &request->job, transfer);
	else if (queue->quick.on && quick_try(&queue->quick, transfer))
		transfer->done(transfer);
	else
		queue->engine->ops->submit(queue->engine, transfer);
}

bool blk_is_in_range(const struct blk *blk, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = blk_sectors(blk);

	return bytes % BLK_SECTOR == 0 && sector <= sectors &&
	       bytes / BLK_SECTOR <= sectors - sector;
}

static void move_data(struct blk_request *request, enum transfer_op op, uint64_t sector,
                      struct iovec *iov, unsigned n, uint64_t bytes)
{
	const struct blk *blk = request->queue->blk;

	request->bytes = bytes;
	if (!blk_is_in_range(blk, sector, request->bytes) ||
	    (op == TRANSFER_WRITE && blk->storage->read_only)) {
		blk_complete(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (request->bytes == 0) {
		blk_complete(request, VIRTIO_BLK_S_OK);
		return;
	}
	iovec_drop_front(&iov, &n, 0);
	request->transfer = (struct transfer){
		.done = transfer_done,
		.op = op,
		.durable = op == TRANSFER_WRITE && blk_is_write_through(blk),
		.iov = iov,
		.n_iov = n,
		.offset = sector * BLK_SECTOR,
		.left = request->bytes,
	};
	blk_start_transfer(request);
}

static void flush(struct blk_request *request)
{
	request->transfer = (struct transfer){ .done = transfer_done, .op = TRANSFER_FLUSH };
	blk_start_transfer(request);
}

/* The string has no terminator when it fills its 20 bytes, and zeros after it
 * when it does not. */
static void get_id(struct blk_request *request, const struct iovec *iov, unsigned n)
{
	iovec_write(iov, n, request->queue->blk->serial, VIRTIO_BLK_ID_BYTES);
	blk_complete(request, VIRTIO_BLK_S_OK);
}

/* Takes the status byte off. False: there is none, or one that no driver could
 * have meant; the chain goes back as it is. */
static bool begin(struct blk_request *request, struct blk_queue *queue, struct vhu_request *req)
{
	request->req = req;
	request->queue = queue;
	request->status = iovec_drop_last(req->in, &req->n_in);
	if (request->status)
		return true;
	blk_add(&queue->errors, 1);
	vhu_request_complete(req, 0);
	return false;
}

void blk_submit(void *dev, struct vhu_queue *vq, struct vhu_request *req)
{
	struct blk_request *request = req->priv;
	struct blk *blk = dev;
	struct virtio_blk_outhdr header;
	uint64_t sector;

	if (!begin(request, &blk->queues[vhu_queue_index(vq)], req))
		return;
	if (req->out_len < sizeof(header)) {
		blk_complete(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	iovec_read(req->out, req->n_out, &header, sizeof(header));
	iovec_drop_front(&req->out, &req->n_out, sizeof(header));
	sector = le64toh(header.sector);
	switch (le32toh(header.type)) {
	case VIRTIO_BLK_T_IN:
		move_data(request, TRANSFER_READ, sector, req->in, req->n_in, req->in_len - 1);
		break;
	case VIRTIO_BLK_T_OUT:
		move_data(request, TRANSFER_WRITE, sector, req->out, req->n_out,
		          req->out_len - sizeof(header));
		break;
	case VIRTIO_BLK_T_FLUSH: flush(request); break;
	case VIRTIO_BLK_T_GET_ID: get_id(request, req->in, req->n_in); break;
	case VIRTIO_BLK_T_DISCARD: blk_zeroes(request, true, req->out, req->n_out); break;
	case VIRTIO_BLK_T_WRITE_ZEROES: blk_zeroes(request, false, req->out, req->n_out); break;
	default: blk_complete(request, VIRTIO_BLK_S_UNSUPP);
	}
}

void blk_refused(void *dev, struct vhu_queue *vq, struct vhu_request *req)
{
	struct blk_request *request = req->priv;
	struct blk *blk = dev;

	if (begin(request, &blk->queues[vhu_queue_index(vq)], req))
		blk_complete(request, VIRTIO_BLK_S_IOERR);
}
