/* SPDX-License-Identifier: BSD-3-Clause */
#include "frontend.h"

#include <linux/virtio_config.h>
#include <stdio.h>
#include <sys/socket.h>

#define FEATURES                                                          \
	(VHU_BIT(VHU_F_PROTOCOL_FEATURES) | VHU_BIT(VIRTIO_F_VERSION_1) | \
	 VHU_BIT(VIRTIO_F_ACCESS_PLATFORM) | VHU_BIT(28) | VHU_BIT(29))

static void show(const struct play *play, const struct message *message,
                 enum message_channel channel, const char *who)
{
	char text[400];

	if (!play->loud)
		return;
	message_describe(message, channel, message->header.flags & VHU_FLAG_REPLY, text,
	                 sizeof(text));
	fprintf(stderr, "%s: %s\n", who, text);
}

static bool ring_runs(const void *opaque, unsigned index)
{
	return false;
}

/* Whatever is said is a message of the table. */
static void expect_legal(const struct message *message)
{
	const struct message_context context = {
		.channel = MESSAGE_MAIN,
		.features = UINT64_MAX,
		.features_offered = UINT64_MAX,
		.protocol_features = UINT64_MAX,
		.n_rings = 256,
		.back_channel = true,
		.ring_runs = ring_runs,
	};
	struct message_fault why;

	if (message_check(message, &context, &why))
		fail_msg("%s", why.text);
}

/* Units of a range; the front-end never cuts one. */
static struct unit *units_of(struct play *play, uint64_t iova, uint64_t size, unsigned *ret_n)
{
	assert_true(iova % UNIT == 0 && size % UNIT == 0 && size);
	assert_true(iova < UNITS * UNIT && size <= UNITS * UNIT - iova);
	*ret_n = (unsigned)(size / UNIT);
	return &play->units[iova / UNIT];
}

/* E1: what is given is what is mapped, or what an unmap is just taking back. */
static void hear_update(struct play *play, const struct vhu_iotlb *iotlb)
{
	unsigned n;
	struct unit *units = units_of(play, iotlb->iova, iotlb->size, &n);

	for (unsigned i = 0; i < n; i++) {
		struct unit *unit = &units[i];

		assert_true(unit->state != UNIT_FREE);
		assert_int_equal(iotlb->uaddr + i * UNIT, unit->uva);
		assert_int_equal(iotlb->perm, unit->perm);
		unit->held = true;
		unit->ever |= unit->perm;
	}
}

static void hear_invalidate(struct play *play, const struct vhu_iotlb *iotlb)
{
	unsigned n;
	struct unit *units = units_of(play, iotlb->iova, iotlb->size, &n);

	while (n)
		units[--n].held = false;
}

static struct brief brief_of(const struct message *message)
{
	struct brief brief = { .header = message->header };

	memcpy(brief.payload, &message->payload, sizeof(brief.payload));
	return brief;
}

static void hear(struct play *play, struct message *message)
{
	const struct message_spec *spec;

	expect_legal(message);
	show(play, message, MESSAGE_MAIN, "front-end");
	spec = message_spec(MESSAGE_MAIN, message->header.request);
	if (message->header.request == VHU_FE_SET_BACKEND_REQ_FD) {
		end_close(&play->back);
		end_take(&play->back, message_take_fd(message, 0));
		play->n_requests = 0;
	}
	if (message->header.request == VHU_FE_IOTLB_MSG) {
		if (message->payload.iotlb.type == VHU_IOTLB_UPDATE)
			hear_update(play, &message->payload.iotlb);
		else
			hear_invalidate(play, &message->payload.iotlb);
	}
	/* F1: who understands addresses otherwise drops what it was given. */
	if (message->header.request == VHU_FE_SET_FEATURES &&
	    !(message->payload.u64 & VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)))
		for (unsigned i = 0; i < UNITS; i++)
			play->units[i].held = false;
	message_close_fds(message);
	if (spec->reply == MESSAGE_REPLY_ALWAYS || message->header.flags & VHU_FLAG_NEED_REPLY) {
		assert_true(play->n_asked < ASKED_MAX);
		play->asked[play->n_asked++] = brief_of(message);
	}
}

