/* SPDX-License-Identifier: BSD-3-Clause */
/* Negotiation: what is offered, what is refused, what changes under running rings. */
#include <linux/virtio_config.h>

#include "support/rig.h"

#define INDIRECT_DESC VHU_BIT(28)
#define EVENT_IDX     VHU_BIT(29)
#define PROTOCOL      VHU_BIT(VHU_F_PROTOCOL_FEATURES)
#define VERSION_1     VHU_BIT(VIRTIO_F_VERSION_1)
#define PLATFORM      VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define OF_DEVICE     (VHU_BIT(3) | VHU_BIT(50))
#define DATA          UINT64_C(0x100000)

static void the_library_adds_ring_and_transport_features(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){ .features = OF_DEVICE });

	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_FEATURES),
	                 OF_DEVICE | INDIRECT_DESC | EVENT_IDX | PROTOCOL | VERSION_1 | PLATFORM);
	rig_free(rig);
	rig = rig_new(&(struct rig_config){ .no_iommu = true });
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_FEATURES),
	                 INDIRECT_DESC | EVENT_IDX | PROTOCOL | VERSION_1);
	rig_free(rig);
}

static void M2_who_offers_bit_33_offers_REPLY_ACK_and_BACKEND_REQ(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){ 0 });
	uint64_t needed = VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) | VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ);
	uint64_t promised = needed | VHU_BIT(VHU_PROTOCOL_F_MQ) | VHU_BIT(VHU_PROTOCOL_F_CONFIG) |
	                    VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |
	                    VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE) | VHU_BIT(VHU_PROTOCOL_F_STATUS) |
	                    VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES);

	assert_true(rig_get_u64(rig, VHU_FE_GET_FEATURES) & PLATFORM);
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_PROTOCOL_FEATURES), promised);
	rig_free(rig);
}

static void a_feature_that_was_not_offered_is_refused(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){ .features = OF_DEVICE, .no_iommu = true });
	uint64_t offered;

	rig_open(rig, 0);
	offered = rig_get_u64(rig, VHU_FE_GET_FEATURES);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t wanted = PROTOCOL | VERSION_1 | VHU_BIT(bit);

		assert_int_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, wanted) == 0,
		                 offered >> bit & 1);
	}
	assert_int_not_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, UINT64_MAX), 0);
	rig_free(rig);
}

static void a_protocol_feature_that_was_not_offered_is_refused(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){ 0 });
	uint64_t ack = VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK), offered;

	rig_open(rig, 0);
	offered = rig_get_u64(rig, VHU_FE_GET_PROTOCOL_FEATURES);
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(
			rig_set_u64(rig, VHU_FE_SET_PROTOCOL_FEATURES, ack | VHU_BIT(bit)) == 0,
			offered >> bit & 1);
	rig_free(rig);
}

/* It might rely on the feature and would never learn. */
static void a_refusal_nobody_asked_to_hear_of_ends_the_session(void **state)
{
	static const uint32_t requests[] = { VHU_FE_SET_FEATURES, VHU_FE_SET_PROTOCOL_FEATURES };

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		struct rig *rig = rig_new(&(struct rig_config){ 0 });
		struct message message;

		rig_open(rig, 0);
		message_init(&message, requests[i]);
		message.header.size = 8;
		message.payload.u64 = VHU_BIT(63);
		rig_send(rig, &message);
		rig_expect_closed(rig);
		rig_free(rig);
	}
}

/* What is gated is refused by what was negotiated last. */
static void gates_follow_what_is_negotiated(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){ 0 });
	uint64_t ack = VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK);

	rig_open(rig, 0);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, 1), 0);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_PROTOCOL_FEATURES, ack), 0);
	assert_int_not_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, 1), 0);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_PROTOCOL_FEATURES,
	                             ack | VHU_BIT(VHU_PROTOCOL_F_STATUS)),
	                 0);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, 1), 0);
	rig_free(rig);
}

/* Without REPLY_ACK the flag means nothing. */
static void no_acknowledgement_without_the_feature(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){ 0 });
	struct message message;

	message_init(&message, VHU_FE_SET_OWNER);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	rig_send(rig, &message);
	rig_expect_silence(rig);
	assert_true(rig_get_u64(rig, VHU_FE_GET_FEATURES) & PROTOCOL);
	rig_free(rig);
}

static void an_owner_may_say_so_twice(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){ 0 });
	struct message message;

	rig_open(rig, 0);
	message_init(&message, VHU_FE_SET_OWNER);
	assert_int_equal(rig_call(rig, &message), 0);
	assert_int_equal(rig_call(rig, &message), 0);
	rig_free(rig);
}

static void the_number_of_queues_is_the_devices(void **state)
{
	for (unsigned queues = 1; queues <= 8; queues += 7) {
		struct rig *rig = rig_new(&(struct rig_config){ .queues = queues });

		rig_open(rig, 0);
		assert_int_equal(rig_get_u64(rig, VHU_FE_GET_QUEUE_NUM), queues);
		rig_free(rig);
	}
}

