/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a message may be acted on: what the table says of it, and the syntax of
 * its payload. Not whether the action makes sense: that memory can be mapped, a
 * ring be of a certain size, a range be translated is for the rooms that do it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire/feature.h"
#include "wire/message.h"

#define PERM_MASK 0x3u

/* Returns @error, so that a check ends with `return fault(...)`. */
__attribute__((format(printf, 3, 4))) static int fault(struct message_fault *why, int error,
                                                       const char *format, ...)
{
	va_list args;

	if (!why)
		return error;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return error;
}

static int check_flags(const char *name, uint32_t flags, bool is_reply, struct message_fault *why)
{
	if ((flags & VHU_FLAG_VERSION_MASK) != VHU_FLAG_VERSION)
		return fault(why, -EPROTO, "%s: protocol version %u, only 1 is known", name,
		             flags & VHU_FLAG_VERSION_MASK);
	if (flags & ~VHU_FLAG_MASK)
		return fault(why, -EPROTO, "%s: unknown header flags 0x%x", name,
		             flags & ~VHU_FLAG_MASK);
	if (!(flags & VHU_FLAG_REPLY) == is_reply)
		return fault(why, -EPROTO, "%s: a %s where a %s is due", name,
		             is_reply ? "request" : "reply", is_reply ? "reply" : "request");
	if (is_reply && flags & VHU_FLAG_NEED_REPLY)
		return fault(why, -EPROTO, "%s: a reply that asks for a reply", name);
	return 0;
}

int message_check_header(enum message_channel channel, const struct vhu_header *header,
                         bool is_reply, struct message_fault *why)
{
	const struct message_spec *spec = message_spec(channel, header->request);
	const char *name = spec ? spec->name : "unknown request";
	uint32_t size = header->size;
	uint32_t min, max;
	int ret = check_flags(name, header->flags, is_reply, why);

	if (ret)
		return ret;
	if (size > VHU_PAYLOAD_MAX)
		return fault(why, -EMSGSIZE,
		             "%s %u: payload of %u bytes, no message has more than %zu", name,
		             header->request, size, VHU_PAYLOAD_MAX);
	if (!spec)
		return fault(why, -EOPNOTSUPP, "unknown request %u", header->request);
	min = is_reply ? spec->reply_min : spec->size_min;
	max = is_reply ? spec->reply_max : spec->size_max;
	if (size < min || size > max)
		return fault(why, -EMSGSIZE, "%s%s: payload of %u bytes, it takes %u to %u", name,
		             is_reply ? " reply" : "", size, min, max);
	return 0;
}

static bool has_bit(uint64_t bits, unsigned bit)
{
	return bits & VHU_BIT(bit);
}

static int check_gate(const struct message_spec *spec, const struct message_context *context,
                      struct message_fault *why)
{
	uint64_t features = spec->by_offer ? context->features_offered : context->features;
	const char *name;

	if (spec->feature != MESSAGE_NO_BIT && !has_bit(features, spec->feature)) {
		name = feature_name(spec->feature);
		return fault(why, -EOPNOTSUPP, "%s: feature %s (bit %u) was not %s", spec->name,
		             name ? name : "of the device", spec->feature,
		             spec->by_offer ? "offered" : "negotiated");
	}
	if (spec->protocol != MESSAGE_NO_BIT &&
	    !has_bit(context->protocol_features, spec->protocol))
		return fault(why, -EOPNOTSUPP,
		             "%s: protocol feature %s (bit %u) was not negotiated", spec->name,
		             protocol_feature_name(spec->protocol), spec->protocol);
	return 0;
}

/* The NOFD bit is the same in every payload that has one: bit 8 of its first u64. */
static unsigned fds_wanted(enum message_fds rule, const struct message *message, bool log_shmfd)
{
	switch (rule) {
	case MESSAGE_FDS_NONE: return 0;
	case MESSAGE_FDS_ONE: return 1;
	case MESSAGE_FDS_OPTIONAL: return message->n_fds ? 1 : 0;
	case MESSAGE_FDS_PER_REGION: return message->payload.memory.n;
	case MESSAGE_FDS_VRING: return message->payload.u64 & VHU_VRING_NOFD ? 0 : 1;
	case MESSAGE_FDS_LOG: return log_shmfd ? 1 : 0;
	}
	return 0;
}

