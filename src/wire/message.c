/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/message.h"

#include <assert.h>
#include <string.h>

#include "base/fd.h"

static_assert(sizeof(struct vhu_config) >= sizeof(struct vhu_memory), "the longest but one");

/* All but two requests, of whatever direction, are far shorter than the longest payload. */
static size_t payload_most(uint32_t request)
{
	switch (request) {
	/* Those that come in crowds: of either direction these numbers are short. */
	case VHU_FE_IOTLB_MSG:
	case VHU_BE_IOTLB_MSG: return sizeof(struct vhu_iotlb);
	case VHU_FE_GET_SHMEM_CONFIG:
	case VHU_FE_CREATE_CRYPTO_SESSION: return sizeof(union message_payload);
	default: return sizeof(struct vhu_config);
	}
}

void message_init(struct message *message, uint32_t request)
{
	message->header = (struct vhu_header){ .request = request, .flags = VHU_FLAG_VERSION };
	memset(&message->payload, 0, payload_most(request));
	message->n_fds = 0;
	memset(message->fds, 0xff, sizeof(message->fds)); /* -1 each */
}

int message_take_fd(struct message *message, unsigned i)
{
	int fd;

	if (i >= message->n_fds)
		return -1;
	fd = message->fds[i];
	message->fds[i] = -1;
	return fd;
}

void message_close_fds(struct message *message)
{
	for (unsigned i = 0; i < message->n_fds; i++)
		fd_close(&message->fds[i]);
	message->n_fds = 0;
}
