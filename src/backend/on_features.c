/* SPDX-License-Identifier: BSD-3-Clause */
/* Negotiation, ownership, status and reset. Thread: the session's. */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>

#include "backend/session.h"
#include "base/log.h"

#define OFFERED_PROTOCOL                                                         \
	(VHU_BIT(VHU_PROTOCOL_F_MQ) | VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) |        \
	 VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ) | VHU_BIT(VHU_PROTOCOL_F_CONFIG) |  \
	 VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE) | VHU_BIT(VHU_PROTOCOL_F_STATUS) | \
	 VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES))

static int reply_u64(struct session *session, const struct message *message, uint64_t value)
{
	struct message reply;

	message_init(&reply, message->header.request);
	reply.payload.u64 = value;
	session_reply(session, &reply, sizeof(reply.payload.u64));
	return HANDLER_REPLIES;
}

int on_get_features(struct session *session, struct message *message)
{
	return reply_u64(session, message, session->features_offered);
}

int on_get_protocol_features(struct session *session, struct message *message)
{
	uint64_t offered = OFFERED_PROTOCOL;

	if (!session->config->ops->config_get)
		offered &= ~VHU_BIT(VHU_PROTOCOL_F_CONFIG);
	return reply_u64(session, message, offered);
}

int on_set_protocol_features(struct session *session, struct message *message)
{
	uint64_t wanted = message->payload.u64;

	if (wanted & ~OFFERED_PROTOCOL) {
		log_warning(session->subject, "protocol features 0x%" PRIx64 " were not offered",
		            wanted & ~OFFERED_PROTOCOL);
		return -EINVAL;
	}
	session->protocol_features = wanted;
	return 0;
}

/* F1: the mode goes, and with it all that the lanes and the cache know. */
static void mode_taken(struct session *session)
{
	pending_release(session->pending);
	operation_reply(session);
}

int on_set_features(struct session *session, struct message *message)
{
	uint64_t wanted = message->payload.u64;
	uint64_t changed = session->features ^ wanted;
	bool had_iova = session_uses_iova(session);

	if (wanted & ~session->features_offered) {
		log_warning(session->subject, "features 0x%" PRIx64 " were not offered",
		            wanted & ~session->features_offered);
		return -EINVAL;
	}
	/* Only how addresses are to be understood may change under a running ring (M1). */
	if (session->n_running && (changed & ~VHU_BIT(VIRTIO_F_ACCESS_PLATFORM))) {
		log_warning(session->subject, "features 0x%" PRIx64 " can't change while rings run",
		            changed & ~VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
		return -EBUSY;
	}
	session->features = wanted;
	if (session->config->ops->features_set)
		session->config->ops->features_set(session->config->dev, wanted);
	if (!(wanted & VHU_BIT(VHU_F_PROTOCOL_FEATURES)))
		for (unsigned i = 0; i < session->n_rings; i++)
			session->rings[i].enabled = true;
	if (had_iova != session_uses_iova(session))
		log_info(session->subject, "addresses are %s from now on",
		         had_iova ? "guest physical" : "I/O virtual, behind an IOMMU");
	if (!session->n_running) {
		session->views_set = false;
		operation_flush(session, operation_reply);
		return HANDLER_REPLIES;
	}
	if (had_iova == session_uses_iova(session))
		return 0;
	/* At once, and not a flush before: rings would ask for what they lost. */
	operation_empty(session);
	operation_view(session, session->table, mode_taken);
	return HANDLER_REPLIES;
}

int on_set_owner(struct session *session, struct message *message)
{
	(void)session;
	(void)message;
	return 0;
}

/* Deprecated; to ignore it is one of the two things the specification allows. */
int on_reset_owner(struct session *session, struct message *message)
{
	(void)session;
	(void)message;
	return 0;
}

int on_get_queue_num(struct session *session, struct message *message)
{
	return reply_u64(session, message, session->n_rings);
}

/* B1: recorded only. QEMU sends 0 before it asks where the rings stopped. */
int on_set_status(struct session *session, struct message *message)
{
	session->status = (uint8_t)message->payload.u64;
	return 0;
}

int on_get_status(struct session *session, struct message *message)
{
	return reply_u64(session, message, session->status);
}

/* Stops one ring after the other, then the device goes back to its start. */
static void reset_step(struct session *session)
{
	for (unsigned i = 0; i < session->n_rings; i++) {
		if (!session->rings[i].queue)
			continue;
		operation_stop(session, &session->rings[i], reset_step);
		return;
	}
	for (unsigned i = 0; i < session->n_rings; i++) {
		struct ring *ring = &session->rings[i];

		ring->kicked = false;
		ring->enabled = !(session->features & VHU_BIT(VHU_F_PROTOCOL_FEATURES));
		ring->config.avail_base = 0;
	}
	session->status = 0;
	if (session->config->ops->reset)
		session->config->ops->reset(session->config->dev);
	operation_reply(session);
}

int on_reset_device(struct session *session, struct message *message)
{
	(void)message;
	/*
	 * The stop of the last ring flushes (F1). Flushed before, a ring with work
	 * would ask for its pages anew, on its way out.
	 */
	if (session->n_running)
		reset_step(session);
	else
		operation_flush(session, reset_step);
	return HANDLER_REPLIES;
}
