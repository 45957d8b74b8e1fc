/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A number of block requests from the driver's ring to a disk in memory and back,
 * driver and device by turns in one thread, and nothing else: for a count of
 * their instructions. scripts/bench takes the difference of runs.
 *
 *	blk_path off|static memory|null SEGMENTS REQUESTS
 *
 * A request reads SEGMENTS pieces of 4 KiB, each of its own page.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <vhu/backend.h>
#include <vhu/frontend.h>

#include "devices/blk.h"

#include "../tools/blk_load.h"

#define PAGE     4096u
#define DEPTH    32u
#define DISK     (UINT64_C(16) << 20)
#define PLATFORM (UINT64_C(1) << 33)
/* VERSION_1, INDIRECT_DESC, EVENT_IDX, FLUSH */
#define FEATURES (UINT64_C(1) << 32 | UINT64_C(1) << 28 | UINT64_C(1) << 29 | UINT64_C(1) << 9)

struct path {
	struct storage storage;
	struct blk *blk;
	struct vhu_server *server;
	struct vhu_iommu *iommu;
	struct vhu_guestmem *mem;
	struct vhu_frontend *frontend;
	struct blk_load *load;
	unsigned segments;

	/* The server's own thread, while the front-end waits for answers. */
	pthread_t thread;
	_Atomic bool quit;
};

static void *serve(void *opaque)
{
	struct path *path = opaque;

	while (!atomic_load(&path->quit))
		if (vhu_server_run(path->server, 1))
			abort();
	return NULL;
}

static void serve_start(struct path *path)
{
	path->quit = false;
	if (pthread_create(&path->thread, NULL, serve, path))
		abort();
}

static void serve_stop(struct path *path)
{
	atomic_store(&path->quit, true);
	pthread_join(path->thread, NULL);
}

static int make_server(struct path *path, const struct engine_ops *engine, int fd)
{
	struct storage_fault why;
	const struct blk_options options = {
		.storage = &path->storage, .engine = engine, .num_queues = 1, .block_size = 512
	};
	struct vhu_server_config config = { .ops = &blk_ops };
	int error = storage_open_memory(&path->storage, DISK, false, &why);

	if (!error)
		error = blk_new(&options, &path->blk);
	config.dev = path->blk;
	return error ? error : vhu_server_new(&config, fd, &path->server);
}

static int make_frontend(struct path *path, bool iommu, int fd)
{
	struct vhu_frontend_config config = { .name = "path" };
	const struct vhu_region *regions;
	uint64_t bytes;
	unsigned n;
	int error = 0;
	struct blk_load_config load = {
		.features = FEATURES | (iommu ? PLATFORM : 0),
		.depth = DEPTH,
		.quiet = true,
		.bytes = path->segments * PAGE,
		.segment = PAGE,
	};

	if (iommu)
		error = vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &path->iommu);
	config.iommu = path->iommu;
	if (!error)
		error = vhu_frontend_new(&config, fd, &path->frontend);
	if (!error)
		error = vhu_frontend_negotiate(path->frontend);
	if (!error)
		error = vhu_frontend_set_features(path->frontend, load.features);
	bytes = blk_load_bytes(&load);
	if (!error)
		error = vhu_guestmem_new(&bytes, 1, &path->mem);
	if (error)
		return error;
	regions = vhu_guestmem_regions(path->mem, &n);
	error = vhu_frontend_add_memory(path->frontend, regions, n);
	load.frontend = path->frontend;
	load.iommu = path->iommu;
	load.mem = path->mem;
	return error ? error : blk_load_new(&load, &path->load);
}

/* Serves until the queue is empty. */
static uint64_t drain(struct path *path)
{
	struct blk_slot *slots[DEPTH];
	uint64_t done = 0;
	int n;

	while (blk_load_in_flight(path->load)) {
		if (vhu_server_run(path->server, 0))
			abort();
		if (vhu_frontend_run(path->frontend, 0))
			abort();
		n = blk_load_reap(path->load, slots, DEPTH);
		for (int i = 0; i < n; i++) {
			if (blk_slot_status(slots[i]) != VIRTIO_BLK_S_OK)
				abort();
			blk_load_give_back(path->load, slots[i]);
		}
		done += n > 0 ? (uint64_t)n : 0;
	}
	return done;
}

static void run(struct path *path, uint64_t requests)
{
	const uint64_t sectors = path->segments * (PAGE / 512);
	const uint64_t places = DISK / 512 / sectors;

	for (uint64_t i = 0; i < requests;) {
		struct blk_slot *slot;

		while (i < requests && (slot = blk_load_take(path->load)))
			if (blk_load_submit(path->load, slot, VIRTIO_BLK_T_IN,
			                    i++ * 7 % places * sectors))
				abort();
		if (blk_load_kick(path->load))
			abort();
		drain(path);
	}
}

static int usage(void)
{
	fputs("usage: blk_path off|static memory|null SEGMENTS REQUESTS\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct path path = { 0 };
	int pair[2], error;

	if (argc != 5)
		return usage();
	path.segments = (unsigned)atoi(argv[3]);
	if (!path.segments || path.segments > 64)
		return usage();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return 1;
	error = make_server(&path, strcmp(argv[2], "null") ? &engine_memory : &engine_null,
	                    pair[0]);
	if (error)
		return 1;
	serve_start(&path);
	error = make_frontend(&path, !strcmp(argv[1], "static"), pair[1]);
	serve_stop(&path);
	if (!error) {
		/* All translations are known after a round or two. */
		run(&path, 2 * DEPTH);
		run(&path, strtoull(argv[4], NULL, 10));
	}
	blk_load_free(path.load);
	vhu_frontend_free(path.frontend);
	vhu_server_free(path.server);
	vhu_iommu_free(path.iommu);
	vhu_guestmem_free(path.mem);
	blk_free(path.blk);
	storage_close(&path.storage);
	return error != 0;
}
