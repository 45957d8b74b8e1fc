/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that serve queues. Started and stopped by the main thread. */
#ifndef VHU_BLK_WORKERS_H
#define VHU_BLK_WORKERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <vhu/backend.h>

#define WORKERS_MOST 64

struct workers {
	struct vhu_worker *worker[WORKERS_MOST];
	pthread_t thread[WORKERS_MOST];
	unsigned n; /* in worker and thread */
	atomic_bool quit;
};

/* 0 and all of them run, or -errno and none does. */
int workers_start(struct workers *workers, unsigned n);

/* After the server that used them was freed. */
void workers_stop(struct workers *workers);

#endif
