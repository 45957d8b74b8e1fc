/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plain system calls at once, on the worker's own thread: the cheapest way where
 * they complete from memory. On a disk the worker sleeps in them, and with it
 * all its queues and, when it serves the session too, the session.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/transfer.h"

static int inline_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	struct engine_queue *queue = malloc(sizeof(*queue));

	(void)depth;
	if (!queue)
		return -ENOMEM;
	*queue = (struct engine_queue){ &engine_inline, storage, -1 };
	*ret = queue;
	return 0;
}

static void inline_submit(struct engine_queue *queue, struct transfer *transfer)
{
	transfer_run(transfer, queue->storage->fd);
	transfer->done(transfer);
}

static void inline_stop(struct engine_queue *queue)
{
	free(queue);
}

const struct engine_ops engine_inline = {
	.name = "inline",
	.start = inline_start,
	.submit = inline_submit,
	.stop = inline_stop,
};
