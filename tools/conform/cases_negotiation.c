/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: features and protocol features. */
#include "io.h"
#include "suite_backend.h"

#define REPLY_ACK   VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)
#define BACKEND_REQ VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ)
#define INBAND      VHU_BIT(VHU_PROTOCOL_F_INBAND_NOTIFICATIONS)
#define BIT_30      VHU_BIT(VHU_F_PROTOCOL_FEATURES)

static void features_are_stable(struct front *f)
{
	uint64_t first;

	front_connect(f);
	first = front_get_u64(f, VHU_FE_GET_FEATURES);
	EXPECT_EQUAL(f, front_get_u64(f, VHU_FE_GET_FEATURES), first, "features asked for again");
}

static void features_are_an_offer(struct front *f)
{
	uint64_t offered;

	front_connect(f);
	offered = front_get_u64(f, VHU_FE_GET_FEATURES);
	front_send_u64(f, VHU_FE_SET_FEATURES, offered & (BIT_30 | VHU_BIT(VIRTIO_F_VERSION_1)));
	EXPECT_EQUAL(f, front_get_u64(f, VHU_FE_GET_FEATURES), offered,
	             "features asked for after SET_FEATURES has taken a few");
}

static void version_1(struct front *f)
{
	front_connect(f);
	EXPECT(f, front_get_u64(f, VHU_FE_GET_FEATURES) & VHU_BIT(VIRTIO_F_VERSION_1),
	       "VIRTIO_F_VERSION_1 to be offered: it is not");
}

static void protocol_features_come_first(struct front *f)
{
	uint64_t first;

	front_connect(f);
	first = front_get_u64(f, VHU_FE_GET_PROTOCOL_FEATURES);
	EXPECT_EQUAL(f, front_get_u64(f, VHU_FE_GET_PROTOCOL_FEATURES), first,
	             "protocol features asked for again");
}

static void no_protocol_features(struct front *f)
{
	front_open(f, &(struct front_setup){ .protocol_without = UINT64_MAX });
	io_start(f);
	io_expect_works(f);
	io_stop(f);
}

/* As front_open() does it, with neither bit 30 nor what follows from it. */
static void no_bit_30(struct front *f)
{
	struct message owner = msg_empty(VHU_FE_SET_OWNER), table;

	front_open(f, &(struct front_setup){ .no_memory = true });
	front_connect(f);
	front_get_u64(f, VHU_FE_GET_FEATURES);
	front_send(f, &owner);
	f->features = VHU_BIT(VIRTIO_F_VERSION_1);
	front_send_u64(f, VHU_FE_SET_FEATURES, f->features);
	table = front_table(f, f->ram.n);
	front_send(f, &table);
	NOTE(f, "rings are started and never enabled");
	io_start(f);
	io_expect_works(f);
}

static void iommu_brings_what_it_needs(struct front *f)
{
	uint64_t protocol;

	front_connect(f);
	EXPECT(f, front_get_u64(f, VHU_FE_GET_FEATURES) & BIT_30,
	       "protocol features to be offered together with bit 33: they are not");
	protocol = front_get_u64(f, VHU_FE_GET_PROTOCOL_FEATURES);
	EXPECT(f, protocol & REPLY_ACK, "REPLY_ACK to be offered with bit 33: it is not");
	EXPECT(f, protocol & BACKEND_REQ, "BACKEND_REQ to be offered with bit 33: it is not");
}

static void iommu_without_back_channel(struct front *f)
{
	struct message enable = msg_state(VHU_FE_SET_VRING_ENABLE, 0, 1);

	front_open(f, &(struct front_setup){ .features = FRONT_IOMMU, .no_back = true });
	front_ring_start(f, 0, &(struct ring_setup){ .disabled = true });
	expect_refused(f, &enable);
}

static void set_features_twice(struct front *f)
{
	front_open(f, &(struct front_setup){ .no_memory = true });
	front_set_features(f, 0);
	front_set_features(f, 0);
	expect_alive(f);
}

