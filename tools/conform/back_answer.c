/* SPDX-License-Identifier: BSD-3-Clause */
/* What a back-end that does everything right replies. */
#include <string.h>

#include "back.h"
#include "base/fd.h"

#define SLOTS 32u

bool back_wants_reply(const struct back *b, const struct message *message)
{
	return message->header.flags & VHU_FLAG_NEED_REPLY &&
	       b->told.protocol & VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK);
}

static void send_reply(struct back *b, const struct message *reply)
{
	if (b->recording)
		record_add(&b->record, MESSAGE_MAIN, true, reply);
	link_send(&b->main, reply);
}

void back_reply(struct back *b, const struct message *request, const void *payload, size_t size)
{
	struct message reply;

	message_init(&reply, request->header.request);
	reply.header.flags |= VHU_FLAG_REPLY;
	reply.header.size = (uint32_t)size;
	memcpy(&reply.payload, payload, size);
	if (b->holding && b->n_replies < BACK_HELD)
		b->replies[b->n_replies++] = reply;
	else
		send_reply(b, &reply);
}

void back_reply_u64(struct back *b, const struct message *request, uint64_t value)
{
	back_reply(b, request, &value, sizeof(value));
}

void back_hold(struct back *b)
{
	b->holding = true;
}

void back_let_go(struct back *b)
{
	b->holding = false;
	for (unsigned i = 0; i < b->n_replies; i++)
		send_reply(b, &b->replies[i]);
	b->n_replies = 0;
}

static void reply_config(struct back *b, const struct message *request)
{
	const struct vhu_config *asked = &request->payload.config;
	unsigned char space[VHU_CONFIG_MAX];
	struct vhu_config config = { asked->offset, asked->size, asked->flags, { 0 } };

	back_config(b, space, sizeof(space));
	if (asked->offset > sizeof(space) || asked->size > sizeof(space) - asked->offset) {
		back_reply(b, request, &config, 0);
		return;
	}
	memcpy(config.bytes, space + asked->offset, asked->size);
	back_reply(b, request, &config, VHU_CONFIG_HEADER + asked->size);
}

/* What is being served for the ring is given up by its owner, who compares stops. */
static void stop_ring(struct back *b, const struct message *request)
{
	struct vhu_vring_state state = request->payload.state;
	struct back_ring *ring = &b->rings[state.index % BACK_RINGS];

	b->stops++;
	fd_close(&ring->kick);
	fd_close(&ring->call);
	state.num = ring->next;
	if (!told_any_started(&b->told))
		held_clear(&b->held);
	back_reply(b, request, &state, sizeof(state));
}

static bool reply_always(struct back *b, const struct message *request)
{
	switch (request->header.request) {
	case VHU_FE_GET_FEATURES: back_reply_u64(b, request, b->told.offered); break;
	case VHU_FE_GET_PROTOCOL_FEATURES:
		back_reply_u64(b, request, b->told.offered_protocol);
		break;
	case VHU_FE_GET_QUEUE_NUM: back_reply_u64(b, request, BACK_QUEUES); break;
	case VHU_FE_GET_MAX_MEM_SLOTS: back_reply_u64(b, request, SLOTS); break;
	case VHU_FE_GET_STATUS: back_reply_u64(b, request, b->told.status); break;
	case VHU_FE_GET_CONFIG: reply_config(b, request); break;
	case VHU_FE_GET_VRING_BASE: stop_ring(b, request); break;
	default: return false;
	}
	return true;
}

static void set_fd(int *own, struct message *message)
{
	fd_close(own);
	*own = message_take_fd(message, 0);
}

static void take_fds(struct back *b, struct message *message)
{
	unsigned index = (unsigned)(message->payload.u64 & VHU_VRING_INDEX_MASK);
	struct back_ring *ring = &b->rings[index % BACK_RINGS];

	switch (message->header.request) {
	case VHU_FE_SET_VRING_KICK:
		set_fd(&ring->kick, message);
		back_ring_start(b, index % BACK_RINGS);
		break;
	case VHU_FE_SET_VRING_CALL: set_fd(&ring->call, message); break;
	case VHU_FE_SET_VRING_ERR: set_fd(&ring->err, message); break;
	case VHU_FE_SET_BACKEND_REQ_FD:
		set_fd(&b->back.fd, message);
		b->n_asked = b->n_answered = 0;
		break;
	default: break;
	}
}

/* The value of an acknowledgement. */
static uint64_t take_other(struct back *b, const struct message *message)
{
	switch (message->header.request) {
	case VHU_FE_IOTLB_MSG: return back_take_iotlb(b, &message->payload.iotlb);
	case VHU_FE_SET_VRING_ENABLE:
		b->rings[message->payload.state.index % BACK_RINGS].owed = true;
		return 0;
	case VHU_FE_SET_FEATURES:
		if (!told_any_started(&b->told))
			held_clear(&b->held);
		return 0;
	default: return message_spec(MESSAGE_MAIN, message->header.request) ? 0 : 1;
	}
}

void back_take(struct back *b, struct message *message)
{
	uint64_t value;

	if (b->recording)
		record_add(&b->record, MESSAGE_MAIN, false, message);
	back_map(b, message);
	told_take(&b->told, message);
	take_fds(b, message);
	value = take_other(b, message);
	if (b->reply_instead && b->reply_instead(b, message))
		return;
	if (!reply_always(b, message) && back_wants_reply(b, message))
		back_reply_u64(b, message, value);
}