/* One request there and back. */
static void do_request(struct rig *rig, unsigned index)
{
	const struct vring_buffer buffers[] = { { DATA, 64, false }, { DATA + 4096, 65, true } };
	uint32_t written;

	rig_add(rig, index, buffers, ARRAY_SIZE(buffers), rig);
	rig_kick(rig, index);
	assert_ptr_equal(rig_wait_used(rig, index, &written), rig);
	assert_int_equal(written, 65);
}

static void only_the_meaning_of_addresses_may_change_under_a_running_ring(void **state)
{
	struct rig *rig = rig_new(*state);
	uint64_t now = PROTOCOL | VERSION_1;

	rig_open(rig, 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ 0 });
	do_request(rig, 0);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, now), 0);
	assert_int_not_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, now | EVENT_IDX), 0);
	assert_int_not_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, now | INDIRECT_DESC), 0);
	assert_int_not_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, VERSION_1), 0);
	assert_int_not_equal(rig_set_u64(rig, VHU_FE_SET_PROTOCOL_FEATURES, 0), 0);
	do_request(rig, 0);
	rig_ring_stop(rig, 0);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, now | EVENT_IDX), 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .base = 0, .event_idx = true });
	do_request(rig, 0);
	rig_free(rig);
}

static void with_bit_30_a_ring_waits_to_be_enabled(void **state)
{
	const struct vring_buffer buffer = { DATA, 16, true };
	struct rig *rig = rig_new(*state);
	uint32_t written;

	rig_open(rig, 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .disabled = true });
	rig_add(rig, 0, &buffer, 1, NULL);
	rig_kick(rig, 0);
	rig_expect_unused(rig, 0);
	assert_int_equal(rig_submitted(rig), 0);
	rig_ring_enable(rig, 0, true);
	rig_wait_used(rig, 0, &written);
	assert_int_equal(written, 16);
	rig_free(rig);
}

/* An old front-end: no protocol features, hence no acknowledgements and no SET_VRING_ENABLE. */
static void without_bit_30_a_ring_runs_when_it_is_kicked(void **state)
{
	struct rig *rig = rig_new(*state);
	struct message message;

	message_init(&message, VHU_FE_SET_OWNER);
	rig_send(rig, &message);
	message_init(&message, VHU_FE_SET_FEATURES);
	message.header.size = 8;
	message.payload.u64 = VERSION_1;
	rig_send(rig, &message);
	rig_share(rig);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .disabled = true });
	do_request(rig, 0);
	assert_int_equal(rig_ring_stop(rig, 0), 1);
	/* and it knows no message to enable one */
	message_init(&message, VHU_FE_SET_VRING_ENABLE);
	message.header.size = 8;
	rig_send(rig, &message);
	rig_expect_closed(rig);
	rig_free(rig);
}

/* There is nothing to ask for translations with: the ring must not work, and not crash. */
static void without_bit_30_nothing_can_be_translated(void **state)
{
	const struct vring_buffer buffer = { DATA, 16, true };
	struct rig *rig = rig_new(*state);

	rig_negotiate_protocol(rig);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_FEATURES, VERSION_1 | PLATFORM), 0);
	rig->features = VERSION_1 | PLATFORM;
	rig_share(rig);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .disabled = true });
	rig_add(rig, 0, &buffer, 1, NULL);
	rig_kick(rig, 0);
	rig_expect_ring_error(rig, 0);
	rig_expect_unused(rig, 0);
	assert_int_equal(rig_submitted(rig), 0);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_library_adds_ring_and_transport_features),
		cmocka_unit_test(M2_who_offers_bit_33_offers_REPLY_ACK_and_BACKEND_REQ),
		cmocka_unit_test(a_feature_that_was_not_offered_is_refused),
		cmocka_unit_test(a_protocol_feature_that_was_not_offered_is_refused),
		cmocka_unit_test(a_refusal_nobody_asked_to_hear_of_ends_the_session),
		cmocka_unit_test(gates_follow_what_is_negotiated),
		cmocka_unit_test(no_acknowledgement_without_the_feature),
		cmocka_unit_test(an_owner_may_say_so_twice),
		cmocka_unit_test(the_number_of_queues_is_the_devices),
		RIG_TEST_BOTH(only_the_meaning_of_addresses_may_change_under_a_running_ring),
		RIG_TEST_BOTH(with_bit_30_a_ring_waits_to_be_enabled),
		RIG_TEST_BOTH(without_bit_30_a_ring_runs_when_it_is_kicked),
		RIG_TEST_BOTH(without_bit_30_nothing_can_be_translated),
	};

	return cmocka_run_group_tests_name("session/msg_features", tests, NULL, NULL);
}