/* E1: who is told that he was given it has been given it. */
static void judge_answer(struct play *play, const struct brief *request, uint64_t value)
{
	struct vhu_iotlb iotlb;

	memcpy(&iotlb, request->payload, sizeof(iotlb));
	if (value || request->header.request != VHU_BE_IOTLB_MSG || iotlb.type != VHU_IOTLB_MISS)
		return;
	assert_true(iotlb.iova < UNITS * UNIT);
	assert_int_equal(play->units[iotlb.iova / UNIT].ever & iotlb.perm, iotlb.perm);
}

/* Replies come in the order of the requests. */
static void hear_answer(struct play *play, const struct message *reply)
{
	struct message_fault why;

	show(play, reply, MESSAGE_BACK, "front-end");
	assert_true(play->n_requests > 0 || play->garbled);
	if (play->garbled || !play->n_requests)
		return;
	assert_int_equal(reply->header.request, play->requests[0].header.request);
	if (message_spec(MESSAGE_BACK, reply->header.request) &&
	    message_check_reply(reply, MESSAGE_BACK, &play->requests[0].header, &why))
		fail_msg("%s", why.text);
	judge_answer(play, &play->requests[0], reply->payload.u64);
	play->n_requests--;
	memmove(play->requests, play->requests + 1, play->n_requests * sizeof(play->requests[0]));
}

void peer_hear(struct play *play)
{
	struct message message;
	int got;

	/* In this order: what an answer speaks of was said before it. */
	while ((got = end_recv(&play->main, &message)) == 1)
		hear(play, &message);
	if (got < 0)
		end_close(&play->main);
	while ((got = end_recv(&play->back, &message)) == 1) {
		hear_answer(play, &message);
		message_close_fds(&message);
	}
	if (got < 0)
		end_close(&play->back);
}

void peer_expect_not_held(struct play *play, unsigned first, unsigned n)
{
	peer_hear(play);
	for (unsigned i = first; i < first + n; i++)
		assert_false(play->units[i].held);
}

static uint64_t proper_value(const struct brief *request)
{
	switch (request->header.request) {
	case VHU_FE_GET_FEATURES: return FEATURES;
	case VHU_FE_GET_PROTOCOL_FEATURES: return UINT64_MAX;
	case VHU_FE_GET_QUEUE_NUM: return QUEUES;
	case VHU_FE_GET_MAX_MEM_SLOTS: return 3;
	default: return 0;
	}
}

/* The oldest request is done with, whatever is made of it. */
static bool take_oldest(struct play *play, struct brief *ret)
{
	if (!play->n_asked)
		return false;
	*ret = play->asked[0];
	play->n_asked--;
	memmove(play->asked, play->asked + 1, play->n_asked * sizeof(play->asked[0]));
	return true;
}

static bool answer(struct play *play, bool by_tape, uint64_t value)
{
	const struct message_spec *spec;
	struct message reply;
	struct brief request;

	if (!take_oldest(play, &request))
		return false;
	spec = message_spec(MESSAGE_MAIN, request.header.request);
	message_init(&reply, request.header.request);
	reply.header.flags |= VHU_FLAG_REPLY;
	if (spec->reply_layout == MESSAGE_LAYOUT_CONFIG ||
	    spec->reply_layout == MESSAGE_LAYOUT_VRING_STATE) {
		memcpy(&reply.payload, request.payload, sizeof(request.payload));
		reply.header.size = request.header.size;
	} else {
		reply.payload.u64 = by_tape ? value : proper_value(&request);
		reply.header.size = sizeof(reply.payload.u64);
	}
	show(play, &reply, MESSAGE_MAIN, "back-end");
	end_send(&play->main, &reply);
	return true;
}

