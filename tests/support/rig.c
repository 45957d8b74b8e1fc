/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads and life of the rig. */
#include "support/rig.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "frontend/guestmem.h"

#define REGION_SIZE_DEFAULT (UINT64_C(4) << 20)

const struct rig_config rig_one_thread = { 0 };
const struct rig_config rig_own_threads = { .n_workers = 2 };

/* How the test's thread speaks to the others. */
struct rig_control {
	int wake; /* of the server's thread */
	_Atomic bool stats_wanted;
	_Atomic bool stop_wanted;
	_Atomic bool change_wanted;
	_Atomic unsigned sessions; /* that have ended */
	_Atomic bool ended;        /* the session */
	_Atomic bool quit;         /* workers */
	pthread_mutex_t lock;      /* of those below */
	struct vhu_stats stats;
	struct vhu_stats last; /* of the session that ended last */
};

static void take_stats(struct vhu_server *server, struct rig_control *control,
                       struct vhu_stats *ret)
{
	pthread_mutex_lock(&control->lock);
	vhu_server_stats(server, ret);
	pthread_mutex_unlock(&control->lock);
}

static struct vhu_stats read_stats(struct rig_control *control, const struct vhu_stats *stats)
{
	struct vhu_stats copy;

	pthread_mutex_lock(&control->lock);
	copy = *stats;
	pthread_mutex_unlock(&control->lock);
	return copy;
}

static void serve_wishes(struct rig *rig)
{
	struct rig_control *control = rig->control;

	fd_drain(control->wake);
	if (atomic_exchange(&control->stop_wanted, false))
		vhu_server_stop(rig->server);
	if (atomic_exchange(&control->change_wanted, false))
		vhu_server_config_changed(rig->server);
	if (!atomic_load(&control->stats_wanted))
		return;
	take_stats(rig->server, control, &control->stats);
	atomic_store(&control->stats_wanted, false);
}

static void *run_server(void *opaque)
{
	struct rig *rig = opaque;
	struct pollfd fds[] = {
		{ .fd = vhu_server_fd(rig->server), .events = POLLIN },
		{ .fd = rig->control->wake, .events = POLLIN },
	};

	while (!vhu_server_done(rig->server)) {
		/* One that polls sleeps in its own way; else its fd is waited for. */
		if (vhu_server_run(rig->server, rig->config.poll_us ? 20 : 0))
			break;
		if (vhu_server_done(rig->server))
			break;
		poll(fds, 2, rig->config.poll_us ? 0 : 20);
		serve_wishes(rig);
	}
	take_stats(rig->server, rig->control, &rig->control->stats);
	atomic_store(&rig->control->ended, true);
	return NULL;
}

struct worker_start {
	struct rig *rig;
	unsigned index;
};

static void *run_worker(void *opaque)
{
	struct worker_start start = *(struct worker_start *)opaque;

	free(opaque);
	while (!atomic_load(&start.rig->control->quit))
		if (vhu_worker_run(start.rig->workers[start.index], 1000))
			break;
	return NULL;
}

static void make_memory(struct rig *rig)
{
	uint64_t sizes[8];
	unsigned n = rig->config.n_regions ? rig->config.n_regions : 1;
	uint64_t size = rig->config.region_size ? rig->config.region_size : REGION_SIZE_DEFAULT;

	assert_true(n <= ARRAY_SIZE(sizes));
	for (unsigned i = 0; i < n; i++)
		sizes[i] = size;
	/* Not sealed: some tests cut it off. */
	assert_int_equal(guestmem_new(sizes, n, 0, &rig->mem), 0);
	rig->memory_size = n * size;
	rig->memory = vhu_guestmem_ptr(rig->mem, 0, rig->memory_size);
}

static void session_end(struct vhu_server *server, void *opaque)
{
	struct rig_control *control = opaque;

	take_stats(server, control, &control->last);
	atomic_fetch_add(&control->sessions, 1);
}

static void make_server(struct rig *rig, int fd)
{
	const struct vhu_server_config config = {
		.ops = &rig_device_ops,
		.dev = rig->device,
		.workers = rig->config.n_workers ? rig->workers : NULL,
		.n_workers = rig->config.n_workers,
		.iotlb_entries = rig->config.iotlb_entries,
		.poll_us = rig->config.poll_us,
		.no_iommu = rig->config.no_iommu,
		.no_miss_hints = rig->config.no_miss_hints,
		.report_access_failures = rig->config.report_access_failures,
		.session_end = session_end,
		.opaque = rig->control,
	};

	assert_true(rig->config.n_workers <= RIG_WORKERS_MAX);
	for (unsigned i = 0; i < rig->config.n_workers; i++)
		assert_int_equal(vhu_worker_new(&rig->workers[i]), 0);
	assert_int_equal(vhu_server_new(&config, fd, &rig->server), 0);
}

