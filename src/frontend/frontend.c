/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end's life, from the socket to negotiated features. */
#include "frontend/frontend.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/export.h"
#include "base/fd.h"
#include "base/log.h"
#include "transport/socket.h"

#define TIMEOUT_DEFAULT_MS 5000
#define SLOTS_MAX          509u

#define PROTOCOL_WANTED                                                                       \
	(VHU_BIT(VHU_PROTOCOL_F_MQ) | VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) |                     \
	 VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ) | VHU_BIT(VHU_PROTOCOL_F_CONFIG) |               \
	 VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE) | \
	 VHU_BIT(VHU_PROTOCOL_F_STATUS))

/* Misses can't be answered without these (rule M2). */
#define PROTOCOL_IOTLB (VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) | VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ))

bool frontend_has_protocol(const struct vhu_frontend *fe, unsigned bit)
{
	return fe->protocol_features & VHU_BIT(bit);
}

bool frontend_translates(const struct vhu_frontend *fe)
{
	return fe->features & VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

int frontend_fault(struct vhu_frontend *fe, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fe->error, sizeof(fe->error), format, args);
	va_end(args);
	log_info(fe->name, "%s", fe->error);
	return error;
}

static void end_awaited(struct vhu_frontend *fe, int error)
{
	backchannel_close(fe);
	while (fe->n_awaited) {
		struct request *request = fe->awaited[fe->awaited_head].request;

		if (request) {
			request->result = error;
			error = -ENOTCONN;
		}
		fe->awaited_head = (fe->awaited_head + 1) % AWAITED_MAX;
		fe->n_awaited--;
	}
}

void frontend_lose(struct vhu_frontend *fe, int head_error, const char *format, ...)
{
	va_list args;

	if (fe->lost)
		return;
	fe->lost = true;
	va_start(args, format);
	vsnprintf(fe->lost_reason, sizeof(fe->lost_reason), format, args);
	va_end(args);
	log_warning(fe->name, "connection lost: %s", fe->lost_reason);
	loop_remove(&fe->loop, &fe->main_source);
	shutdown(channel_fd(fe->main), SHUT_RDWR);
	end_awaited(fe, head_error);
	loop_wake(&fe->loop);
	if (fe->config.lost)
		fe->config.lost(fe->config.opaque);
}

int frontend_round(struct vhu_frontend *fe, int timeout_ms)
{
	int error;

	if (fe->busy)
		return -EDEADLK;
	fe->busy = true;
	error = loop_run(&fe->loop, timeout_ms);
	backchannel_resume(fe);
	fe->busy = false;
	return error;
}

VHU_EXPORT int vhu_frontend_new(const struct vhu_frontend_config *config, int fd,
                                struct vhu_frontend **ret)
{
	struct vhu_frontend *fe;
	bool listening;
	int error = socket_kind(fd, &listening);

	if (error)
		return error;
	if (listening)
		return -EINVAL;
	fe = calloc(1, sizeof(*fe));
	if (!fe)
		return -ENOMEM;
	fe->config = *config;
	if (!fe->config.timeout_ms)
		fe->config.timeout_ms = TIMEOUT_DEFAULT_MS;
	snprintf(fe->name, sizeof(fe->name), "%s", config->name ? config->name : "frontend");
	fe->main_source.fd = fe->back_source.fd = -1;
	list_init(&fe->device.node);
	error = loop_init(&fe->loop);
	if (error) {
		free(fe);
		return error;
	}
	error = exchange_open(fe, fd);
	if (error) {
		loop_done(&fe->loop);
		free(fe);
		return error;
	}
	fe->device.ops = &frontend_iommu_ops;
	fe->device.opaque = config->opaque;
	if (config->iommu)
		iommu_attach(config->iommu, &fe->device);
	*ret = fe;
	return 0;
}

VHU_EXPORT int vhu_frontend_connect(const struct vhu_frontend_config *config, const char *path,
                                    struct vhu_frontend **ret)
{
	int timeout_ms = config->timeout_ms ? config->timeout_ms : TIMEOUT_DEFAULT_MS;
	struct socket_fault why;
	int fd, error;

	error = socket_connect(path, timeout_ms, &fd, &why);
	if (error) {
		log_error(config->name ? config->name : "frontend", "%s", why.text);
		return error;
	}
	error = vhu_frontend_new(config, fd, ret);
	if (error)
		fd_close(&fd);
	return error;
}

VHU_EXPORT void vhu_frontend_free(struct vhu_frontend *fe)
{
	if (!fe)
		return;
	iommu_detach(&fe->device);
	/* In this order: a back-channel that ends alone is a fault to a back-end. */
	loop_remove(&fe->loop, &fe->main_source);
	channel_free(fe->main);
	backchannel_close(fe);
	loop_done(&fe->loop);
	for (unsigned i = 0; i < fe->n_regions; i++)
		fd_close(&fe->regions[i].fd);
	free(fe->regions);
	free(fe);
}

