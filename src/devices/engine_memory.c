/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disk is memory of this process: a transfer is a copy. It is made a few transfers
 * after its own submit(), so that the processor can fetch its first lines meanwhile:
 * a disk is larger than a cache. Nothing is stable, so a flush has nothing to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/zeroes.h"

#define LINE 64u
/* Lines of a transfer that are fetched ahead; the processor guesses those behind them. */
#define FETCH 16u
/* Transfers that wait for theirs. */
#define AHEAD 2u

struct memory_queue {
	struct engine_queue base;
	struct transfer *waiting[AHEAD]; /* a ring */
	unsigned first, n;
};

static int memory_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	struct memory_queue *queue = calloc(1, sizeof(*queue));

	(void)depth;
	if (!queue)
		return -ENOMEM;
	queue->base = (struct engine_queue){ &engine_memory, storage, -1 };
	*ret = &queue->base;
	return 0;
}

static struct memory_queue *memory_of(struct engine_queue *queue)
{
	return container_of(queue, struct memory_queue, base);
}

static char *place_of(const struct memory_queue *queue, const struct transfer *transfer)
{
	return (char *)queue->base.storage->bytes + transfer->offset;
}

static void fetch(const struct transfer *transfer, const char *disk)
{
	uint64_t bytes = transfer->left < FETCH * LINE ? transfer->left : FETCH * LINE;

	for (uint64_t at = 0; at < bytes; at += LINE)
		__builtin_prefetch(disk + at);
}

static void copy(struct transfer *transfer, char *disk)
{
	for (unsigned i = 0; i < transfer->n_iov; i++) {
		const struct iovec *iov = &transfer->iov[i];

		if (iov->iov_len == 0)
			continue;
		if (transfer->op == TRANSFER_READ)
			memcpy(iov->iov_base, disk, iov->iov_len);
		else
			memcpy(disk, iov->iov_base, iov->iov_len);
		disk += iov->iov_len;
	}
	transfer->left = 0;
}

/*
 * Whole pages go back to the kernel, which gives zeros in their place; what a
 * discard leaves of the others is not worth a call.
 */
static void clear(struct transfer *transfer, char *disk)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	char *end = disk + transfer->left;
	char *first = (char *)(((uintptr_t)disk + page - 1) & ~(page - 1));
	char *last = (char *)((uintptr_t)end & ~(page - 1));
	bool frees = (transfer->unmap || transfer->op == TRANSFER_DISCARD) && first < last &&
	             madvise(first, (size_t)(last - first), MADV_DONTNEED) == 0;

	if (!frees)
		first = last = end;
	if (transfer->op == TRANSFER_ZERO) {
		memset(disk, 0, (size_t)(first - disk));
		memset(last, 0, (size_t)(end - last));
	}
	transfer->left = 0;
}

static void run_first(struct memory_queue *queue)
{
	struct transfer *transfer = queue->waiting[queue->first];

	queue->first = (queue->first + 1) % AHEAD;
	queue->n--;
	copy(transfer, place_of(queue, transfer));
	transfer->done(transfer);
}

static void memory_submit(struct engine_queue *base, struct transfer *transfer)
{
	struct memory_queue *queue = memory_of(base);
	char *disk = place_of(queue, transfer);

	if (transfer->op == TRANSFER_READ || transfer->op == TRANSFER_WRITE) {
		fetch(transfer, disk);
		if (queue->n == AHEAD)
			run_first(queue);
		queue->waiting[(queue->first + queue->n++) % AHEAD] = transfer;
		return;
	}
	if (transfer_zeroes(transfer))
		clear(transfer, disk);
	transfer->done(transfer);
}

static void memory_submit_end(struct engine_queue *base)
{
	struct memory_queue *queue = memory_of(base);

	while (queue->n)
		run_first(queue);
}

static void memory_stop(struct engine_queue *base)
{
	free(memory_of(base));
}

const struct engine_ops engine_memory = {
	.name = "memory",
	.start = memory_start,
	.submit = memory_submit,
	.submit_end = memory_submit_end,
	.stop = memory_stop,
};
