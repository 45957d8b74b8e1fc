/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One io_uring per queue. Transfers wait in a list until submit_end() gives all
 * of them to the kernel in one call; what completes within that call (reads from
 * the page cache) is taken at once, the rest when the ring's fd is readable.
 *
 * A transfer is in exactly one place: waiting (no entry in the ring yet), queued
 * (has an entry that the kernel has not taken, in ring order), or in the kernel.
 * No more than depth are in the kernel, so the completion side never overflows.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "devices/transfer.h"
#include "devices/zeroes.h"

#define SUBMISSIONS_MOST 256
#define HARVEST          32

struct ring {
	struct engine_queue base;
	struct io_uring uring;
	struct list waiting, queued;
	unsigned in_kernel;
	bool in_turn;
	bool dead; /* takes nothing more; what it has it still completes */
};

static struct ring *ring_of(struct engine_queue *queue)
{
	return container_of(queue, struct ring, base);
}

static struct transfer *transfer_of(struct list *node)
{
	return container_of(node, struct transfer, node);
}

static int ring_init(struct io_uring *uring, unsigned depth)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_COOP_TASKRUN |
		         IORING_SETUP_SINGLE_ISSUER,
		.cq_entries = depth,
	};
	unsigned entries = depth < SUBMISSIONS_MOST ? depth : SUBMISSIONS_MOST;
	int error = io_uring_queue_init_params(entries, uring, &params);

	if (error != -EINVAL)
		return error;
	/* A kernel before 6.0 does not know the last two. */
	params = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		                           .cq_entries = depth };
	return io_uring_queue_init_params(entries, uring, &params);
}

int engine_uring_probe(void)
{
	struct io_uring uring;
	int error = ring_init(&uring, 4);

	if (!error)
		io_uring_queue_exit(&uring);
	return error;
}

static int uring_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int error;

	if (!ring)
		return -ENOMEM;
	error = ring_init(&ring->uring, depth > 1 ? depth : 2);
	if (error) {
		free(ring);
		return error;
	}
	ring->base = (struct engine_queue){ &engine_uring, storage, ring->uring.ring_fd };
	list_init(&ring->waiting);
	list_init(&ring->queued);
	*ret = &ring->base;
	return 0;
}

static void prepare_zeroes(struct io_uring_sqe *sqe, struct transfer *transfer, int fd)
{
	struct zeroes_step step = zeroes_next(transfer);

	if (step.kind == ZEROES_FALLOCATE) {
		io_uring_prep_fallocate(sqe, fd, step.mode, (off_t)transfer->offset,
		                        (off_t)transfer->left);
		return;
	}
	io_uring_prep_write(sqe, fd, step.zeros, (unsigned)step.len, transfer->offset);
	sqe->rw_flags = transfer->durable ? RWF_DSYNC : 0;
}

static void prepare(struct io_uring_sqe *sqe, struct transfer *transfer, int fd)
{
	unsigned n = transfer_piece(transfer);

	switch (transfer->op) {
	case TRANSFER_READ: io_uring_prep_readv(sqe, fd, transfer->iov, n, transfer->offset); break;
	case TRANSFER_WRITE:
		io_uring_prep_writev2(sqe, fd, transfer->iov, n, transfer->offset,
		                      transfer->durable ? RWF_DSYNC : 0);
		break;
	case TRANSFER_FLUSH: io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC); break;
	case TRANSFER_DISCARD:
	case TRANSFER_ZERO: prepare_zeroes(sqe, transfer, fd); break;
	}
	/* What was refused for now goes where the kernel may sleep. */
	if (transfer->refusals)
		io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	io_uring_sqe_set_data(sqe, transfer);
}

/* Writes entries while there is room. */
static void fill(struct ring *ring)
{
	while (!list_is_empty(&ring->waiting)) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
		struct list *node;

		if (!sqe)
			return;
		node = list_pop(&ring->waiting);
		prepare(sqe, transfer_of(node), ring->base.storage->fd);
		list_append(&ring->queued, node);
	}
}

