/* SPDX-License-Identifier: BSD-3-Clause */
/* Describing, starting and stopping rings. Thread: the session's. */
#include <errno.h>

#include "backend/session.h"
#include "base/fd.h"
#include "base/log.h"

/* Indices have been checked against the number of rings by the table. */
static struct ring *ring_of_state(struct session *session, const struct message *message)
{
	return &session->rings[message->payload.state.index];
}

static struct ring *ring_of_fd(struct session *session, const struct message *message)
{
	return &session->rings[message->payload.u64 & VHU_VRING_INDEX_MASK];
}

int on_set_vring_num(struct session *session, struct message *message)
{
	struct ring *ring = ring_of_state(session, message);
	uint32_t num = message->payload.state.num;

	if (!num || num > VRING_NUM_MAX || (num & (num - 1))) {
		log_warning(session->subject, "ring %u: size %u is not a power of two up to %u",
		            message->payload.state.index, num, VRING_NUM_MAX);
		return -EINVAL;
	}
	ring->config.num = (uint16_t)num;
	/* The parts of a ring come in any order. */
	operation_start(session, ring, operation_reply);
	return HANDLER_REPLIES;
}

int on_set_vring_base(struct session *session, struct message *message)
{
	if (message->payload.state.num > UINT16_MAX) {
		log_warning(session->subject, "ring %u: base 0x%x is not a split ring's index",
		            message->payload.state.index, message->payload.state.num);
		return -EINVAL;
	}
	ring_of_state(session, message)->config.avail_base = (uint16_t)message->payload.state.num;
	return 0;
}

/* Changes something of a ring that runs. */
static int set_running(struct session *session, struct ring *ring, struct lane_command *command,
                       void (*then)(struct session *session))
{
	command->order = LANE_SET;
	command->queue = ring->queue;
	session->operation.ring = ring;
	operation_run(session, session_lane(session, ring->queue->index), command, then);
	return HANDLER_REPLIES;
}

static bool is_at(const struct ring *ring, const struct lane_command *command)
{
	return ring->config.desc == command->desc && ring->config.avail == command->avail &&
	       ring->config.used == command->used;
}

static void adopt_addresses(struct ring *ring, uint64_t desc, uint64_t avail, uint64_t used)
{
	ring->config.desc = desc;
	ring->config.avail = avail;
	ring->config.used = used;
	ring->have_addresses = true;
}

/* What the worker has refused is not remembered for the next start either. */
static void addresses_set(struct session *session)
{
	struct ring *ring = session->operation.ring;
	struct lane *lane = session_lane(session, ring->queue->index);
	const struct lane_command *command = &session->operation.commands[lane - session->lanes];

	if (!session->operation.result && !is_at(ring, command)) {
		adopt_addresses(ring, command->desc, command->avail, command->used);
		misses_moved(session, ring);
	}
	operation_reply(session);
}

int on_set_vring_addr(struct session *session, struct message *message)
{
	const struct vhu_vring_addr *addr = &message->payload.addr;
	struct ring *ring = &session->rings[addr->index];

	if (ring->queue) {
		struct lane_command command = {
			.set = LANE_SET_ADDRESSES,
			.desc = addr->desc,
			.avail = addr->avail,
			.used = addr->used,
		};

		return set_running(session, ring, &command, addresses_set);
	}
	adopt_addresses(ring, addr->desc, addr->avail, addr->used);
	operation_start(session, ring, operation_reply);
	return HANDLER_REPLIES;
}

static void base_reply(struct session *session, unsigned index)
{
	struct message reply;

	message_init(&reply, VHU_FE_GET_VRING_BASE);
	reply.payload.state.index = index;
	reply.payload.state.num = session->rings[index].config.avail_base;
	session->rings[index].kicked = false;
	session_reply(session, &reply, sizeof(reply.payload.state));
}

static void base_stopped(struct session *session)
{
	base_reply(session, session->operation.base_index);
	session_finish(session, 0);
}

