/* SPDX-License-Identifier: BSD-3-Clause */
#include "messages.h"

#include <string.h>

struct message msg_empty(uint32_t request)
{
	struct message message;

	message_init(&message, request);
	return message;
}

struct message msg_u64(uint32_t request, uint64_t value)
{
	struct message message = msg_empty(request);

	message.header.size = sizeof(value);
	message.payload.u64 = value;
	return message;
}

struct message msg_state(uint32_t request, uint32_t ring, uint32_t num)
{
	struct message message = msg_empty(request);

	message.header.size = sizeof(message.payload.state);
	message.payload.state = (struct vhu_vring_state){ ring, num };
	return message;
}

struct message msg_vring_fd(uint32_t request, unsigned ring, int fd)
{
	struct message message = msg_u64(request, ring | (fd < 0 ? VHU_VRING_NOFD : 0));

	if (fd >= 0)
		message.fds[message.n_fds++] = fd;
	return message;
}

struct message msg_fd(uint32_t request, int fd)
{
	struct message message = msg_empty(request);

	message.fds[message.n_fds++] = fd;
	return message;
}

struct message msg_config(uint32_t request, uint32_t offset, uint32_t size, uint32_t flags)
{
	struct message message = msg_empty(request);
	struct vhu_config *config = &message.payload.config;

	config->offset = offset;
	config->size = size;
	config->flags = flags;
	message.header.size = VHU_CONFIG_HEADER + (size < VHU_CONFIG_MAX ? size : VHU_CONFIG_MAX);
	return message;
}

static struct message iotlb(uint64_t iova, uint64_t size, uint8_t type)
{
	struct message message = msg_empty(VHU_FE_IOTLB_MSG);
	struct vhu_iotlb *body = &message.payload.iotlb;

	message.header.size = sizeof(*body);
	memset(body, 0xa5, sizeof(*body));
	body->iova = iova;
	body->size = size;
	body->type = type;
	return message;
}

struct message msg_update(uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm)
{
	struct message message = iotlb(iova, size, VHU_IOTLB_UPDATE);

	message.payload.iotlb.uaddr = uva;
	message.payload.iotlb.perm = perm;
	return message;
}

struct message msg_invalidate(uint64_t iova, uint64_t size)
{
	return iotlb(iova, size, VHU_IOTLB_INVALIDATE);
}

struct message msg_of_table(uint32_t request, int fd)
{
	const struct message_spec *spec = message_spec(MESSAGE_MAIN, request);
	struct message message = msg_empty(request);

	message.header.size = spec->size_min;
	if (fd >= 0 && (spec->fds == MESSAGE_FDS_ONE || spec->fds == MESSAGE_FDS_VRING ||
	                spec->fds == MESSAGE_FDS_LOG))
		message.fds[message.n_fds++] = fd;
	else if (spec->fds == MESSAGE_FDS_VRING)
		message.payload.u64 = VHU_VRING_NOFD;
	return message;
}