static int check_fds(const struct message_spec *spec, const struct message *message,
                     const struct message_context *context, struct message_fault *why)
{
	bool log_shmfd = has_bit(context->protocol_features, VHU_PROTOCOL_F_LOG_SHMFD);
	unsigned wanted = fds_wanted(spec->fds, message, log_shmfd);

	if (message->n_fds != wanted)
		return fault(why, -EBADF, "%s: came with %u file descriptors, takes %u", spec->name,
		             message->n_fds, wanted);
	if (message->n_fds && spec->channel == MESSAGE_BACK &&
	    !has_bit(context->protocol_features, VHU_PROTOCOL_F_BACKEND_SEND_FD))
		return fault(why, -EOPNOTSUPP,
		             "%s: file descriptors, but BACKEND_SEND_FD was not negotiated",
		             spec->name);
	return 0;
}

/* Counts within the payload against its size. */
static int check_size(const struct message_spec *spec, const struct message *message,
                      const struct message_context *context, struct message_fault *why)
{
	const union message_payload *payload = &message->payload;
	uint32_t size = message->header.size;
	uint64_t due = size;

	switch (spec->layout) {
	case MESSAGE_LAYOUT_MEMORY:
		if (payload->memory.n > VHU_MEMORY_REGIONS_MAX)
			return fault(why, -EINVAL, "%s: %u regions, at most %u fit", spec->name,
			             payload->memory.n, VHU_MEMORY_REGIONS_MAX);
		due = offsetof(struct vhu_memory, regions) +
		      payload->memory.n * sizeof(struct vhu_memory_region);
		break;
	case MESSAGE_LAYOUT_CONFIG:
		if (payload->config.size > VHU_CONFIG_MAX)
			return fault(why, -EINVAL, "%s: %u bytes of configuration, at most %u fit",
			             spec->name, payload->config.size, VHU_CONFIG_MAX);
		if (spec->reply == MESSAGE_REPLY_ACK)
			due = VHU_CONFIG_HEADER + payload->config.size;
		break;
	case MESSAGE_LAYOUT_LOG:
		if (has_bit(context->protocol_features, VHU_PROTOCOL_F_LOG_SHMFD))
			due = sizeof(struct vhu_log);
		break;
	default: break;
	}
	if (size != due)
		return fault(why, -EMSGSIZE, "%s: payload of %u bytes, its contents say %" PRIu64,
		             spec->name, size, due);
	return 0;
}

static int check_iotlb(const struct message_spec *spec, const struct vhu_iotlb *iotlb,
                       struct message_fault *why)
{
	bool legal = spec->channel == MESSAGE_MAIN ? iotlb->type == VHU_IOTLB_UPDATE ||
	                                                     iotlb->type == VHU_IOTLB_INVALIDATE
	                                           : iotlb->type == VHU_IOTLB_MISS ||
	                                                     iotlb->type == VHU_IOTLB_ACCESS_FAIL;

	if (!legal)
		return fault(why, -EINVAL, "%s: type %u is not one of this direction", spec->name,
		             iotlb->type);
	/* Rule U4: an INVALIDATE's permission is whatever lay on the sender's stack. */
	if (iotlb->type != VHU_IOTLB_INVALIDATE && iotlb->perm & ~PERM_MASK)
		return fault(why, -EINVAL, "%s: unknown permission bits 0x%x", spec->name,
		             iotlb->perm);
	return 0;
}

/* Fields that have few legal values, but for the ring index. */
static int check_fields(const struct message_spec *spec, const struct message *message,
                        struct message_fault *why)
{
	const union message_payload *payload = &message->payload;
	bool is_flag = spec->request == VHU_FE_SET_VRING_ENABLE ||
	               spec->request == VHU_FE_SET_VRING_ENDIAN;

	switch (spec->layout) {
	case MESSAGE_LAYOUT_IOTLB: return check_iotlb(spec, &payload->iotlb, why);
	case MESSAGE_LAYOUT_VRING_FD:
		if (payload->u64 & ~(VHU_VRING_INDEX_MASK | VHU_VRING_NOFD))
			return fault(why, -EINVAL, "%s: unknown bits in 0x%" PRIx64, spec->name,
			             payload->u64);
		return 0;
	case MESSAGE_LAYOUT_VRING_ADDR:
		if (payload->addr.flags & ~VHU_VRING_F_LOG)
			return fault(why, -EINVAL, "%s: unknown flags 0x%x", spec->name,
			             payload->addr.flags);
		return 0;
	case MESSAGE_LAYOUT_VRING_STATE:
		if (spec->channel == MESSAGE_MAIN && is_flag && payload->state.num > 1)
			return fault(why, -EINVAL, "%s: value %u, only 0 and 1 are known",
			             spec->name, payload->state.num);
		return 0;
	case MESSAGE_LAYOUT_CONFIG:
		if (spec->reply == MESSAGE_REPLY_ACK &&
		    payload->config.flags > VHU_CONFIG_MIGRATION)
			return fault(why, -EINVAL, "%s: unknown flags 0x%x", spec->name,
			             payload->config.flags);
		return 0;
	default: return 0;
	}
}

