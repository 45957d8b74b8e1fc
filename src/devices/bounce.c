/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/bounce.h"

#include <errno.h>
#include <sys/mman.h>

#include "devices/iovec.h"
#include "devices/transfer.h"

#define BUFFERS_BYTES ((size_t)BOUNCE_SLOTS * BOUNCE_BYTES)

int bounce_init(struct bounce *bounce, struct engine_queue *engine)
{
	void *buffers = mmap(NULL, BUFFERS_BYTES, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffers == MAP_FAILED)
		return -errno;
	*bounce = (struct bounce){ .engine = engine, .buffers = buffers };
	for (unsigned i = 0; i < BOUNCE_SLOTS; i++)
		bounce->free[bounce->n_free++] = bounce->buffers + (size_t)i * BOUNCE_BYTES;
	list_init(&bounce->waiting);
	return 0;
}

void bounce_done(struct bounce *bounce)
{
	if (bounce->buffers)
		munmap(bounce->buffers, BUFFERS_BYTES);
	bounce->buffers = NULL;
}

static void pump(struct bounce *bounce);
static void job_piece_done(struct transfer *piece);

static void job_start_piece(struct bounce_job *job)
{
	const struct transfer *whole = job->whole;
	size_t len = whole->left < BOUNCE_BYTES ? whole->left : BOUNCE_BYTES;

	job->piece_iov = (struct iovec){ job->buffer, len };
	job->piece = (struct transfer){
		.done = job_piece_done,
		.op = whole->op,
		.durable = whole->durable,
		.iov = &job->piece_iov,
		.n_iov = 1,
		.offset = whole->offset,
		.left = len,
	};
	if (whole->op == TRANSFER_WRITE)
		iovec_read(whole->iov, whole->n_iov, job->buffer, len);
	job->piece_is_done = false;
	job->in_submit = true;
	job->bounce->engine->ops->submit(job->bounce->engine, &job->piece);
	job->in_submit = false;
}

/* True: that was the last piece. */
static bool job_take_piece(struct bounce_job *job)
{
	struct transfer *whole = job->whole;
	size_t len = (size_t)(job->piece.offset - whole->offset);

	if (job->piece.error) {
		whole->error = job->piece.error;
		return true;
	}
	if (whole->op == TRANSFER_READ)
		iovec_write(whole->iov, whole->n_iov, job->buffer, len);
	return transfer_advance(whole, (ssize_t)len);
}

/* Goes on until a piece stays with the engine, or the job has ended. */
static void job_run(struct bounce_job *job)
{
	struct bounce *bounce = job->bounce;

	do {
		job_start_piece(job);
		if (!job->piece_is_done)
			return;
	} while (!job_take_piece(job));
	bounce->free[bounce->n_free++] = job->buffer;
	job->whole->done(job->whole);
	pump(bounce);
}

static void job_piece_done(struct transfer *piece)
{
	struct bounce_job *job = container_of(piece, struct bounce_job, piece);
	struct bounce *bounce = job->bounce;

	job->piece_is_done = true;
	if (job->in_submit)
		return;
	if (!job_take_piece(job)) {
		job_run(job);
		return;
	}
	bounce->free[bounce->n_free++] = job->buffer;
	job->whole->done(job->whole);
	pump(bounce);
}

/* A job that ends in here leaves the next one to the loop, not to recursion. */
static void pump(struct bounce *bounce)
{
	struct list *node;

	if (bounce->in_pump)
		return;
	bounce->in_pump = true;
	while (bounce->n_free > 0 && (node = list_pop(&bounce->waiting))) {
		struct bounce_job *job = container_of(node, struct bounce_job, node);

		job->buffer = bounce->free[--bounce->n_free];
		job_run(job);
	}
	bounce->in_pump = false;
}

void bounce_submit(struct bounce *bounce, struct bounce_job *job, struct transfer *whole)
{
	job->bounce = bounce;
	job->whole = whole;
	list_append(&bounce->waiting, &job->node);
	pump(bounce);
}
