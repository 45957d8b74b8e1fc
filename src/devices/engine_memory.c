/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disk is memory of this process: a transfer is a copy, done when submit()
 * returns. Nothing is stable, so a flush has nothing to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/zeroes.h"

static int memory_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	struct engine_queue *queue = malloc(sizeof(*queue));

	(void)depth;
	if (!queue)
		return -ENOMEM;
	*queue = (struct engine_queue){ &engine_memory, storage, -1 };
	*ret = queue;
	return 0;
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

static void memory_submit(struct engine_queue *queue, struct transfer *transfer)
{
	char *disk = (char *)queue->storage->bytes + transfer->offset;

	if (transfer_zeroes(transfer))
		clear(transfer, disk);
	else if (transfer->op != TRANSFER_FLUSH)
		copy(transfer, disk);
	transfer->done(transfer);
}

static void memory_stop(struct engine_queue *queue)
{
	free(queue);
}

const struct engine_ops engine_memory = {
	.name = "memory",
	.start = memory_start,
	.submit = memory_submit,
	.stop = memory_stop,
};
