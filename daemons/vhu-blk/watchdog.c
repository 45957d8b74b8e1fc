/* SPDX-License-Identifier: BSD-3-Clause */
#include "watchdog.h"

#include <errno.h>
#include <time.h>

#define PERIOD_S 1

/* Whether it is time for another look, and not for the end. */
static bool wait_a_period(struct watchdog *watchdog)
{
	struct timespec end;
	bool quit;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += PERIOD_S;
	pthread_mutex_lock(&watchdog->lock);
	while (!watchdog->quit &&
	       pthread_cond_timedwait(&watchdog->wake, &watchdog->lock, &end) != ETIMEDOUT)
		;
	quit = watchdog->quit;
	pthread_mutex_unlock(&watchdog->lock);
	return !quit;
}

static void *watch(void *opaque)
{
	struct watchdog *watchdog = opaque;

	while (wait_a_period(watchdog))
		vhu_server_unblock(watchdog->server);
	return NULL;
}

int watchdog_start(struct watchdog *watchdog, struct vhu_server *server)
{
	pthread_condattr_t attr;
	int error;

	pthread_mutex_init(&watchdog->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watchdog->wake, &attr);
	pthread_condattr_destroy(&attr);
	watchdog->quit = false;
	watchdog->server = server;
	error = -pthread_create(&watchdog->thread, NULL, watch, watchdog);
	if (error)
		watchdog->server = NULL;
	else
		pthread_setname_np(watchdog->thread, "watchdog");
	return error;
}

void watchdog_stop(struct watchdog *watchdog)
{
	if (!watchdog->server)
		return;
	pthread_mutex_lock(&watchdog->lock);
	watchdog->quit = true;
	pthread_cond_signal(&watchdog->wake);
	pthread_mutex_unlock(&watchdog->lock);
	pthread_join(watchdog->thread, NULL);
	watchdog->server = NULL;
}
