/* SPDX-License-Identifier: BSD-3-Clause */
#include "service.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vhu/backend.h>

#include "backend/session.h"
#include "base/fd.h"
#include "device.h"
#include "record.h"

struct service {
	struct service_config config;
	struct device *device;
	struct vhu_server *server;
	struct vhu_worker *workers[SERVICE_WORKERS_MAX];
	pthread_t server_thread, worker_threads[SERVICE_WORKERS_MAX];
	struct sockaddr_un address;
	socklen_t address_size;

	int wake; /* of the server's thread */
	_Atomic bool check_wanted, change_wanted, stop_wanted;
	_Atomic bool workers_quit;
	_Atomic unsigned ended;
	_Atomic uint64_t requests;
};

static void check_session(const struct service *service, const struct session *session)
{
	if (!session_check(session))
		record_fail("session_check()");
	for (unsigned i = 0; i < session->n_rings && !service->config.n_workers; i++)
		if (session->rings[i].queue && !vring_check(&session->rings[i].queue->ring))
			record_fail("vring_check() of queue %u", i);
}

/* On the server's thread, between two things that it does. */
static void wishes_ready(void *opaque)
{
	struct service *service = opaque;
	const struct session *session = server_session(service->server);

	fd_drain(service->wake);
	if (session && atomic_load(&service->check_wanted))
		check_session(service, session);
	atomic_store(&service->check_wanted, false);
	if (atomic_exchange(&service->change_wanted, false))
		vhu_server_config_changed(service->server);
	if (atomic_load(&service->stop_wanted))
		vhu_server_stop(service->server);
}

static void session_end(struct vhu_server *server, void *opaque)
{
	struct service *service = opaque;
	struct vhu_stats stats;

	vhu_server_stats(server, &stats);
	atomic_fetch_add(&service->requests, stats.requests);
	atomic_fetch_add(&service->ended, 1);
}

static void *run_server(void *opaque)
{
	struct service *service = opaque;

	while (!vhu_server_done(service->server))
		record_expect(vhu_server_run(service->server, -1), "vhu_server_run", "");
	return NULL;
}

struct start {
	struct service *service;
	struct vhu_worker *worker;
};

static void *run_worker(void *opaque)
{
	struct start start = *(struct start *)opaque;

	free(opaque);
	while (!atomic_load(&start.service->workers_quit))
		record_expect(vhu_worker_run(start.worker, -1), "vhu_worker_run", "");
	return NULL;
}

static void start_worker(struct service *service, unsigned i)
{
	struct start *start = malloc(sizeof(*start));

	record_expect(vhu_worker_new(&service->workers[i]), "vhu_worker_new", "");
	if (!start)
		record_fail("no memory");
	*start = (struct start){ service, service->workers[i] };
	if (pthread_create(&service->worker_threads[i], NULL, run_worker, start))
		record_fail("no thread for a worker");
}

/* A name of the kernel's choice, of which no file is left behind. */
static int listen_anywhere(struct service *service)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	service->address.sun_family = AF_UNIX;
	service->address_size = sizeof(service->address);
	if (fd < 0 || bind(fd, (struct sockaddr *)&service->address, sizeof(sa_family_t)) ||
	    listen(fd, 8) ||
	    getsockname(fd, (struct sockaddr *)&service->address, &service->address_size))
		record_fail("no socket to listen on");
	return fd;
}

static void start_server(struct service *service)
{
	const struct vhu_server_config config = {
		.ops = &device_ops,
		.dev = service->device,
		.workers = service->workers,
		.n_workers = service->config.n_workers,
		.iotlb_entries = service->config.iotlb_entries,
		.no_miss_hints = service->config.no_miss_hints,
		.session_end = session_end,
		.opaque = service,
	};

	record_expect(vhu_server_new(&config, listen_anywhere(service), &service->server),
	              "vhu_server_new", "");
	record_expect(fd_event(&service->wake), "eventfd", "");
	record_expect(vhu_server_watch(service->server, service->wake, wishes_ready, service),
	              "vhu_server_watch", "");
	if (pthread_create(&service->server_thread, NULL, run_server, service))
		record_fail("no thread for the server");
}

