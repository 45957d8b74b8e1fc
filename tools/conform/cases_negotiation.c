/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: features and protocol features. */
#include "front.h"
#include "suite_backend.h"

#define REPLY_ACK   VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)
#define BACKEND_REQ VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ)
#define BIT_30      VHU_BIT(VHU_F_PROTOCOL_FEATURES)

static void features_are_stable(struct front *f)
{
	uint64_t first;

	front_connect(f);
	first = front_get_u64(f, VHU_FE_GET_FEATURES);
	EXPECT_EQUAL(f, front_get_u64(f, VHU_FE_GET_FEATURES), first, "features asked for again");
	EXPECT(f, first & VHU_BIT(VIRTIO_F_VERSION_1), "VIRTIO_F_VERSION_1 to be offered");
}

static void iommu_brings_what_it_needs(struct front *f)
{
	front_connect(f);
	f->offered = front_get_u64(f, VHU_FE_GET_FEATURES);
	EXPECT(f, f->offered & BIT_30, "protocol features to be offered together with bit 33");
	f->protocol = front_get_u64(f, VHU_FE_GET_PROTOCOL_FEATURES);
	EXPECT(f, f->protocol & REPLY_ACK, "REPLY_ACK to be offered together with bit 33");
	EXPECT(f, f->protocol & BACKEND_REQ, "BACKEND_REQ to be offered together with bit 33");
}

static void set_features_twice(struct front *f)
{
	front_open(f, &(struct front_setup){ .no_memory = true });
	front_set_features(f, 0);
	front_set_features(f, 0);
	expect_alive(f);
}

static unsigned unoffered_bit(uint64_t offered)
{
	for (unsigned bit = 63; bit > 41; bit--)
		if (!(offered & VHU_BIT(bit)))
			return bit;
	return 0;
}

static void unoffered_feature(struct front *f)
{
	struct message message;
	unsigned bit;

	front_open(f, &(struct front_setup){ .no_memory = true });
	bit = unoffered_bit(f->offered);
	if (!bit)
		trial_skip(f->trial, "every feature bit is offered");
	message = msg_u64(VHU_FE_SET_FEATURES, f->features | VHU_BIT(bit));
	expect_refused(f, &message);
	expect_serves_anew(f);
}

static const struct conform_case cases[] = {
	{
		.id = "negotiation.features-are-stable",
		.title = "GET_FEATURES is answered, the same each time, with VERSION_1",
		.rule = "vhost-user: GET_FEATURES",
		.level = LEVEL_MUST,
		.backend = features_are_stable,
	},
	{
		.id = "negotiation.iommu-brings-what-it-needs",
		.title = "bit 33 is offered with REPLY_ACK and BACKEND_REQ only",
		.rule = "M2",
		.level = LEVEL_CONTRACT,
		.needs.features = FRONT_IOMMU,
		.backend = iommu_brings_what_it_needs,
		.explain = "Misses travel on the back-channel and invalidations are worth nothing\n"
			   "unless they are acknowledged. QEMU refuses to start a device that has\n"
			   "the one without the others.",
	},
	{
		.id = "negotiation.set-features-twice",
		.title = "SET_FEATURES may be sent again",
		.rule = "vhost-user: SET_FEATURES; M1",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = set_features_twice,
	},
	{
		.id = "negotiation.unoffered-feature",
		.title = "a feature that is not offered is refused",
		.rule = "vhost-user: SET_FEATURES; virtio 1.2, 2.2",
		.level = LEVEL_SHOULD,
		.needs.protocol = REPLY_ACK,
		.backend = unoffered_feature,
	},
};

const struct conform_area area_negotiation = AREA("negotiation", "features and protocol features",
                                                  cases);
