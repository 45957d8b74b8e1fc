/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands in for engine_uring.c in a build without liburing. */
#include <errno.h>

#include "devices/engine.h"

int engine_uring_probe(void)
{
	return -ENOSYS;
}

static int uring_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	(void)storage;
	(void)depth;
	(void)ret;
	return -ENOSYS;
}

const struct engine_ops engine_uring = {
	.name = "io_uring",
	.start = uring_start,
};
