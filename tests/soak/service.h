/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end of a life: a server in a thread of its own, with as many workers
 * as wanted in theirs, on a socket without a path.
 *
 * Thread: the driver's; the others are the service's own.
 */
#ifndef SOAK_SERVICE_H
#define SOAK_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_WORKERS_MAX 2u

struct service;

struct service_config {
	unsigned n_workers;
	uint64_t iotlb_entries;
	bool no_miss_hints;
	int patience_ms;
};

struct service *service_new(const struct service_config *config);
void service_free(struct service *service);

/* A connected socket. */
int service_connect(const struct service *service);
/* Sessions that have ended; waits until there are as many. */
void service_wait_ended(struct service *service, unsigned n);
/* Requests of those sessions. */
uint64_t service_requests(const struct service *service);
/* Has the server's thread look whether the session is what it has to be; waits. */
void service_check(struct service *service);
/* For a failure: prints where the session's queues are, as far as can be told from outside. */
void service_tell(const struct service *service);
/* Has it tell the front-end that the configuration changed; does not wait. */
void service_change_config(struct service *service);

#endif
