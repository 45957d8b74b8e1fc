/* SPDX-License-Identifier: BSD-3-Clause */
/* The main channel of the rig, by hand. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "support/rig.h"

void rig_send(struct rig *rig, const struct message *message)
{
	assert_int_equal(peer_send(rig->main, message), 0);
}

void rig_recv(struct rig *rig, struct message *ret)
{
	int error = peer_recv(rig->main, ret, PEER_PATIENCE);

	if (error)
		fail_msg("no message on the main channel: %s", strerror(-error));
}

void rig_expect_silence(struct rig *rig)
{
	struct message message;
	int error = peer_recv(rig->main, &message, PEER_QUIET);

	if (error != -ETIMEDOUT)
		fail_msg("not silent: %s",
		         error ? strerror(-error)
		               : message_name(MESSAGE_MAIN, message.header.request));
}

/* Only this exact header is taken by the strictest of front-ends. */
static void recv_reply(struct rig *rig, uint32_t request, uint32_t size, struct message *ret)
{
	rig_recv(rig, ret);
	message_close_fds(ret);
	if (ret->header.request != request)
		fail_msg("a reply to %s, not to %s",
		         message_name(MESSAGE_MAIN, ret->header.request),
		         message_name(MESSAGE_MAIN, request));
	assert_int_equal(ret->header.flags, VHU_FLAG_VERSION | VHU_FLAG_REPLY);
	assert_int_equal(ret->header.size, size);
}

uint64_t rig_expect_u64(struct rig *rig, uint32_t request)
{
	struct message message;

	recv_reply(rig, request, sizeof(uint64_t), &message);
	return message.payload.u64;
}

void rig_expect_closed(struct rig *rig)
{
	struct message message;
	int error = peer_recv(rig->main, &message, PEER_PATIENCE);

	if (error != -ENOTCONN)
		fail_msg("not closed: %s",
		         error ? strerror(-error)
		               : message_name(MESSAGE_MAIN, message.header.request));
}

uint64_t rig_call(struct rig *rig, struct message *message)
{
	if (!(rig->protocol_features & VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK))) {
		rig_send(rig, message);
		rig_get_u64(rig, VHU_FE_GET_FEATURES);
		return 0;
	}
	message->header.flags |= VHU_FLAG_NEED_REPLY;
	rig_send(rig, message);
	return rig_expect_u64(rig, message->header.request);
}

static void init_u64(struct message *message, uint32_t request, uint64_t value)
{
	message_init(message, request);
	message->header.size = sizeof(value);
	message->payload.u64 = value;
}

uint64_t rig_set_u64(struct rig *rig, uint32_t request, uint64_t value)
{
	struct message message;

	init_u64(&message, request, value);
	return rig_call(rig, &message);
}

uint64_t rig_set_state(struct rig *rig, uint32_t request, uint32_t index, uint32_t num)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.state);
	message.payload.state = (struct vhu_vring_state){ index, num };
	return rig_call(rig, &message);
}

uint64_t rig_get_u64(struct rig *rig, uint32_t request)
{
	struct message message;

	message_init(&message, request);
	rig_send(rig, &message);
	return rig_expect_u64(rig, request);
}

/* A message's fds are closed after it was answered, and before the next one is read. */
struct census rig_census(struct rig *rig)
{
	rig_get_u64(rig, VHU_FE_GET_FEATURES);
	return census_take();
}

uint32_t rig_get_vring_base(struct rig *rig, uint32_t index)
{
	struct message message;

	message_init(&message, VHU_FE_GET_VRING_BASE);
	message.header.size = sizeof(message.payload.state);
	message.payload.state.index = index;
	rig_send(rig, &message);
	recv_reply(rig, VHU_FE_GET_VRING_BASE, sizeof(struct vhu_vring_state), &message);
	assert_int_equal(message.payload.state.index, index);
	return message.payload.state.num;
}

void rig_negotiate_protocol(struct rig *rig)
{
	struct message message;
	uint64_t offered;

	assert_true(rig_get_u64(rig, VHU_FE_GET_FEATURES) & VHU_BIT(VHU_F_PROTOCOL_FEATURES));
	offered = rig_get_u64(rig, VHU_FE_GET_PROTOCOL_FEATURES);
	rig->protocol_features = offered & ~rig->config.protocol_without;
	if (!rig->config.gpa_addresses)
		rig->protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES);
	init_u64(&message, VHU_FE_SET_PROTOCOL_FEATURES, rig->protocol_features);
	rig_send(rig, &message);
	message_init(&message, VHU_FE_SET_OWNER);
	rig_send(rig, &message);
}

void rig_open_back(struct rig *rig)
{
	struct message message;
	int pair[2];

	fd_close(&rig->back);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rig->back = pair[0];
	if (rig->config.back_buffer)
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &rig->config.back_buffer,
		           sizeof(rig->config.back_buffer));
	message_init(&message, VHU_FE_SET_BACKEND_REQ_FD);
	message.fds[0] = pair[1];
	message.n_fds = 1;
	assert_int_equal(rig_call(rig, &message), 0);
	message_close_fds(&message);
}

void rig_share(struct rig *rig)
{
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(rig->mem, &n);
	struct message message;

	message_init(&message, VHU_FE_SET_MEM_TABLE);
	message.header.size = (uint32_t)(offsetof(struct vhu_memory, regions) +
	                                 n * sizeof(struct vhu_memory_region));
	message.payload.memory.n = n;
	for (unsigned i = 0; i < n; i++) {
		message.payload.memory.regions[i] = (struct vhu_memory_region){
			.gpa = regions[i].gpa,
			.size = regions[i].size,
			.uva = rig_user_address(rig, regions[i].gpa),
		};
		message.fds[i] = regions[i].fd;
	}
	message.n_fds = n;
	assert_int_equal(rig_call(rig, &message), 0);
}

void rig_set_features(struct rig *rig, uint64_t features)
{
	features |= VHU_BIT(VHU_F_PROTOCOL_FEATURES) | VHU_BIT(VIRTIO_F_VERSION_1);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, features), 0);
	rig->features = features;
}

void rig_open(struct rig *rig, uint64_t features)
{
	rig_negotiate_protocol(rig);
	if (rig->protocol_features & VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ))
		rig_open_back(rig);
	rig_set_features(rig, features);
	rig_share(rig);
}