struct service *service_new(const struct service_config *config)
{
	struct service *service = calloc(1, sizeof(*service));

	if (!service)
		record_fail("no memory for a service");
	service->config = *config;
	service->device = device_new();
	for (unsigned i = 0; i < config->n_workers; i++)
		start_worker(service, i);
	start_server(service);
	return service;
}

void service_free(struct service *service)
{
	atomic_store(&service->stop_wanted, true);
	fd_signal(service->wake);
	pthread_join(service->server_thread, NULL);
	vhu_server_free(service->server);
	atomic_store(&service->workers_quit, true);
	for (unsigned i = 0; i < service->config.n_workers; i++) {
		vhu_worker_wake(service->workers[i]);
		pthread_join(service->worker_threads[i], NULL);
		vhu_worker_free(service->workers[i]);
	}
	device_free(service->device);
	fd_close(&service->wake);
	free(service);
}

int service_connect(const struct service *service)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&service->address, service->address_size))
		record_fail("the server can't be connected to");
	return fd;
}

void service_wait_ended(struct service *service, unsigned n)
{
	for (int ms = 0; atomic_load(&service->ended) < n; ms++) {
		if (ms > service->config.patience_ms)
			record_fail("the session of a front-end that has gone does not end");
		poll(NULL, 0, 1);
	}
}

uint64_t service_requests(const struct service *service)
{
	return atomic_load(&service->requests);
}

void service_check(struct service *service)
{
	atomic_store(&service->check_wanted, true);
	fd_signal(service->wake);
	for (int ms = 0; atomic_load(&service->check_wanted); ms++) {
		if (ms > service->config.patience_ms)
			record_fail("the server's thread does not answer");
		poll(NULL, 0, 1);
	}
}

static void tell_queue(const struct vhu_queue *queue)
{
	const struct slot *ring = &queue->slots[queue->ring.config.num];

	fprintf(stderr,
	        "queue %u: %u ahead, %u issued%s%s%s%s%s%s%s%s; ring slot: state %u, waits for "
	        "%u\n",
	        queue->index, queue->n_ahead, queue->n_issued,
	        list_is_empty(&queue->held) ? "" : ", some held", queue->owed ? ", owed" : "",
	        queue->due ? ", due" : "", queue->frozen ? ", frozen" : "",
	        queue->halted ? ", halted" : "", queue->broken ? ", broken" : "",
	        vring_is_mapped(&queue->ring) ? "" : ", unmapped",
	        atomic_load(&queue->wake_posted) ? ", woken" : "", atomic_load(&ring->state),
	        ring->waiting);
	fprintf(stderr, "  next available %u, next used %u, published %u\n", queue->ring.next_avail,
	        queue->ring.next_used, queue->ring.published);
	if (!list_is_empty(&queue->ahead)) {
		const struct request *head = container_of(queue->ahead.next, struct request, node);
		const struct slot *slot = &queue->slots[head->chain.head];

		fprintf(stderr, "  head %u: state %u, waits for %u%s, ticket %" PRIu64 "\n",
		        head->chain.head, atomic_load(&slot->state), slot->waiting,
		        slot->starved ? ", starved" : "", atomic_load(&slot->ticket));
	}
}

void service_tell(const struct service *service)
{
	const struct session *session = server_session(service->server);

	if (!session)
		return;
	fprintf(stderr, "session: %s, %u misses unanswered, %" PRIu64 " answered\n",
	        session->operation.active ? "an operation is active" : "no operation",
	        pending_unanswered(session->pending), pending_answered(session->pending));
	for (unsigned i = 0; i < session->n_rings; i++)
		if (session->rings[i].queue)
			tell_queue(session->rings[i].queue);
}

void service_change_config(struct service *service)
{
	atomic_store(&service->change_wanted, true);
	fd_signal(service->wake);
}
