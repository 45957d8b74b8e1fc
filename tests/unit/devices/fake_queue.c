/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <endian.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/list.h"

void vhu_request_complete(struct vhu_request *req, uint32_t written)
{
	struct fake_request *request = container_of(req, struct fake_request, req);

	assert_false(request->is_done);
	assert_true(written <= req->in_len);
	request->is_done = true;
	request->written = written;
	req->queue->under_way--;
}

int vhu_queue_watch(struct vhu_queue *queue, int fd,
                    void (*ready)(void *dev, struct vhu_queue *queue))
{
	queue->fd = fd;
	queue->ready = ready;
	return 0;
}

unsigned vhu_queue_index(const struct vhu_queue *queue)
{
	return queue->index;
}

unsigned vhu_queue_size(const struct vhu_queue *queue)
{
	return queue->size;
}

void vhu_queue_set_priv(struct vhu_queue *queue, void *priv)
{
	queue->priv = priv;
}

void *vhu_queue_priv(const struct vhu_queue *queue)
{
	return queue->priv;
}

void fake_start(struct vhu_queue *queue, const struct blk_options *options)
{
	*queue = (struct vhu_queue){ .size = 64, .fd = -1 };
	assert_int_equal(blk_new(options, &queue->blk), 0);
	assert_int_equal(blk_ops.queue_start(queue->blk, queue), 0);
	assert_true(blk_ops.request_size <= sizeof(((struct fake_request *)0)->priv));
}

void fake_stop(struct vhu_queue *queue)
{
	assert_int_equal(queue->under_way, 0);
	blk_ops.queue_stop(queue->blk, queue);
	blk_free(queue->blk);
}

static uint64_t bytes_of(const struct iovec *iov, unsigned n)
{
	uint64_t bytes = 0;

	while (n-- > 0)
		bytes += iov++->iov_len;
	return bytes;
}

void fake_submit(struct vhu_queue *queue, struct fake_request *request)
{
	request->req.queue = queue;
	request->req.priv = request->priv;
	request->req.out_len = bytes_of(request->req.out, request->req.n_out);
	request->req.in_len = bytes_of(request->req.in, request->req.n_in);
	request->is_done = false;
	queue->under_way++;
	blk_ops.submit(queue->blk, queue, &request->req);
}

void fake_wait(struct vhu_queue *queue, unsigned most)
{
	blk_ops.submit_end(queue->blk, queue);
	while (queue->under_way > most) {
		struct pollfd p = { queue->fd, POLLIN, 0 };

		assert_true(queue->fd >= 0);
		assert_true(poll(&p, 1, 10000) == 1);
		queue->ready(queue->blk, queue);
	}
}

uint8_t fake_io(struct vhu_queue *queue, uint32_t type, uint64_t sector, void *data, size_t len)
{
	struct virtio_blk_outhdr header = { .type = htole32(type), .sector = htole64(sector) };
	bool writes = type & VIRTIO_BLK_T_OUT;
	uint8_t status = 0xee;
	struct iovec out[2] = { { &header, sizeof(header) }, { data, len } };
	struct iovec in[2] = { { data, len }, { &status, 1 } };
	struct fake_request request = { .req = {
						.out = out,
						.n_out = writes ? 2 : 1,
						.in = writes ? &in[1] : in,
						.n_in = writes ? 1 : 2,
					} };

	fake_submit(queue, &request);
	fake_wait(queue, 0);
	assert_true(request.is_done);
	return status;
}

int fake_file(bool in_memory, uint64_t size, char path[static 64])
{
	char name[] = "test-disk-XXXXXX";
	int fd;

	if (in_memory) {
		fd = memfd_create("disk", MFD_CLOEXEC);
	} else {
		fd = mkostemp(name, 0);
		assert_return_code(unlink(name), 0);
	}
	assert_return_code(fd, 0);
	assert_return_code(ftruncate(fd, (off_t)size), 0);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}