/* A reply that is wrong in one way or more. */
static void answer_wrongly(struct play *play)
{
	unsigned what = input_u8(play->input);
	struct message reply;
	struct brief request;

	message_init(&reply, 1 + input_below(play->input, VHU_FE_END));
	if (take_oldest(play, &request) && what & 1)
		reply.header.request = request.header.request;
	reply.header.flags |= VHU_FLAG_REPLY;
	if (what & 2)
		reply.header.flags = input_u8(play->input);
	reply.header.size = what & 4 ? input_u16(play->input) : 8;
	input_bytes(play->input, &reply.payload, what & 8 ? 64 : 8);
	if (what & 16) {
		reply.n_fds = 1;
		reply.fds[0] = play->main.fd;
	}
	if (reply.header.size > VHU_PAYLOAD_MAX)
		play->garbled = true;
	show(play, &reply, MESSAGE_MAIN, "back-end");
	end_send(&play->main, &reply);
}

static void ask(struct play *play, struct message *message)
{
	show(play, message, MESSAGE_BACK, "back-end");
	if (!end_send(&play->back, message) || play->garbled)
		return;
	if (message->header.flags & VHU_FLAG_REPLY)
		play->garbled = true;
	else if (message->header.flags & VHU_FLAG_NEED_REPLY && play->n_requests < REQUESTS_MAX)
		play->requests[play->n_requests++] = brief_of(message);
}

static void miss(struct play *play, uint8_t type)
{
	unsigned what = input_u8(play->input), how = input_u8(play->input);
	struct message message;

	message_init(&message, VHU_BE_IOTLB_MSG);
	if (!(how & 128))
		message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb.type = type;
	message.payload.iotlb.iova = what * (UNIT / 2);
	message.payload.iotlb.perm = how % 4;
	message.payload.iotlb.size = how / 4 % 8 * UNIT;
	ask(play, &message);
}

/* Any request of the table, with any payload and no fd or one. */
static void ask_anything(struct play *play)
{
	unsigned what = input_u8(play->input);
	struct message message;
	const struct message_spec *spec;

	message_init(&message, 1 + input_below(play->input, VHU_BE_END));
	spec = message_spec(MESSAGE_BACK, message.header.request);
	message.header.flags |= what & 1 ? VHU_FLAG_NEED_REPLY : 0;
	message.header.flags |= what & 2 ? VHU_FLAG_REPLY : 0;
	message.header.size = what & 4 ? input_u16(play->input) : spec ? spec->size_min : 8;
	input_bytes(play->input, &message.payload, what & 8 ? 40 : 4);
	if (what & 16) {
		message.n_fds = 1;
		message.fds[0] = play->back.fd;
	}
	if (message.header.size > VHU_PAYLOAD_MAX)
		play->garbled = true;
	if (play->back.fd >= 0)
		ask(play, &message);
}

static void send_raw(struct play *play, struct end *end)
{
	unsigned char bytes[40];
	unsigned n = 1 + input_below(play->input, sizeof(bytes));

	input_bytes(play->input, bytes, n);
	end_send_bytes(end, bytes, n);
	play->garbled = true;
}

static bool answer_all(struct play *play)
{
	bool any = false;

	while (answer(play, false, 0))
		any = true;
	return any;
}

bool peer_step(struct play *play)
{
	peer_hear(play);
	if (input_is_over(play->input))
		return play->polite && answer_all(play);
	switch (input_below(play->input, 16)) {
	case 0:
	case 1: return answer(play, false, 0);
	case 2: return answer_all(play);
	case 3: return answer(play, true, 1);
	case 4: return answer(play, true, input_u64(play->input));
	case 5: answer_wrongly(play); break;
	case 6:
	case 7:
	case 8: miss(play, VHU_IOTLB_MISS); break;
	case 9: miss(play, (uint8_t)input_below(play->input, 6)); break;
	case 10: ask_anything(play); break;
	case 11: send_raw(play, &play->main); break;
	case 12: send_raw(play, &play->back); break;
	case 13: end_close(&play->back); break;
	case 14: end_close(&play->main); break;
	default: return false;
	}
	return true;
}
