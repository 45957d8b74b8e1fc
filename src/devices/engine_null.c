/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves nothing and is done at once: what is left is the cost of rings and
 * translation. For measuring them, and for nothing else.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/engine.h"

static int null_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	struct engine_queue *queue = malloc(sizeof(*queue));

	(void)depth;
	if (!queue)
		return -ENOMEM;
	*queue = (struct engine_queue){ &engine_null, storage, -1 };
	*ret = queue;
	return 0;
}

static void null_submit(struct engine_queue *queue, struct transfer *transfer)
{
	(void)queue;
	transfer->done(transfer);
}

static void null_stop(struct engine_queue *queue)
{
	free(queue);
}

const struct engine_ops engine_null = {
	.name = "null",
	.start = null_start,
	.submit = null_submit,
	.stop = null_stop,
};
