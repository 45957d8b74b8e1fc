/* SPDX-License-Identifier: BSD-3-Clause */
#include "talk.h"

#include <linux/virtio_config.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "support/peer.h"
#include "verdict.h"
#include "wire/message.h"

static bool failed(const struct talk *talk, uint32_t request, const char *why)
{
	verdict_set(VERDICT_FAULT, "%s: %s: %s", talk->subject, message_name(MESSAGE_MAIN, request),
	            why);
	return false;
}

/* Sends, and takes the reply there must be. */
static bool ask(struct talk *talk, struct message *message)
{
	uint32_t request = message->header.request;
	int error = peer_send(talk->main, message);

	if (!error)
		error = peer_recv(talk->main, message, PEER_PATIENCE);
	if (error)
		return failed(talk, request, strerror(-error));
	return message->header.request == request || failed(talk, request, "another reply");
}

/* One that is only acknowledged. */
static bool tell(struct talk *talk, struct message *message)
{
	message->header.flags |= VHU_FLAG_NEED_REPLY;
	return ask(talk, message) &&
	       (!message->payload.u64 || failed(talk, message->header.request, "refused"));
}

static bool get_u64(struct talk *talk, uint32_t request, uint64_t *ret)
{
	struct message message;

	message_init(&message, request);
	if (!ask(talk, &message))
		return false;
	*ret = message.payload.u64;
	return true;
}

static bool set_u64(struct talk *talk, uint32_t request, uint64_t value, int fd)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(value);
	message.payload.u64 = value;
	if (fd >= 0) {
		message.fds[0] = fd;
		message.n_fds = 1;
	}
	return tell(talk, &message);
}

static bool set_state(struct talk *talk, uint32_t request, unsigned index, uint32_t num)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.state);
	message.payload.state = (struct vhu_vring_state){ index, num };
	return tell(talk, &message);
}

/* There is no acknowledgement before protocol features are set. */
static bool negotiate_protocol(struct talk *talk)
{
	struct message message;
	uint64_t features, offered;

	if (!get_u64(talk, VHU_FE_GET_FEATURES, &features) ||
	    !get_u64(talk, VHU_FE_GET_PROTOCOL_FEATURES, &offered))
		return false;
	message_init(&message, VHU_FE_SET_PROTOCOL_FEATURES);
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = offered & ~VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES);
	return !peer_send(talk->main, &message);
}

static bool open_back(struct talk *talk)
{
	struct message message;
	int pair[2];
	bool done;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return failed(talk, VHU_FE_SET_BACKEND_REQ_FD, "no socket pair");
	talk->back = pair[0];
	message_init(&message, VHU_FE_SET_BACKEND_REQ_FD);
	message.fds[0] = pair[1];
	message.n_fds = 1;
	done = tell(talk, &message);
	fd_close(&pair[1]);
	return done;
}

bool talk_open(struct talk *talk, int fd, uint64_t features)
{
	features |= VHU_BIT(VHU_F_PROTOCOL_FEATURES) | VHU_BIT(VIRTIO_F_VERSION_1) |
	            VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	talk->main = fd;
	talk->back = -1;
	return negotiate_protocol(talk) && open_back(talk) &&
	       set_u64(talk, VHU_FE_SET_FEATURES, features, -1);
}

bool talk_share(struct talk *talk, const struct frames *frames)
{
	struct message message;

	message_init(&message, VHU_FE_SET_MEM_TABLE);
	message.header.size = (uint32_t)(offsetof(struct vhu_memory, regions) +
	                                 FRAMES_REGIONS * sizeof(struct vhu_memory_region));
	message.payload.memory.n = message.n_fds = FRAMES_REGIONS;
	for (unsigned i = 0; i < FRAMES_REGIONS; i++) {
		const struct frames_region *region = &frames->regions[i];

		message.payload.memory.regions[i] = (struct vhu_memory_region){ region->gpa,
			                                                        region->size,
			                                                        region->uva, 0 };
		message.fds[i] = region->fd;
	}
	return tell(talk, &message);
}

static bool set_addresses(struct talk *talk, const struct talk_ring *ring)
{
	struct message message;

	message_init(&message, VHU_FE_SET_VRING_ADDR);
	message.header.size = sizeof(message.payload.addr);
	message.payload.addr = (struct vhu_vring_addr){
		.index = ring->index,
		.desc = ring->desc,
		.avail = ring->avail,
		.used = ring->used,
	};
	return tell(talk, &message);
}

bool talk_start(struct talk *talk, const struct talk_ring *ring)
{
	return set_state(talk, VHU_FE_SET_VRING_NUM, ring->index, ring->num) &&
	       set_state(talk, VHU_FE_SET_VRING_BASE, ring->index, 0) &&
	       set_addresses(talk, ring) &&
	       set_u64(talk, VHU_FE_SET_VRING_CALL, ring->index, ring->call) &&
	       set_u64(talk, VHU_FE_SET_VRING_ERR, ring->index, ring->err) &&
	       set_u64(talk, VHU_FE_SET_VRING_KICK, ring->index, ring->kick) &&
	       set_state(talk, VHU_FE_SET_VRING_ENABLE, ring->index, 1);
}

int talk_stop(struct talk *talk, unsigned index)
{
	struct message message;

	message_init(&message, VHU_FE_GET_VRING_BASE);
	message.header.size = sizeof(message.payload.state);
	message.payload.state.index = index;
	return ask(talk, &message) ? (int)message.payload.state.num : -1;
}

void talk_close(struct talk *talk)
{
	fd_close(&talk->main);
	fd_close(&talk->back);
}
