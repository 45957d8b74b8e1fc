/* SPDX-License-Identifier: BSD-3-Clause */
#include "workers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "say.h"

struct start {
	struct workers *workers;
	struct vhu_worker *worker;
};

static void *work(void *arg)
{
	struct start start = *(struct start *)arg;

	free(arg);
	while (!atomic_load_explicit(&start.workers->quit, memory_order_acquire)) {
		int error = vhu_worker_run(start.worker, -1);

		if (error) {
			complain("a queue's thread can't go on: %s", strerror(-error));
			_Exit(EXIT_FAULT);
		}
	}
	return NULL;
}

static int start_one(struct workers *workers)
{
	struct start *start = malloc(sizeof(*start));
	char name[16];
	int error;

	if (!start)
		return -ENOMEM;
	error = vhu_worker_new(&start->worker);
	if (error) {
		free(start);
		return error;
	}
	start->workers = workers;
	workers->worker[workers->n] = start->worker;
	error = -pthread_create(&workers->thread[workers->n], NULL, work, start);
	if (error) {
		vhu_worker_free(start->worker);
		free(start);
		return error;
	}
	snprintf(name, sizeof(name), "queues-%u", workers->n);
	pthread_setname_np(workers->thread[workers->n], name);
	workers->n++;
	return 0;
}

int workers_start(struct workers *workers, unsigned n)
{
	int error = 0;

	*workers = (struct workers){ .n = 0 };
	while (!error && workers->n < n)
		error = start_one(workers);
	if (error)
		workers_stop(workers);
	return error;
}

void workers_stop(struct workers *workers)
{
	atomic_store_explicit(&workers->quit, true, memory_order_release);
	for (unsigned i = 0; i < workers->n; i++) {
		vhu_worker_wake(workers->worker[i]);
		pthread_join(workers->thread[i], NULL);
		vhu_worker_free(workers->worker[i]);
	}
	workers->n = 0;
}
