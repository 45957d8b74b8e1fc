/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end's side of a run: a disk on a file or in memory, served to one
 * front-end after the other by a thread that also sets it up and takes it down.
 *
 * Thread: the test's; what fails in the others is told by stage_fault().
 */
#ifndef FAULT_STAGE_H
#define FAULT_STAGE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <vhu/backend.h>

#include "devices/blk.h"

#define STAGE_WORKERS_MAX 2u
#define STAGE_DISK        (UINT64_C(1) << 20)

struct stage_config {
	const char *name;
	const struct engine_ops *engine;
	const char *path; /* NULL: in memory */
	unsigned n_workers;
	uint64_t iotlb_entries;
};

struct stage {
	struct stage_config config;
	struct sockaddr_un address;
	socklen_t address_size;
	int listener;
	int control; /* wakes the server's thread */
	sem_t ready, taken;
	int error; /* of setting it up */
	_Atomic bool quit, workers_quit;
	_Atomic(const char *) fault;

	struct storage storage;
	struct blk *blk;
	struct vhu_server *server;
	struct vhu_worker *workers[STAGE_WORKERS_MAX];
	unsigned n_workers;
	pthread_t thread, worker_threads[STAGE_WORKERS_MAX];
	unsigned n_threads;
};

/* 0, or the -errno with which the back-end could not be set up; stop it in either case. */
int stage_start(struct stage *stage, const struct stage_config *config);
void stage_stop(struct stage *stage);

/* A new connection to it. */
int stage_connect(const struct stage *stage);

/* The invariant that was found broken, or NULL. */
const char *stage_fault(const struct stage *stage);

#endif
