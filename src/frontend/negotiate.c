/* SPDX-License-Identifier: BSD-3-Clause */
/* From a connection to features that both sides know. */
#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>

#include "base/export.h"
#include "frontend/frontend.h"

#define SLOTS_MAX 509u

#define PROTOCOL_WANTED                                                                       \
	(VHU_BIT(VHU_PROTOCOL_F_MQ) | VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) |                     \
	 VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ) | VHU_BIT(VHU_PROTOCOL_F_CONFIG) |               \
	 VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE) | \
	 VHU_BIT(VHU_PROTOCOL_F_STATUS))

/* Misses can't be answered without these (rule M2). */
#define PROTOCOL_IOTLB (VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) | VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ))

#define PLATFORM       VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)

/*
 * What no driver should choose here: the protocol's own bits, and packed rings, whose
 * state does not go into a struct vhu_vring_setup.
 */
#define NOT_FOR_DRIVERS                                                \
	(VHU_BIT(VHU_F_PROTOCOL_FEATURES) | VHU_BIT(VHOST_F_LOG_ALL) | \
	 VHU_BIT(VIRTIO_F_RING_PACKED))

/* The choice can't be acknowledged: REPLY_ACK is part of it. */
static int choose_protocol(struct vhu_frontend *fe)
{
	uint64_t offered, chosen;
	int error;

	fe->protocol_features = 0;
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

	fe->queues = fe->slots = 0;
	if (frontend_has_protocol(fe, VHU_PROTOCOL_F_MQ))
		error = exchange_get_u64(fe, VHU_FE_GET_QUEUE_NUM, &fe->queues);
	if (!error && frontend_has_protocol(fe, VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
		error = exchange_get_u64(fe, VHU_FE_GET_MAX_MEM_SLOTS, &fe->slots);
	if (fe->slots > SLOTS_MAX)
		fe->slots = SLOTS_MAX;
	if (fe->queues > RINGS_MAX)
		fe->queues = RINGS_MAX;
	return error;
}

int negotiate(struct vhu_frontend *fe)
{
	struct message owner;
	int error;

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
	return error;
}

VHU_EXPORT int vhu_frontend_negotiate(struct vhu_frontend *fe)
{
	int error = frontend_enter(fe);

	if (error)
		return error;
	if (fe->negotiated)
		return frontend_leave(
			fe, frontend_fault(fe, -EISCONN, "negotiated already, or just about to"));
	fe->negotiated = true;
	error = negotiate(fe);
	fe->negotiated = !error;
	return frontend_leave(fe, error);
}

uint64_t negotiate_offer(const struct vhu_frontend *fe)
{
	uint64_t features = fe->features_offered & ~NOT_FOR_DRIVERS;

	if (!fe->config.iommu || (fe->protocol_features & PROTOCOL_IOTLB) != PROTOCOL_IOTLB)
		features &= ~PLATFORM;
	return features;
}

/* Another thread may reconnect. */
VHU_EXPORT uint64_t vhu_frontend_features_offered(const struct vhu_frontend *fe)
{
	uint64_t features;

	pthread_mutex_lock(frontend_lock_of(fe));
	features = negotiate_offer(fe);
	pthread_mutex_unlock(frontend_lock_of(fe));
	return features;
}

VHU_EXPORT uint64_t vhu_frontend_protocol_features(const struct vhu_frontend *fe)
{
	uint64_t features;

	pthread_mutex_lock(frontend_lock_of(fe));
	features = fe->protocol_features;
	pthread_mutex_unlock(frontend_lock_of(fe));
	return features;
}

VHU_EXPORT unsigned vhu_frontend_queues(const struct vhu_frontend *fe)
{
	unsigned queues;

	pthread_mutex_lock(frontend_lock_of(fe));
	queues = (unsigned)fe->queues;
	pthread_mutex_unlock(frontend_lock_of(fe));
	return queues;
}

/* Who has to do something about it is told what. */
static const char *why_no_platform(const struct vhu_frontend *fe)
{
	if (!(fe->features_offered & PLATFORM))
		return "the back-end does not offer ACCESS_PLATFORM; give it an option for it, or "
		       "do without";
	if (!fe->config.iommu)
		return "ACCESS_PLATFORM needs an IOMMU, in struct vhu_frontend_config";
	if (!frontend_has_protocol(fe, VHU_PROTOCOL_F_REPLY_ACK))
		return "ACCESS_PLATFORM needs the protocol feature REPLY_ACK, which the back-end "
		       "does not offer";
	return "ACCESS_PLATFORM needs a back-channel, and the back-end does not offer the protocol "
	       "feature BACKEND_REQ";
}

static int check_features(struct vhu_frontend *fe, uint64_t features)
{
	const uint64_t missing = features & ~negotiate_offer(fe);

	if (missing & PLATFORM)
		return frontend_fault(fe, -EOPNOTSUPP, "SET_FEATURES: %s", why_no_platform(fe));
	if (missing)
		return frontend_fault(fe, -EOPNOTSUPP, "SET_FEATURES: not on offer: %#llx",
		                      (unsigned long long)missing);
	return 0;
}

int negotiate_features(struct vhu_frontend *fe, uint64_t features)
{
	const uint64_t before = fe->features;
	int error = check_features(fe, features);

	if (error)
		return error;
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

VHU_EXPORT int vhu_frontend_set_features(struct vhu_frontend *fe, uint64_t features)
{
	int error = frontend_enter(fe);

	return error ? error : frontend_leave(fe, negotiate_features(fe, features));
}
