/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker is a loop for a thread of the embedder's; lanes attach to it. */
#ifndef BACKEND_WORKER_H
#define BACKEND_WORKER_H

#include "base/loop.h"

struct vhu_worker {
	struct loop loop;
};

#endif