static void live_features(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	io_expect_works(f);
	front_set_features(f, 0);
	io_expect_works(f);
	EXPECT_EQUAL(f, front_ring_stop(f, io_out_ring(f)),
	             ring_used_index(&f->rings[io_out_ring(f)]),
	             "base behind what was used before and after");
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
}

static void unoffered_protocol_feature(struct front *f)
{
	struct message message;

	front_open(f, &(struct front_setup){ .no_memory = true });
	message = msg_u64(VHU_FE_SET_PROTOCOL_FEATURES, f->protocol | VHU_BIT(63));
	expect_refused(f, &message);
}

static void inband_alone(struct front *f)
{
	front_connect(f);
	front_get_u64(f, VHU_FE_GET_FEATURES);
	front_send_u64(f, VHU_FE_SET_PROTOCOL_FEATURES, INBAND);
	expect_closed(f);
}

static void queue_num(struct front *f)
{
	uint64_t n;

	front_open(f, &(struct front_setup){ .no_memory = true });
	n = front_get_u64(f, VHU_FE_GET_QUEUE_NUM);
	EXPECT(f, n >= 1 && n <= 32768, "a number of queues from 1 to 32768: it is %llu",
	       (unsigned long long)n);
}

static void every_queue_is_there(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	for (unsigned i = 0; i < f->subject->queues && i < 256; i++) {
		struct message message = msg_state(VHU_FE_SET_VRING_NUM, i, 64);

		expect_ack(f, &message);
	}
}

static void status_is_kept(struct front *f)
{
	struct message message = msg_u64(VHU_FE_SET_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);

	front_open(f, &(struct front_setup){ .no_memory = true, .no_status = true });
	expect_ack(f, &message);
	EXPECT_EQUAL(f, front_get_u64(f, VHU_FE_GET_STATUS), VIRTIO_CONFIG_S_ACKNOWLEDGE, "status");
	message.payload.u64 = 0;
	expect_ack(f, &message);
	EXPECT_EQUAL(f, front_get_u64(f, VHU_FE_GET_STATUS), 0, "status after a reset");
}

static void back_channel_is_replaced(struct front *f)
{
	front_open(f, &(struct front_setup){ .no_memory = true });
	for (unsigned i = 0; i < 3; i++)
		front_open_back(f, 0);
	expect_alive(f);
}

static void disk_has_a_configuration(struct front *f)
{
	front_connect(f);
	EXPECT(f, front_get_u64(f, VHU_FE_GET_FEATURES) & BIT_30, "bit 30: it is not offered");
	EXPECT(f, front_get_u64(f, VHU_FE_GET_PROTOCOL_FEATURES) & VHU_BIT(VHU_PROTOCOL_F_CONFIG),
	       "PROTOCOL_F_CONFIG to be offered by a disk: it is not");
}