/* The kernel will take no more: what it has not taken goes back to waiting, in
 * order, for plain calls. */
static void give_up(struct ring *ring, int error)
{
	struct list *node;

	log_warning("blk", "io_uring takes nothing more (%s); a queue goes on with plain calls",
	            strerror(-error));
	ring->dead = true;
	while ((node = list_pop(&ring->waiting)))
		list_append(&ring->queued, node);
	while ((node = list_pop(&ring->queued)))
		list_append(&ring->waiting, node);
}

static void run_plain(struct ring *ring)
{
	struct list *node;

	while ((node = list_pop(&ring->waiting))) {
		struct transfer *transfer = transfer_of(node);

		transfer_run(transfer, ring->base.storage->fd);
		transfer->done(transfer);
	}
}

/* False: enough for now. While anything is in the kernel, its completion brings
 * another turn. */
static bool push_once(struct ring *ring)
{
	int n = io_uring_submit(&ring->uring);

	if (n == -EINTR)
		return true;
	if (n <= 0) {
		if ((n != 0 && n != -EAGAIN && n != -EBUSY) || ring->in_kernel == 0)
			give_up(ring, n ? n : -EAGAIN);
		return false;
	}
	ring->in_kernel += (unsigned)n;
	while (n-- > 0)
		list_pop(&ring->queued);
	return true;
}

static void push(struct ring *ring)
{
	do {
		fill(ring);
	} while (!list_is_empty(&ring->queued) && push_once(ring));
}

/* True: the transfer is done. */
static bool advance(struct ring *ring, struct transfer *transfer, int result)
{
	if (transfer_advance(transfer, result))
		return true;
	if (!transfer_zeroes(transfer) || zeroes_next(transfer).kind != ZEROES_IOCTL)
		return false;
	/* Sleeps, for as long as it takes a device that knows nothing better. */
	transfer_run(transfer, ring->base.storage->fd);
	return true;
}

/* Takes completions; what is not done yet waits for another entry. */
static unsigned harvest(struct ring *ring)
{
	struct io_uring_cqe *cqes[HARVEST];
	struct transfer *transfers[HARVEST];
	int results[HARVEST];
	unsigned n = io_uring_peek_batch_cqe(&ring->uring, cqes, HARVEST);

	for (unsigned i = 0; i < n; i++) {
		transfers[i] = io_uring_cqe_get_data(cqes[i]);
		results[i] = cqes[i]->res;
	}
	io_uring_cq_advance(&ring->uring, n);
	ring->in_kernel -= n;
	for (unsigned i = 0; i < n; i++) {
		if (advance(ring, transfers[i], results[i]))
			transfers[i]->done(transfers[i]);
		else
			list_append(&ring->waiting, &transfers[i]->node);
	}
	return n;
}

/* A transfer's done may submit and end its submission: the turn in progress
 * takes care of that. */
static void uring_turn(struct engine_queue *queue)
{
	struct ring *ring = ring_of(queue);

	if (ring->in_turn)
		return;
	ring->in_turn = true;
	do {
		if (!ring->dead)
			push(ring);
		if (ring->dead)
			run_plain(ring);
	} while (harvest(ring) > 0);
	ring->in_turn = false;
}

static void uring_submit(struct engine_queue *queue, struct transfer *transfer)
{
	list_append(&ring_of(queue)->waiting, &transfer->node);
}

static void uring_stop(struct engine_queue *queue)
{
	struct ring *ring = ring_of(queue);

	io_uring_queue_exit(&ring->uring);
	free(ring);
}

const struct engine_ops engine_uring = {
	.name = "io_uring",
	.start = uring_start,
	.submit = uring_submit,
	.submit_end = uring_turn,
	.reap = uring_turn,
	.stop = uring_stop,
};