VHU_EXPORT int vhu_frontend_fd(const struct vhu_frontend *fe)
{
	return fe->loop.epoll;
}

VHU_EXPORT int vhu_frontend_run(struct vhu_frontend *fe, int timeout_ms)
{
	int error = fe->lost ? -ENOTCONN : frontend_round(fe, timeout_ms);

	return error ? error : fe->lost ? -ENOTCONN : 0;
}

VHU_EXPORT const char *vhu_frontend_error(const struct vhu_frontend *fe)
{
	return fe->error;
}

VHU_EXPORT void vhu_frontend_stats(const struct vhu_frontend *fe, struct vhu_frontend_stats *ret)
{
	*ret = fe->stats;
}

/* The choice can't be acknowledged: REPLY_ACK is part of it. */
static int choose_protocol(struct vhu_frontend *fe)
{
	uint64_t offered, chosen;
	int error;

	if (!(fe->features_offered & VHU_BIT(VHU_F_PROTOCOL_FEATURES)))
		return 0;
	error = exchange_get_u64(fe, VHU_FE_GET_PROTOCOL_FEATURES, &offered);
	if (error)
		return error;
	chosen = offered & PROTOCOL_WANTED;
	error = exchange_u64(fe, VHU_FE_SET_PROTOCOL_FEATURES, chosen);
	if (!error)
		fe->protocol_features = chosen;
	return error;
}

static int ask_sizes(struct vhu_frontend *fe)
{
	int error = 0;

	if (frontend_has_protocol(fe, VHU_PROTOCOL_F_MQ))
		error = exchange_get_u64(fe, VHU_FE_GET_QUEUE_NUM, &fe->queues);
	if (!error && frontend_has_protocol(fe, VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
		error = exchange_get_u64(fe, VHU_FE_GET_MAX_MEM_SLOTS, &fe->slots);
	if (fe->slots > SLOTS_MAX)
		fe->slots = SLOTS_MAX;
	if (fe->queues > VHU_VRING_INDEX_MASK + 1)
		fe->queues = VHU_VRING_INDEX_MASK + 1;
	return error;
}

VHU_EXPORT int vhu_frontend_negotiate(struct vhu_frontend *fe)
{
	struct message owner;
	int error;

	if (fe->negotiated)
		return -EISCONN;
	message_init(&owner, VHU_FE_SET_OWNER);
	error = exchange_get_u64(fe, VHU_FE_GET_FEATURES, &fe->features_offered);
	if (!error)
		error = choose_protocol(fe);
	if (!error)
		error = ask_sizes(fe);
	if (!error)
		error = exchange(fe, &owner, NULL);
	if (!error && frontend_has_protocol(fe, VHU_PROTOCOL_F_BACKEND_REQ))
		error = backchannel_open(fe);
	fe->negotiated = !error;
	return error;
}

VHU_EXPORT uint64_t vhu_frontend_features_offered(const struct vhu_frontend *fe)
{
	uint64_t features = fe->features_offered & ~VHU_BIT(VHU_F_PROTOCOL_FEATURES);

	if (!fe->config.iommu || (fe->protocol_features & PROTOCOL_IOTLB) != PROTOCOL_IOTLB)
		features &= ~VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	return features;
}

VHU_EXPORT uint64_t vhu_frontend_protocol_features(const struct vhu_frontend *fe)
{
	return fe->protocol_features;
}

VHU_EXPORT unsigned vhu_frontend_queues(const struct vhu_frontend *fe)
{
	return (unsigned)fe->queues;
}

VHU_EXPORT int vhu_frontend_set_features(struct vhu_frontend *fe, uint64_t features)
{
	uint64_t missing = features & ~vhu_frontend_features_offered(fe), before = fe->features;
	int error;

	if (missing)
		return frontend_fault(fe, -EOPNOTSUPP,
		                      "SET_FEATURES: not offered by the back-end%s: %#llx",
		                      missing & VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
		                              ? " (ACCESS_PLATFORM needs an IOMMU here, and "
		                                "REPLY_ACK and BACKEND_REQ there)"
		                              : "",
		                      (unsigned long long)missing);
	features |= fe->features_offered & VHU_BIT(VHU_F_PROTOCOL_FEATURES);
	/* In force from the sending on: misses may come before the acknowledgement. */
	fe->features = features;
	error = exchange_u64(fe, VHU_FE_SET_FEATURES, features);
	if (error)
		fe->features = before;
	else if (!frontend_translates(fe))
		fe->gave = false;
	return error;
}