static const struct conform_case cases[] = {
	{
		.id = "negotiation.features-are-stable",
		.title = "GET_FEATURES is answered, the same each time",
		.rule = "vhost-user: GET_FEATURES",
		.level = LEVEL_MUST,
		.backend = features_are_stable,
	},
	{
		.id = "negotiation.features-are-an-offer",
		.title = "GET_FEATURES tells what is offered, also after SET_FEATURES",
		.rule = "vhost-user: GET_FEATURES",
		.level = LEVEL_MUST,
		.backend = features_are_an_offer,
	},
	{
		.id = "negotiation.version-1",
		.title = "VIRTIO_F_VERSION_1 is offered",
		.rule = "virtio 1.2, 6.1",
		.level = LEVEL_SHOULD,
		.backend = version_1,
	},
	{
		.id = "negotiation.protocol-features-come-first",
		.title = "GET_PROTOCOL_FEATURES is answered before SET_FEATURES",
		.rule = "vhost-user: GET_PROTOCOL_FEATURES",
		.level = LEVEL_MUST,
		.needs.features = BIT_30,
		.backend = protocol_features_come_first,
	},
	{
		.id = "negotiation.no-protocol-features",
		.title = "a front-end that wants no protocol feature is served",
		.rule = "vhost-user: SET_PROTOCOL_FEATURES",
		.level = LEVEL_MUST,
		.needs = { .features = BIT_30, .device = DEVICE_IO },
		.backend = no_protocol_features,
	},
	{
		.id = "negotiation.no-bit-30",
		.title = "without bit 30 rings are enabled as soon as they are started",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = no_bit_30,
		.explain = "SET_VRING_ENABLE exists only where bit 30 was negotiated. A front-end\n"
			   "that does not know it expects rings to work without.",
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
		.id = "negotiation.iommu-without-back-channel",
		.title = "with bit 33 a ring is not enabled where misses can't be sent",
		.rule = "M2",
		.level = LEVEL_CONTRACT,
		.needs = { .features = FRONT_IOMMU, .protocol = REPLY_ACK | BACKEND_REQ },
		.backend = iommu_without_back_channel,
		.explain = "A back-end that accepts it can translate nothing and ask nobody: the\n"
			   "driver waits for ever, and nothing says why.",
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
		.id = "negotiation.live-features",
		.title = "features that are sent again while rings run disturb nothing",
		.rule = "M1",
		.level = LEVEL_CONTRACT,
		.needs.device = DEVICE_IO,
		.backend = live_features,
		.explain = "That is how a migration turns dirty logging on, and a network device\n"
			   "with several queue pairs sends them once per pair.",
	},
	{
		.id = "negotiation.unoffered-feature",
		.title = "a feature that is not offered is refused",
		.rule = "vhost-user: SET_FEATURES; virtio 1.2, 2.2",
		.level = LEVEL_SHOULD,
		.needs.protocol = REPLY_ACK,
		.backend = unoffered_feature,
	},
	{
		.id = "negotiation.unoffered-protocol-feature",
		.title = "a protocol feature that is not offered is refused",
		.rule = "vhost-user: SET_PROTOCOL_FEATURES",
		.level = LEVEL_SHOULD,
		.needs.protocol = REPLY_ACK,
		.backend = unoffered_protocol_feature,
	},
	{
		.id = "negotiation.inband-alone",
		.title = "INBAND_NOTIFICATIONS without what it needs closes the connection",
		.rule = "vhost-user: In-band notifications",
		.level = LEVEL_MUST,
		.needs.protocol = INBAND,
		.backend = inband_alone,
	},
	{
		.id = "negotiation.queue-num",
		.title = "GET_QUEUE_NUM tells a number of queues",
		.rule = "vhost-user: GET_QUEUE_NUM",
		.level = LEVEL_MUST,
		.needs.protocol = VHU_BIT(VHU_PROTOCOL_F_MQ),
		.backend = queue_num,
	},
	{
		.id = "negotiation.every-queue-is-there",
		.title = "as many rings can be set up as GET_QUEUE_NUM has told",
		.rule = "vhost-user: Multiple queue support",
		.level = LEVEL_MUST,
		.needs.protocol = VHU_BIT(VHU_PROTOCOL_F_MQ) | REPLY_ACK,
		.backend = every_queue_is_there,
	},
	{
		.id = "negotiation.status-is-kept",
		.title = "GET_STATUS returns what SET_STATUS has set",
		.rule = "vhost-user: GET_STATUS",
		.level = LEVEL_MUST,
		.needs.protocol = VHU_BIT(VHU_PROTOCOL_F_STATUS) | REPLY_ACK,
		.backend = status_is_kept,
	},
	{
		.id = "negotiation.back-channel-is-replaced",
		.title = "SET_BACKEND_REQ_FD may be sent again",
		.rule = "vhost-user: SET_BACKEND_REQ_FD; S9",
		.level = LEVEL_CONTRACT,
		.needs.protocol = BACKEND_REQ | REPLY_ACK,
		.backend = back_channel_is_replaced,
	},
	{
		.id = "negotiation.disk-has-a-configuration",
		.title = "a disk offers PROTOCOL_F_CONFIG",
		.rule = "vhost-user: GET_CONFIG; virtio 1.2, 5.2.4",
		.level = LEVEL_SHOULD,
		.needs.device = DEVICE_BLK,
		.backend = disk_has_a_configuration,
	},
};

const struct conform_area area_negotiation = AREA("negotiation", "features and protocol features",
                                                  cases);