/* False if the payload names no ring. */
static bool ring_index(const struct message_spec *spec, const struct message *message,
                       uint32_t *ret)
{
	switch (spec->layout) {
	case MESSAGE_LAYOUT_VRING_STATE: *ret = message->payload.state.index; return true;
	case MESSAGE_LAYOUT_VRING_ADDR: *ret = message->payload.addr.index; return true;
	case MESSAGE_LAYOUT_VRING_FD:
		*ret = message->payload.u64 & VHU_VRING_INDEX_MASK;
		return true;
	case MESSAGE_LAYOUT_VRING_AREA:
		*ret = message->payload.area.index & VHU_VRING_INDEX_MASK;
		return true;
	default: return false;
	}
}

static int check_ring(const struct message_spec *spec, const struct message *message,
                      const struct message_context *context, struct message_fault *why)
{
	uint32_t index;

	if (!ring_index(spec, message, &index))
		return 0;
	if (index >= context->n_rings)
		return fault(why, -EINVAL, "%s: ring %u, there are %u", spec->name, index,
		             context->n_rings);
	if (spec->state == MESSAGE_RING_STOPPED && context->ring_runs(context->opaque, index))
		return fault(why, -EBUSY, "%s: ring %u is running", spec->name, index);
	return 0;
}

static int check_state(const struct message_spec *spec, const struct message_context *context,
                       struct message_fault *why)
{
	if (spec->state == MESSAGE_BACK_CHANNEL && !context->back_channel)
		return fault(why, -EBUSY, "%s: there is no back-channel", spec->name);
	if (spec->state != MESSAGE_ALL_STOPPED)
		return 0;
	for (unsigned i = 0; i < context->n_rings; i++)
		if (context->ring_runs(context->opaque, i))
			return fault(why, -EBUSY, "%s: ring %u is running", spec->name, i);
	return 0;
}

int message_check(const struct message *message, const struct message_context *context,
                  struct message_fault *why)
{
	const struct message_spec *spec;
	int ret = message_check_header(context->channel, &message->header, false, why);

	if (ret)
		return ret;
	spec = message_spec(context->channel, message->header.request);
	ret = check_gate(spec, context, why);
	if (!ret)
		ret = check_size(spec, message, context, why);
	if (!ret)
		ret = check_fds(spec, message, context, why);
	if (!ret)
		ret = check_fields(spec, message, why);
	if (!ret)
		ret = check_ring(spec, message, context, why);
	if (!ret)
		ret = check_state(spec, context, why);
	return ret;
}

/* An empty reply is how GET_CONFIG fails; any other holds the bytes it announces. */
static int check_config_reply(const struct message *reply, struct message_fault *why)
{
	uint32_t size = reply->header.size;

	if (size == 0)
		return 0;
	if (size < VHU_CONFIG_HEADER || size - VHU_CONFIG_HEADER != reply->payload.config.size)
		return fault(why, -EMSGSIZE,
		             "GET_CONFIG reply: payload of %u bytes does not fit its contents",
		             size);
	return 0;
}

int message_check_reply(const struct message *reply, enum message_channel channel,
                        const struct vhu_header *request, struct message_fault *why)
{
	const struct message_spec *spec = message_spec(channel, request->request);
	unsigned wanted;
	int ret;

	if (reply->header.request != request->request)
		return fault(why, -EPROTO, "reply to %s (%u) where %s (%u) awaits one",
		             message_name(channel, reply->header.request), reply->header.request,
		             message_name(channel, request->request), request->request);
	ret = message_check_header(channel, &reply->header, true, why);
	if (ret)
		return ret;
	wanted = fds_wanted(spec->reply_fds, reply, false);
	if (reply->n_fds != wanted)
		return fault(why, -EBADF, "%s reply: came with %u file descriptors, takes %u",
		             spec->name, reply->n_fds, wanted);
	if (spec->reply_layout == MESSAGE_LAYOUT_CONFIG)
		return check_config_reply(reply, why);
	return 0;
}
