/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <vhu/backend.h>

#include "base/export.h"

VHU_EXPORT int vhu_worker_new(struct vhu_worker **ret)
{
	struct vhu_worker *worker = calloc(1, sizeof(*worker));
	int error;

	if (!worker)
		return -ENOMEM;
	error = loop_init(&worker->loop);
	if (error) {
		free(worker);
		return error;
	}
	*ret = worker;
	return 0;
}

VHU_EXPORT void vhu_worker_free(struct vhu_worker *worker)
{
	if (!worker)
		return;
	loop_done(&worker->loop);
	free(worker);
}

VHU_EXPORT int vhu_worker_fd(const struct vhu_worker *worker)
{
	return worker->loop.epoll;
}

VHU_EXPORT int vhu_worker_run(struct vhu_worker *worker, int timeout_ms)
{
	return loop_run(&worker->loop, timeout_ms);
}

VHU_EXPORT void vhu_worker_wake(struct vhu_worker *worker)
{
	loop_wake(&worker->loop);
}