int on_get_vring_base(struct session *session, struct message *message)
{
	struct ring *ring = ring_of_state(session, message);

	session->operation.base_index = message->payload.state.index;
	/* A stopped ring takes no operation, and so none is finished. */
	if (ring->queue)
		operation_stop(session, ring, base_stopped);
	else
		base_reply(session, message->payload.state.index);
	return HANDLER_REPLIES;
}

static int event_fd_init(struct session *session, const struct message *message, int fd)
{
	if (!fd_is_anonymous(fd)) {
		log_warning(
			session->subject,
			"ring %u: what is no eventfd can't be signalled safely; send one with %s",
			(unsigned)(message->payload.u64 & VHU_VRING_INDEX_MASK),
			message_name(MESSAGE_MAIN, message->header.request));
		return -EINVAL;
	}
	/* A signal must never wait for whoever holds the other end. */
	return fd_set_nonblocking(fd);
}

/* The fd of a SET_VRING_KICK, CALL or ERR; -1 for the bit that says there is none. */
static int take_fd(struct session *session, struct message *message, int *ret)
{
	int fd = message_take_fd(message, 0), error;

	if (fd >= 0) {
		error = event_fd_init(session, message, fd);
		if (error) {
			fd_close(&fd);
			return error;
		}
	}
	*ret = fd;
	return 0;
}

static int set_fd(struct session *session, struct message *message, enum lane_set set)
{
	struct ring *ring = ring_of_fd(session, message);
	struct lane_command command = { .set = set };
	int *mine = set == LANE_SET_CALL ? &ring->call_fd : &ring->err_fd;
	int error = take_fd(session, message, &command.fd);

	if (error)
		return error;
	if (ring->queue)
		return set_running(session, ring, &command, operation_reply);
	fd_close(mine);
	*mine = command.fd;
	return 0;
}

int on_set_vring_call(struct session *session, struct message *message)
{
	return set_fd(session, message, LANE_SET_CALL);
}

int on_set_vring_err(struct session *session, struct message *message)
{
	return set_fd(session, message, LANE_SET_ERR);
}

int on_set_vring_kick(struct session *session, struct message *message)
{
	struct ring *ring = ring_of_fd(session, message);
	struct lane_command command = { .set = LANE_SET_KICK };
	int error;

	if (message->payload.u64 & VHU_VRING_NOFD) {
		log_warning(session->subject,
		            "ring %u: without a kick fd it would have to be polled, which is "
		            "not supported; send an eventfd with SET_VRING_KICK",
		            (unsigned)(message->payload.u64 & VHU_VRING_INDEX_MASK));
		return -EOPNOTSUPP;
	}
	error = take_fd(session, message, &command.fd);
	if (error)
		return error;
	if (ring->queue)
		return set_running(session, ring, &command, operation_reply);
	fd_close(&ring->kick_fd);
	ring->kick_fd = command.fd;
	ring->kicked = true;
	operation_start(session, ring, operation_reply);
	return HANDLER_REPLIES;
}

int on_set_vring_enable(struct session *session, struct message *message)
{
	struct ring *ring = ring_of_state(session, message);
	struct lane_command command = { .set = LANE_SET_ENABLE };

	if (message->payload.state.num > 1) {
		log_warning(session->subject, "ring %u: enable is 0 or 1, not %u",
		            message->payload.state.index, message->payload.state.num);
		return -EINVAL;
	}
	command.enable = message->payload.state.num;
	/* M2: translations could never be asked for. */
	if (command.enable && session_uses_iova(session) && !session->back)
		return session_refuse(session, -EINVAL,
		                      "VIRTIO_F_ACCESS_PLATFORM was negotiated, and there is "
		                      "no back-channel to ask for translations: send "
		                      "SET_BACKEND_REQ_FD before SET_VRING_ENABLE");
	ring->enabled = command.enable;
	if (ring->queue)
		return set_running(session, ring, &command, operation_reply);
	operation_start(session, ring, operation_reply);
	return HANDLER_REPLIES;
}
