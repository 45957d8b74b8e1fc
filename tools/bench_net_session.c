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
#include "say.h"

#define BIT(n) (UINT64_C(1) << (n))

/* linux/virtio_net.h brings in a ring of its own. */
#define NET_F_MRG_RXBUF 15

/* Of the protocol, not of virtio. */
#define PROTOCOL_F_STATUS 16

int net_say(const struct net_bench *bench, const char *what, int error)
{
	return error == -EINTR ? error : say_failure(NET_NAME, bench->frontend, what, error, NULL);
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
		say(NET_NAME, "--listen: %s", why);
		return error;
	}
	n = poll(&ready, 1, options->timeout_ms);
	*ret_fd = n > 0 ? accept4(ready.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
	error = n == 0 ? -ETIMEDOUT : *ret_fd < 0 ? -errno : 0;
	close(ready.fd);
	unlink(options->path);
	if (error == -ETIMEDOUT)
		say(NET_NAME,
		    "--listen: nobody connected to %s within %d ms; give a longer --timeout",
		    options->path, options->timeout_ms);
	else if (error && error != -EINTR)
		say(NET_NAME, "--listen: %s: %s", options->path, strerror(-error));
	return error;
}

static int reach_peer(const struct net_options *options, int *ret_fd)
{
	return options->listen ? listen_for(options, ret_fd)
	                       : peer_connect(NET_NAME, options->path, options->timeout_ms, ret_fd);
}

static int make_frontend(struct net_bench *bench)
{
	const struct net_options *options = bench->options;
	const struct vhu_iommu_config iommu = { .policy = options->policy,
		                                .fault = on_fault,
		                                .opaque = bench };
	struct vhu_frontend_config config = { .name = "bench", .timeout_ms = options->timeout_ms };
	int fd, error = reach_peer(options, &fd);

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
	const char *wrong = NULL;

	if (!(offered & BIT(VIRTIO_F_VERSION_1)))
		wrong = "the back-end does not offer VIRTIO_F_VERSION_1; is it a network device?";
	else if (!bench->options->no_mergeable && !(offered & BIT(NET_F_MRG_RXBUF)))
		wrong = "the back-end does not offer VIRTIO_NET_F_MRG_RXBUF; if it is a network "
			"device at all, give --no-mergeable";
	else if (bench->iommu && !(offered & BIT(VIRTIO_F_ACCESS_PLATFORM)))
		wrong = "the back-end has no device IOTLB; give iommu-support=1 to dpdk-testpmd's "
			"--vdev, or --iommu=off here";
	if (!wrong)
		return 0;
	say(NET_NAME, "%s", wrong);
	return -EOPNOTSUPP;
}

static int negotiate(struct net_bench *bench)
{
	const struct net_options *options = bench->options;
	uint64_t offered;
	int error = vhu_frontend_negotiate(bench->frontend);

	if (error)
		return say_negotiation(NET_NAME, bench->frontend, error);
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