static void start_threads(struct rig *rig)
{
	for (unsigned i = 0; i < rig->config.n_workers; i++) {
		struct worker_start *start = malloc(sizeof(*start));

		assert_non_null(start);
		*start = (struct worker_start){ rig, i };
		assert_int_equal(pthread_create(&rig->worker_threads[i], NULL, run_worker, start),
		                 0);
	}
	assert_int_equal(pthread_create(&rig->server_thread, NULL, run_server, rig), 0);
}

/* Bound to a name of the kernel's choice, of which no file remains. */
static int make_listener(struct rig *rig)
{
	const struct sockaddr any = { .sa_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &any, sizeof(any.sa_family)), 0);
	assert_int_equal(listen(fd, 8), 0);
	rig->address_size = sizeof(rig->address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&rig->address, &rig->address_size), 0);
	return fd;
}

int rig_connect(struct rig *rig)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&rig->address, rig->address_size), 0);
	return fd;
}

void rig_reconnect(struct rig *rig)
{
	fd_close(&rig->main);
	fd_close(&rig->back);
	rig->features = rig->protocol_features = 0;
	rig->main = rig_connect(rig);
}

struct rig *rig_new(const struct rig_config *config)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	assert_non_null(rig);
	rig->config = *config;
	if (!rig->config.queues)
		rig->config.queues = 2;
	assert_true(rig->config.queues <= RIG_QUEUES_MAX);
	for (unsigned i = 0; i < RIG_QUEUES_MAX; i++)
		rig->rings[i] = (struct rig_ring){ .kick = -1, .call = -1, .err = -1 };
	rig->control = calloc(1, sizeof(*rig->control));
	assert_non_null(rig->control);
	pthread_mutex_init(&rig->control->lock, NULL);
	assert_int_equal(fd_event(&rig->control->wake), 0);
	rig->back = -1;
	if (config->listen) {
		pair[1] = make_listener(rig);
		rig->main = rig_connect(rig);
	} else {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		rig->main = pair[0];
	}
	make_memory(rig);
	rig->device = rig_device_new(rig->config.queues, rig->config.features);
	make_server(rig, pair[1]);
	start_threads(rig);
	return rig;
}

/* A thread that does not end would hang the suite; a dead test says more. */
static void join(pthread_t thread, const char *what)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PEER_PATIENCE / 1000;
	if (pthread_timedjoin_np(thread, NULL, &until)) {
		fprintf(stderr, "the %s's thread does not end\n", what);
		abort();
	}
}

void rig_stop(struct rig *rig)
{
	atomic_store(&rig->control->stop_wanted, true);
	fd_signal(rig->control->wake);
}

void rig_config_changed(struct rig *rig)
{
	atomic_store(&rig->control->change_wanted, true);
	fd_signal(rig->control->wake);
}

void rig_free(struct rig *rig)
{
	if (rig->config.listen)
		rig_stop(rig);
	fd_close(&rig->main);
	fd_close(&rig->back);
	rig_release(rig);
	join(rig->server_thread, "server");
	vhu_server_free(rig->server);
	atomic_store(&rig->control->quit, true);
	for (unsigned i = 0; i < rig->config.n_workers; i++) {
		vhu_worker_wake(rig->workers[i]);
		join(rig->worker_threads[i], "worker");
		vhu_worker_free(rig->workers[i]);
	}
	for (unsigned i = 0; i < RIG_QUEUES_MAX; i++) {
		vring_driver_free(rig->rings[i].driver);
		fd_close(&rig->rings[i].kick);
		fd_close(&rig->rings[i].call);
		fd_close(&rig->rings[i].err);
	}
	rig_device_free(rig->device);
	vhu_guestmem_free(rig->mem);
	fd_close(&rig->control->wake);
	pthread_mutex_destroy(&rig->control->lock);
	free(rig->control);
	free(rig);
}

static bool wait_until(_Atomic bool *flag, bool value)
{
	for (int ms = 0; ms < PEER_PATIENCE; ms++) {
		if (atomic_load(flag) == value)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

unsigned rig_sessions(struct rig *rig)
{
	return atomic_load(&rig->control->sessions);
}

void rig_wait_sessions(struct rig *rig, unsigned n)
{
	for (int ms = 0; rig_sessions(rig) < n; ms++) {
		if (ms >= PEER_PATIENCE)
			fail_msg("%u sessions have ended of %u", rig_sessions(rig), n);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

struct vhu_stats rig_last_stats(struct rig *rig)
{
	assert_true(rig_sessions(rig) > 0);
	return read_stats(rig->control, &rig->control->last);
}

struct vhu_stats rig_stats(struct rig *rig)
{
	struct rig_control *control = rig->control;

	if (!atomic_load(&control->ended)) {
		atomic_store(&control->stats_wanted, true);
		fd_signal(control->wake);
		assert_true(wait_until(&control->stats_wanted, false) ||
		            atomic_load(&control->ended));
	}
	return read_stats(control, &control->stats);
}

int rig_wait_end(struct rig *rig)
{
	return wait_until(&rig->control->ended, true) ? 0 : -ETIMEDOUT;
}
