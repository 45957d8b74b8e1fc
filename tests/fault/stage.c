/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "backend/session.h"
#include "base/fd.h"
#include "support/check.h"

struct worker_start {
	struct stage *stage;
	struct vhu_worker *worker;
};

static void *work(void *opaque)
{
	struct worker_start start = *(struct worker_start *)opaque;

	sem_post(&start.stage->taken);
	while (!atomic_load(&start.stage->workers_quit))
		if (vhu_worker_run(start.worker, -1))
			break;
	return NULL;
}

static int start_workers(struct stage *stage)
{
	while (stage->n_workers < stage->config.n_workers) {
		struct vhu_worker **worker = &stage->workers[stage->n_workers];
		struct worker_start start = { .stage = stage };
		int error = vhu_worker_new(worker);

		if (error)
			return error;
		stage->n_workers++;
		start.worker = *worker;
		error = -pthread_create(&stage->worker_threads[stage->n_threads], NULL, work,
		                        &start);
		if (error)
			return error;
		stage->n_threads++;
		/* It has taken what is on this stack. */
		sem_wait(&stage->taken);
	}
	return 0;
}

static int open_all(struct stage *stage)
{
	const struct stage_config *config = &stage->config;
	struct blk_options options = {
		.storage = &stage->storage,
		.engine = config->engine,
		.num_queues = 1,
		.block_size = 512,
	};
	struct vhu_server_config server = {
		.ops = &blk_ops,
		.workers = stage->workers,
		.n_workers = config->n_workers,
		.iotlb_entries = config->iotlb_entries,
	};
	struct storage_fault why;
	int error = config->path ? storage_open(&stage->storage, config->path, false, false, &why)
	                         : storage_open_memory(&stage->storage, STAGE_DISK, false, &why);

	if (error) {
		stage->storage = (struct storage){ .fd = -1 };
		return error;
	}
	error = blk_new(&options, &stage->blk);
	if (!error)
		error = start_workers(stage);
	server.dev = stage->blk;
	if (!error)
		error = vhu_server_new(&server, stage->listener, &stage->server);
	if (!error)
		stage->listener = -1;
	return error;
}

static void close_all(struct stage *stage)
{
	vhu_server_free(stage->server);
	atomic_store(&stage->workers_quit, true);
	for (unsigned i = 0; i < stage->n_threads; i++) {
		vhu_worker_wake(stage->workers[i]);
		pthread_join(stage->worker_threads[i], NULL);
	}
	for (unsigned i = 0; i < stage->n_workers; i++)
		vhu_worker_free(stage->workers[i]);
	blk_free(stage->blk);
	storage_close(&stage->storage);
}

/* Queues of other threads are left alone. */
static const char *check(const struct stage *stage)
{
	const struct session *session = server_session(stage->server);

	if (!session)
		return NULL;
	if (!session_check(session))
		return "session_check()";
	if (!memtable_check(session->table))
		return "memtable_check()";
	if (!iotlb_check(session->iotlb))
		return "iotlb_check()";
	for (unsigned i = 0; i < session->n_rings && !stage->n_workers; i++)
		if (session->rings[i].queue && !vring_check(&session->rings[i].queue->ring))
			return "vring_check()";
	return NULL;
}

static void run(struct stage *stage)
{
	struct pollfd fds[] = {
		{ .fd = vhu_server_fd(stage->server), .events = POLLIN },
		{ .fd = stage->control, .events = POLLIN },
	};

	while (!atomic_load(&stage->quit)) {
		const char *fault = check(stage);

		if (fault)
			atomic_store(&stage->fault, fault);
		if (vhu_server_run(stage->server, 0))
			atomic_store(&stage->fault, "vhu_server_run()");
		poll(fds, 2, -1);
	}
}

static void *serve(void *opaque)
{
	struct stage *stage = opaque;

	stage->error = open_all(stage);
	sem_post(&stage->ready);
	if (!stage->error)
		run(stage);
	close_all(stage);
	return NULL;
}

/* Bound to a name of the kernel's choice, of which no file remains. */
static void open_listener(struct stage *stage)
{
	const struct sockaddr any = { .sa_family = AF_UNIX };

	stage->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(stage->listener >= 0);
	assert_int_equal(bind(stage->listener, &any, sizeof(any.sa_family)), 0);
	assert_int_equal(listen(stage->listener, 8), 0);
	stage->address_size = sizeof(stage->address);
	assert_int_equal(getsockname(stage->listener, (struct sockaddr *)&stage->address,
	                             &stage->address_size),
	                 0);
}

int stage_start(struct stage *stage, const struct stage_config *config)
{
	*stage = (struct stage){ .config = *config, .storage.fd = -1 };
	open_listener(stage);
	assert_int_equal(fd_event(&stage->control), 0);
	assert_int_equal(sem_init(&stage->ready, 0, 0), 0);
	assert_int_equal(sem_init(&stage->taken, 0, 0), 0);
	assert_int_equal(pthread_create(&stage->thread, NULL, serve, stage), 0);
	while (sem_wait(&stage->ready))
		;
	return stage->error;
}

void stage_stop(struct stage *stage)
{
	atomic_store(&stage->quit, true);
	fd_signal(stage->control);
	pthread_join(stage->thread, NULL);
	sem_destroy(&stage->ready);
	sem_destroy(&stage->taken);
	fd_close(&stage->control);
	fd_close(&stage->listener);
}

int stage_connect(const struct stage *stage)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&stage->address, stage->address_size),
	                 0);
	return fd;
}

const char *stage_fault(const struct stage *stage)
{
	return atomic_load(&stage->fault);
}
