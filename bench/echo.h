/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end for figures: the library's server with a device that completes each
 * request as soon as it has it and touches nothing, in threads of its own; and a
 * front-end that has come as far as a running queue. Both in this process, at the
 * ends of a socket pair.
 *
 * Threads: the caller's drives; the server's, and the worker's if there is one,
 * are made here.
 */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <vhu/backend.h>
#include <vhu/frontend.h>

#define ECHO_MEMORY (UINT64_C(4) << 20) /* behind the queue's pages, for data */

struct echo_config {
	unsigned server_processor; /* as of pairs_pin() */
	unsigned worker_processor;
	bool worker;  /* a thread of its own serves the queue */
	bool polling; /* it never sleeps */
};

struct echo {
	struct echo_config config;
	struct vhu_server *server;
	struct vhu_worker *worker;
	pthread_t server_thread, worker_thread;
	_Atomic bool quit;

	struct vhu_iommu *iommu;
	struct vhu_frontend *frontend;
	struct vhu_guestmem *mem;
	struct vhu_vq *vq;
	int main;      /* the front-end's socket, by another fd */
	uint64_t data; /* where ECHO_MEMORY begins: gpa */
	uint64_t uva;  /* the same */
};

/* Ends the program where it can't be. */
struct echo *echo_new(const struct echo_config *config);
void echo_free(struct echo *echo);

/* A request of @n buffers, until it is done; ends the program if it is refused. */
void echo_request(struct echo *echo, const struct vhu_buffer *buffers, unsigned n);

#endif
