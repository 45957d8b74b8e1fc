/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread that lets the others go where a front-end holds them up (vhu_server_unblock()):
 * else neither the next front-end nor a signal would be heeded.
 *
 * Thread: the main one; the server runs between start and stop.
 */
#ifndef VHU_BLK_WATCHDOG_H
#define VHU_BLK_WATCHDOG_H

#include <pthread.h>
#include <stdbool.h>
#include <vhu/backend.h>

struct watchdog {
	struct vhu_server *server; /* NULL: not started */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool quit; /* under the lock */
};

/* 0 or -errno. */
int watchdog_start(struct watchdog *watchdog, struct vhu_server *server);
/* Harmless where it was not started. */
void watchdog_stop(struct watchdog *watchdog);

#endif
