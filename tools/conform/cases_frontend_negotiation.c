/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: what a front-end makes of features and protocol features, and in which order. */
#include "observe.h"
#include "suite_frontend.h"

#define BIT_30 VHU_BIT(VHU_F_PROTOCOL_FEATURES)

static void features_of_the_offer(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_FEATURES))
			EXPECT_SEEN(&w, !(w.message.payload.u64 & ~w.told.offered),
			            "no feature that is not offered: 0x%llx of them",
			            (unsigned long long)(w.message.payload.u64 & ~w.told.offered));
}

static void protocol_features_of_the_offer(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_PROTOCOL_FEATURES))
			EXPECT_SEEN(&w, !(w.message.payload.u64 & ~w.told.offered_protocol),
			            "no protocol feature that is not offered: 0x%llx of them",
			            (unsigned long long)(w.message.payload.u64 &
			                                 ~w.told.offered_protocol));
}

/* Whether @request came before @other, which is to have been asked for. */
static void expect_order(struct back *b, uint32_t request, uint32_t other)
{
	bool came = false;
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w)) {
		came |= walk_at(&w, request);
		if (walk_at(&w, other))
			EXPECT_SEEN(&w, came, "%s to come before %s",
			            message_name(MESSAGE_MAIN, request),
			            message_name(MESSAGE_MAIN, other));
	}
}

static void asks_before_it_sets(struct back *b)
{
	expect_order(b, VHU_FE_GET_FEATURES, VHU_FE_SET_FEATURES);
	expect_order(b, VHU_FE_GET_FEATURES, VHU_FE_GET_PROTOCOL_FEATURES);
	expect_order(b, VHU_FE_GET_PROTOCOL_FEATURES, VHU_FE_SET_PROTOCOL_FEATURES);
}

static void owner(struct back *b)
{
	struct walk w;
	unsigned n = 0;

	expect_order(b, VHU_FE_SET_OWNER, VHU_FE_SET_FEATURES);
	expect_order(b, VHU_FE_SET_OWNER, VHU_FE_SET_VRING_KICK);
	walk_start(&w, b);
	while (walk_next(&w))
		n += walk_at(&w, VHU_FE_SET_OWNER);
	EXPECT(b, n == 1, "SET_OWNER to come once: it came %u times", n);
}

static void features_before_rings(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_KICK))
			EXPECT_SEEN(&w, w.told.has_features,
			            "features to be set before a ring is started");
}

static void version_1(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_KICK))
			EXPECT_SEEN(&w, w.told.features & VHU_BIT(VIRTIO_F_VERSION_1),
			            "VIRTIO_F_VERSION_1, without which nothing is offered");
}

static void bit_30(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_FEATURES) && w.told.has_protocol)
			EXPECT_SEEN(&w, w.message.payload.u64 & BIT_30,
			            "bit 30 to be set by who has negotiated protocol features");
}

static void protocol_once(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_PROTOCOL_FEATURES) && w.told.has_protocol)
			EXPECT_SEEN(&w, w.message.payload.u64 == w.told.protocol,
			            "protocol features not to change during a connection");
}

static void back_channel_for_iommu(struct back *b)
{
	struct walk w;

	walk_start_iommu(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_ENABLE) && w.message.payload.state.num &&
		    told_iommu(&w.told)) {
			EXPECT_SEEN(&w, w.told.has_back_channel,
			            "a back-channel before a ring is enabled behind an IOMMU");
			EXPECT_SEEN(&w, w.told.protocol & VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK),
			            "REPLY_ACK to be negotiated together with bit 33");
		}
}

static void back_channel_is_a_socket(struct back *b)
{
	struct walk w;
	unsigned n = 0;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_BACKEND_REQ_FD)) {
			EXPECT_SEEN(&w, w.seen->n_fds == 1 && w.seen->fds[0].kind == SEEN_SOCKET,
			            "a socket as back-channel: it is %s",
			            w.seen->n_fds ? seen_kind_name(w.seen->fds[0].kind) : "none");
			n++;
		}
	if (!n)
		trial_skip(b->trial, "the front-end has sent no back-channel");
}

