/* SPDX-License-Identifier: BSD-3-Clause */
#include "echo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pairs.h"

#define NUM      256u
#define RING     UINT64_C(0x100000000) /* iova of the queue's pages */
#define PATIENCE 5000                  /* ms */

static void must(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "iotlb: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static unsigned max_queues(void *dev)
{
	(void)dev;
	return 1;
}

static uint64_t features(void *dev)
{
	(void)dev;
	return 0;
}

static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *req)
{
	(void)dev;
	(void)queue;
	vhu_request_complete(req, 0);
}

static void *run_server(void *opaque)
{
	struct echo *echo = opaque;

	pairs_pin(echo->config.server_processor);
	while (!vhu_server_done(echo->server) && !vhu_server_run(echo->server, -1))
		;
	return NULL;
}

static void *run_worker(void *opaque)
{
	struct echo *echo = opaque;

	pairs_pin(echo->config.worker_processor);
	while (!atomic_load_explicit(&echo->quit, memory_order_relaxed) &&
	       !vhu_worker_run(echo->worker, echo->config.polling ? 0 : -1))
		;
	return NULL;
}

static void start_server(struct echo *echo, int fd)
{
	static const struct vhu_device_ops ops = {
		.name = "echo",
		.max_queues = max_queues,
		.features = features,
		.submit = submit,
	};
	const struct vhu_server_config config = {
		.ops = &ops,
		.workers = &echo->worker,
		.n_workers = echo->config.worker,
	};

	if (echo->config.worker)
		must(vhu_worker_new(&echo->worker), "worker");
	must(vhu_server_new(&config, fd, &echo->server), "server");
	must(pthread_create(&echo->server_thread, NULL, run_server, echo), "thread");
	if (echo->config.worker)
		must(pthread_create(&echo->worker_thread, NULL, run_worker, echo), "thread");
}

static void start_frontend(struct echo *echo, int fd)
{
	struct vhu_frontend_config config = { 0 };
	uint64_t size = vhu_vq_bytes(NUM, 0) + ECHO_MEMORY, wanted;
	const struct vhu_region *regions;
	unsigned n;

	echo->main = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	must(echo->main < 0 ? -errno : 0, "socket");
	must(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &echo->iommu), "IOMMU");
	config.iommu = echo->iommu;
	must(vhu_frontend_new(&config, fd, &echo->frontend), "front-end");
	must(vhu_frontend_negotiate(echo->frontend), "negotiation");
	wanted = UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM;
	must(vhu_frontend_set_features(echo->frontend, wanted), "features");
	must(vhu_guestmem_new(&size, 1, &echo->mem), "memory");
	regions = vhu_guestmem_regions(echo->mem, &n);
	must(vhu_frontend_add_memory(echo->frontend, regions, n), "memory");
	echo->data = vhu_vq_bytes(NUM, 0);
	echo->uva = regions[0].uva + echo->data;
}

static void start_queue(struct echo *echo)
{
	const struct vhu_vq_config config = {
		.num = NUM,
		.mem = vhu_guestmem_ptr(echo->mem, 0, echo->data),
		.addr = RING,
		.buffer_addr = RING,
	};

	must(vhu_iommu_map(echo->iommu, RING, echo->data, (uintptr_t)config.mem, VHU_PERM_RW),
	     "map");
	must(vhu_vq_start(echo->frontend, &config, &echo->vq), "queue");
}

struct echo *echo_new(const struct echo_config *config)
{
	struct echo *echo = calloc(1, sizeof(*echo));
	int pair[2];

	must(echo ? 0 : -ENOMEM, "echo");
	echo->config = *config;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno : 0, "socket");
	start_server(echo, pair[1]);
	start_frontend(echo, pair[0]);
	start_queue(echo);
	return echo;
}

void echo_free(struct echo *echo)
{
	vhu_vq_free(echo->vq);
	vhu_frontend_free(echo->frontend);
	close(echo->main);
	pthread_join(echo->server_thread, NULL);
	vhu_server_free(echo->server);
	if (echo->config.worker) {
		atomic_store(&echo->quit, true);
		vhu_worker_wake(echo->worker);
		pthread_join(echo->worker_thread, NULL);
		vhu_worker_free(echo->worker);
	}
	vhu_iommu_free(echo->iommu);
	vhu_guestmem_free(echo->mem);
	free(echo);
}

void echo_request(struct echo *echo, const struct vhu_buffer *buffers, unsigned n)
{
	uint32_t written;
	void *token;
	int got;

	must(vhu_vq_add(echo->vq, buffers, n, NULL), "request");
	must(vhu_vq_kick(echo->vq), "kick");
	while ((got = vhu_vq_get(echo->vq, &token, &written)) == 0) {
		got = vhu_vq_wait(echo->vq, PATIENCE);
		if (got != 1)
			break;
	}
	must(got == 1 ? 0 : got ? got : -ETIMEDOUT, "a request is not completed");
}
