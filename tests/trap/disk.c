/* SPDX-License-Identifier: BSD-3-Clause */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "pattern.h"
#include "verdict.h"

static const char *const workers[DISK_WORKERS_MAX] = { "worker 0", "worker 1", "worker 2",
	                                               "worker 3" };

_Thread_local const char *disk_thread;

static void *serve(void *opaque)
{
	struct disk *disk = opaque;

	disk_thread = "the session's thread";
	while (!vhu_server_done(disk->server)) {
		int error = vhu_server_run(disk->server, -1);

		if (error) {
			verdict_set(VERDICT_FAULT, "vhu_server_run(): %s", strerror(-error));
			break;
		}
	}
	return NULL;
}

static void *work(void *opaque)
{
	struct disk *disk = opaque;
	int index = atomic_fetch_add(&disk->named, 1);
	struct vhu_worker *worker = disk->workers[index];

	disk_thread = workers[index];
	while (!atomic_load(&disk->workers_quit)) {
		int error = vhu_worker_run(worker, -1);

		if (error) {
			verdict_set(VERDICT_FAULT, "vhu_worker_run(): %s", strerror(-error));
			break;
		}
	}
	return NULL;
}

static int start_thread(struct disk *disk, void *(*run)(void *opaque))
{
	int error = pthread_create(&disk->threads[disk->n_threads], NULL, run, disk);

	if (!error)
		disk->n_threads++;
	return -error;
}

/* A file without a name: in the folder where we are if it is to lie on a disk. */
static int make_file(struct disk *disk)
{
	char path[] = "trap-XXXXXX";

	if (disk->config.direct) {
		disk->file = mkostemp(path, O_CLOEXEC);
		if (disk->file >= 0)
			unlink(path);
	} else {
		disk->file = memfd_create("trap-disk", MFD_CLOEXEC);
	}
	if (disk->file < 0 || ftruncate(disk->file, (off_t)DISK_PAGES * PAGE) < 0)
		return -errno;
	return 0;
}

static int open_storage(struct disk *disk)
{
	struct storage_fault why;
	char path[32];
	int error;

	if (disk->config.engine == &engine_memory)
		return storage_open_memory(&disk->storage, (uint64_t)DISK_PAGES * PAGE, false,
		                           &why);
	error = make_file(disk);
	if (error)
		return disk->config.direct ? -EOPNOTSUPP : error;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk->file);
	error = storage_open(&disk->storage, path, false, disk->config.direct, &why);
	if (error) {
		disk->storage = (struct storage){ .fd = -1 };
		return disk->config.direct ? -EOPNOTSUPP : error;
	}
	return disk->config.direct && disk->storage.in_memory ? -EOPNOTSUPP : 0;
}

static int make_blk(struct disk *disk)
{
	const struct blk_options options = {
		.storage = &disk->storage,
		.engine = disk->config.engine,
		.num_queues = disk->config.queues,
		.block_size = 512,
	};

	if (disk->config.engine == &engine_uring && engine_uring_probe())
		return -EOPNOTSUPP;
	return blk_new(&options, &disk->blk);
}

static int make_server(struct disk *disk, int fd)
{
	const struct vhu_server_config config = {
		.ops = &blk_ops,
		.dev = disk->blk,
		.workers = disk->workers,
		.n_workers = disk->config.n_workers,
		.iotlb_entries = disk->config.entries,
		.poll_us = disk->config.poll_us,
	};

	for (unsigned i = 0; i < disk->config.n_workers; i++) {
		int error = vhu_worker_new(&disk->workers[i]);

		if (error)
			return error;
	}
	return vhu_server_new(&config, fd, &disk->server);
}

int disk_start(struct disk *disk, const struct disk_config *config, int fd)
{
	int error;

	*disk = (struct disk){ .config = *config, .file = -1, .storage.fd = -1 };
	error = open_storage(disk);
	if (!error)
		error = make_blk(disk);
	if (!error)
		error = make_server(disk, fd);
	for (unsigned i = 0; i < config->n_workers && !error; i++)
		error = start_thread(disk, work);
	if (!error)
		error = start_thread(disk, serve);
	if (error && error != -EOPNOTSUPP)
		verdict_set(VERDICT_FAULT, "the disk can't be served: %s", strerror(-error));
	return error;
}

void disk_stop(struct disk *disk)
{
	/* The session's thread is the last that was started, and ends by itself. */
	if (disk->n_threads > disk->config.n_workers)
		pthread_join(disk->threads[--disk->n_threads], NULL);
	vhu_server_free(disk->server);
	atomic_store(&disk->workers_quit, true);
	for (unsigned i = 0; i < disk->n_threads; i++) {
		for (unsigned j = 0; j < disk->config.n_workers; j++)
			vhu_worker_wake(disk->workers[j]);
		pthread_join(disk->threads[i], NULL);
	}
	for (unsigned i = 0; i < disk->config.n_workers; i++)
		vhu_worker_free(disk->workers[i]);
	blk_free(disk->blk);
	if (disk->storage.fd >= 0 || disk->storage.bytes)
		storage_close(&disk->storage);
	fd_close(&disk->file);
}

bool disk_peek(const struct disk *disk, unsigned page, void *to)
{
	if (disk->storage.bytes) {
		memcpy(to, (char *)disk->storage.bytes + (size_t)page * PAGE, PAGE);
		return true;
	}
	return pread(disk->file, to, PAGE, (off_t)page * PAGE) == PAGE;
}

bool disk_poke(const struct disk *disk, unsigned page, const void *from)
{
	if (disk->storage.bytes) {
		memcpy((char *)disk->storage.bytes + (size_t)page * PAGE, from, PAGE);
		return true;
	}
	return pwrite(disk->file, from, PAGE, (off_t)page * PAGE) == PAGE;
}