static void queues(struct back *b)
{
	unsigned most = b->device == DEVICE_NET ? 2 * BACK_QUEUES : BACK_QUEUES;
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_KICK))
			EXPECT_SEEN(&w, (w.message.payload.u64 & VHU_VRING_INDEX_MASK) < most,
			            "no more rings than GET_QUEUE_NUM was told: %u", most);
}

static const struct conform_case cases[] = {
	{
		.id = "fe-negotiation.features-of-the-offer",
		.title = "SET_FEATURES has no bit that GET_FEATURES had not",
		.rule = "vhost-user: SET_FEATURES; virtio 1.2, 2.2",
		.level = LEVEL_MUST,
		.frontend = features_of_the_offer,
	},
	{
		.id = "fe-negotiation.protocol-features-of-the-offer",
		.title = "SET_PROTOCOL_FEATURES has no bit that was not offered",
		.rule = "vhost-user: SET_PROTOCOL_FEATURES",
		.level = LEVEL_MUST,
		.frontend = protocol_features_of_the_offer,
	},
	{
		.id = "fe-negotiation.asks-before-it-sets",
		.title = "features are asked for before they are set",
		.rule = "vhost-user: Feature negotiation",
		.level = LEVEL_SHOULD,
		.frontend = asks_before_it_sets,
	},
	{
		.id = "fe-negotiation.owner",
		.title = "SET_OWNER comes once, before features are set and rings are started",
		.rule = "vhost-user: SET_OWNER",
		.level = LEVEL_SHOULD,
		.frontend = owner,
		.explain = "It says that a session begins. Back-ends exist that ignore it, and "
			   "others\n"
			   "that reset themselves by it.",
	},
	{
		.id = "fe-negotiation.features-before-rings",
		.title = "features are set before a ring is started",
		.rule = "vhost-user: Ring states; virtio 1.2, 3.1.1",
		.level = LEVEL_MUST,
		.frontend = features_before_rings,
	},
	{
		.id = "fe-negotiation.version-1",
		.title = "VIRTIO_F_VERSION_1 is set where there is nothing else",
		.rule = "virtio 1.2, 6.1",
		.level = LEVEL_SHOULD,
		.frontend = version_1,
	},
	{
		.id = "fe-negotiation.bit-30",
		.title = "who uses protocol features sets bit 30",
		.rule = "vhost-user: SET_PROTOCOL_FEATURES; Ring states",
		.level = LEVEL_SHOULD,
		.frontend = bit_30,
		.explain = "Without the bit a back-end enables all rings at once.",
	},
	{
		.id = "fe-negotiation.protocol-features-stay",
		.title = "protocol features stay as they were negotiated",
		.rule = "vhost-user: SET_PROTOCOL_FEATURES",
		.level = LEVEL_SHOULD,
		.frontend = protocol_once,
	},
	{
		.id = "fe-negotiation.back-channel-for-iommu",
		.title = "bit 33 comes with REPLY_ACK and a back-channel",
		.rule = "vhost-user: IOMMU support; M2",
		.level = LEVEL_MUST,
		.frontend = back_channel_for_iommu,
		.explain =
			"Without a back-channel nothing can be missed, and without replies nobody\n"
			"knows when an invalidation has come true.",
	},
	{
		.id = "fe-negotiation.back-channel-is-a-socket",
		.title = "SET_BACKEND_REQ_FD brings a socket",
		.rule = "vhost-user: SET_BACKEND_REQ_FD",
		.level = LEVEL_MUST,
		.frontend = back_channel_is_a_socket,
	},
	{
		.id = "fe-negotiation.queues",
		.title = "no more rings are started than the back-end has",
		.rule = "vhost-user: Multiple queue support",
		.level = LEVEL_MUST,
		.frontend = queues,
	},
};

const struct conform_area area_fe_negotiation = AREA(
	"fe-negotiation", "features, and the order of the opening", cases);
