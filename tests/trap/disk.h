/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end under test: a disk in threads of its own, one for the session and
 * one per worker, as a daemon would serve it.
 *
 * Thread: the front-end's.
 */
#ifndef TRAP_DISK_H
#define TRAP_DISK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vhu/backend.h>

#include "devices/blk.h"

#define DISK_WORKERS_MAX 4u
#define DISK_PAGES       1024u

struct disk_config {
	const struct engine_ops *engine;
	unsigned n_workers;
	unsigned queues;
	unsigned entries; /* of the device IOTLB; 0: enough */
	unsigned poll_us; /* workers look at rings for so long before they sleep */
	bool direct;      /* past the page cache, into the memory itself */
};

struct disk {
	struct disk_config config;
	int file; /* -1: in memory */
	struct storage storage;
	struct blk *blk;
	struct vhu_server *server;
	struct vhu_worker *workers[DISK_WORKERS_MAX];
	pthread_t threads[1 + DISK_WORKERS_MAX];
	unsigned n_threads;
	_Atomic bool workers_quit;
	_Atomic int named; /* threads that know who they are */
};

/*
 * Serves whoever is at the other end of @fd. 0; -EOPNOTSUPP: the engine or the
 * direct I/O can't be had here; else it is the disk's fault, as the verdict says.
 * On failure @fd is the caller's still; stop it all the same.
 */
int disk_start(struct disk *disk, const struct disk_config *config, int fd);
/* The connection is closed. */
void disk_stop(struct disk *disk);

/* The page of the disk, read or written from outside. False: it can't be. */
bool disk_peek(const struct disk *disk, unsigned page, void *to);
bool disk_poke(const struct disk *disk, unsigned page, const void *from);

/* In a thread of the back-end: which one, for people; NULL: one of an engine's. */
extern _Thread_local const char *disk_thread;

#endif
