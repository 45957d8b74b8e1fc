/* SPDX-License-Identifier: BSD-3-Clause */
/* From a socket's path to a port whose queues run, and back. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vhu/socket.h>

#include "bench_net.h"

#define BIT(n)  (UINT64_C(1) << (n))
#define TURN_MS 100

/* Of the protocol, not of virtio. */
#define PROTOCOL_F_STATUS 16

int net_say(const struct net_bench *bench, const char *what, int error)
{
	const char *text = bench->frontend ? vhu_frontend_error(bench->frontend) : "";

	if (error == -ENOTCONN && !*text)
		text = "the back-end closed the connection";
	if (error && error != -EINTR)
		fprintf(stderr, NET_SAY "%s: %s\n", what, *text ? text : strerror(-error));
	return error;
}

static void on_fault(const struct vhu_iommu_fault *fault, void *opaque)
{
	struct net_bench *bench = opaque;

	if (!bench->faults++)
		bench->fault = *fault;
}

static int listen_for(const struct net_options *options, int *ret_fd)
{
	struct pollfd ready = { .fd = -1, .events = POLLIN };
	char why[200];
	int error = vhu_socket_listen(options->path, &ready.fd, why, sizeof(why)), n;

	if (error) {
		fprintf(stderr, NET_SAY "%s\n", why);
		return error;
	}
	n = poll(&ready, 1, options->timeout_ms);
	*ret_fd = n > 0 ? accept4(ready.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
	error = n == 0 ? -ETIMEDOUT : *ret_fd < 0 ? -errno : 0;
	close(ready.fd);
	unlink(options->path);
	if (error && error != -EINTR)
		fprintf(stderr, NET_SAY "%s: nobody connected within %d ms\n", options->path,
		        options->timeout_ms);
	return error;
}

/* What waiting can cure. */
static bool may_come(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -EAGAIN;
}

/* In turns, between which a signal is noticed. */
static int connect_to(const struct net_bench *bench, int *ret_fd, char *why, size_t size)
{
	const struct net_options *options = bench->options;
	int left = options->timeout_ms, error;

	do {
		const int turn = left < TURN_MS ? left : TURN_MS;

		error = vhu_socket_connect(options->path, turn, ret_fd, why, size);
		left -= turn;
	} while (may_come(error) && left > 0 && !*bench->stop);
	return error;
}

static int reach_peer(const struct net_bench *bench, int *ret_fd)
{
	char why[200];
	int error;

	if (bench->options->listen)
		return listen_for(bench->options, ret_fd);
	error = connect_to(bench, ret_fd, why, sizeof(why));
	if (error && !*bench->stop)
		fprintf(stderr, NET_SAY "%s\n", why);
	return error;
}

static int make_frontend(struct net_bench *bench)
{
	const struct net_options *options = bench->options;
	const struct vhu_iommu_config iommu = { .policy = options->policy,
		                                .fault = on_fault,
		                                .opaque = bench };
	struct vhu_frontend_config config = { .name = "bench", .timeout_ms = options->timeout_ms };
	int fd, error = reach_peer(bench, &fd);

	if (error)
		return error;
	peer_of(fd, &bench->peer);
	if (options->iommu != NET_OFF)
		error = vhu_iommu_new(&iommu, &bench->iommu);
	config.iommu = bench->iommu;
	if (!error)
		error = vhu_frontend_new(&config, fd, &bench->frontend);
	if (error)
		close(fd);
	return net_say(bench, "setting up", error);
}

static int check_offer(const struct net_bench *bench, uint64_t offered)
{
	if (!(offered & BIT(VIRTIO_F_VERSION_1))) {
		fprintf(stderr, NET_SAY "the back-end does not offer VIRTIO_F_VERSION_1\n");
		return -EOPNOTSUPP;
	}
	if (bench->iommu && !(offered & BIT(VIRTIO_F_ACCESS_PLATFORM))) {
		fprintf(stderr, NET_SAY "the back-end has no device IOTLB; with dpdk-testpmd say "
		                        "iommu-support=1 in --vdev, or --iommu=off here\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int negotiate(struct net_bench *bench)
{
	const struct net_options *options = bench->options;
	uint64_t offered;
	int error = vhu_frontend_negotiate(bench->frontend);

	if (error)
		return net_say(bench, "negotiating", error);
	offered = vhu_frontend_features_offered(bench->frontend);
	error = check_offer(bench, offered);
	if (error)
		return error;
	bench->features = net_port_features(offered, !options->no_mergeable, options->event_idx);
	error = vhu_frontend_set_features(bench->frontend, bench->features);
	return net_say(bench, "negotiating", error);
}

static int share_memory(struct net_bench *bench, uint64_t bytes)
{
	const struct vhu_region *regions;
	unsigned n;
	int error = vhu_guestmem_new(&bytes, 1, &bench->mem);

	if (!error) {
		regions = vhu_guestmem_regions(bench->mem, &n);
		error = vhu_frontend_add_memory(bench->frontend, regions, n);
	}
	return net_say(bench, "sharing memory", error);
}

static unsigned tx_pages(const struct net_options *options)
{
	switch (options->mode) {
	case NET_TX: return options->pages;
	case NET_RX: return 0;
	default: return (options->pages + 1) / 2;
	}
}

static int start_port(struct net_bench *bench)
{
	const struct net_options *options = bench->options;
	struct net_port_config config = {
		.frontend = bench->frontend,
		.iommu = bench->iommu,
		.features = bench->features,
		.ring = (uint16_t)options->ring,
		.frame = options->size,
		.tx_pages = tx_pages(options),
		.rx_pages = options->pages - tx_pages(options),
		.each = options->iommu == NET_STRICT,
		.push = options->policy == VHU_IOMMU_PUSH,
		.least = options->least,
	};
	int error = share_memory(bench, net_port_bytes(&config));

	config.mem = bench->mem;
	if (error)
		return error;
	return net_say(bench, "starting the queues", net_port_new(&config, &bench->port));
}

/* The driver is no more; that it was there was said by the first of its queues. */
static int reset_status(struct net_bench *bench)
{
	if (!(vhu_frontend_protocol_features(bench->frontend) & BIT(PROTOCOL_F_STATUS)))
		return 0;
	return net_say(bench, "resetting the status", vhu_frontend_set_status(bench->frontend, 0));
}

int net_session_open(struct net_bench *bench)
{
	int error = make_frontend(bench);

	if (!error)
		error = negotiate(bench);
	return error ? error : start_port(bench);
}

int net_session_stop(struct net_bench *bench)
{
	int error = net_say(bench, "stopping the queues", net_port_stop(bench->port));

	return error ? error : reset_status(bench);
}

void net_session_close(struct net_bench *bench)
{
	net_port_free(bench->port);
	vhu_frontend_free(bench->frontend);
	vhu_iommu_free(bench->iommu);
	vhu_guestmem_free(bench->mem);
}
