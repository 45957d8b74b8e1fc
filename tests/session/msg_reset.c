/* SPDX-License-Identifier: BSD-3-Clause */
/* RESET_DEVICE, RESET_OWNER and the device status. */
#include <linux/virtio_config.h>

#include "support/rig.h"

#define RING  UINT64_C(0x100000)
#define DATA  UINT64_C(0x200000)
#define IOVA  UINT64_C(0x40000000)
#define PAGES 0x10000

static uint64_t reset(struct rig *rig, uint32_t request)
{
	struct message message;

	message_init(&message, request);
	return rig_call(rig, &message);
}

static void start(struct rig *rig, unsigned index)
{
	const struct rig_ring_config config = { .gpa = RING + index * PAGES,
		                                .iova = IOVA + index * PAGES };

	if (!rig->n_maps) {
		rig_map(rig, IOVA, 0x40000, RING, PERM_RW);
		rig_map(rig, DATA, PAGES, DATA, PERM_RW);
	}
	rig_ring_start(rig, index, &config);
}

static void add(struct rig *rig, unsigned index)
{
	const struct vring_buffer buffer = { DATA, 16, true };

	rig_add(rig, index, &buffer, 1, rig);
	rig_kick(rig, index);
}

static void do_request(struct rig *rig, unsigned index)
{
	uint32_t written;

	add(rig, index);
	assert_ptr_equal(rig_wait_used(rig, index, &written), rig);
	assert_int_equal(written, 16);
}

static void a_reset_stops_all_rings_and_forgets_all_translations(void **state)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	start(rig, 0);
	start(rig, 1);
	do_request(rig, 0);
	do_request(rig, 1);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, 15), 0);
	assert_true(rig_stats(rig).iotlb_entries > 0);
	assert_int_equal(reset(rig, VHU_FE_RESET_DEVICE), 0);
	assert_int_equal(rig_resets(rig), 1);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_STATUS), 0);
	for (unsigned i = 0; i < 2; i++) {
		add(rig, i);
		rig_expect_unused(rig, i);
		assert_int_equal(rig_get_vring_base(rig, i), 0);
	}
	rig_expect_no_miss(rig);
	rig_free(rig);
}

static void after_a_reset_rings_start_from_the_beginning(void **state)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	for (unsigned round = 0; round < 3; round++) {
		start(rig, 0);
		for (unsigned i = 0; i < 20; i++)
			do_request(rig, 0);
		assert_int_equal(reset(rig, VHU_FE_RESET_DEVICE), 0);
		assert_int_equal(rig_resets(rig), round + 1);
	}
	rig_free(rig);
}

/* What the device has begun it finishes; what follows waits its turn. */
static void a_reset_is_answered_when_the_last_request_has_ended(void **state)
{
	struct rig *rig = rig_new(*state);
	struct message message;
	uint32_t written;

	rig_open(rig, 0);
	start(rig, 0);
	rig_hold(rig);
	add(rig, 0);
	rig_wait_submitted(rig, 1);
	message_init(&message, VHU_FE_RESET_DEVICE);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	rig_send(rig, &message);
	message_init(&message, VHU_FE_GET_STATUS);
	rig_send(rig, &message);
	rig_expect_silence(rig);
	assert_int_equal(rig_resets(rig), 0);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_RESET_DEVICE), 0);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_GET_STATUS), 0);
	assert_int_equal(rig_resets(rig), 1);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	rig_free(rig);
}

static void a_reset_of_a_device_at_rest_is_harmless(void **state)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, 0);
	assert_int_equal(reset(rig, VHU_FE_RESET_DEVICE), 0);
	assert_int_equal(reset(rig, VHU_FE_RESET_DEVICE), 0);
	assert_int_equal(rig_resets(rig), 2);
	start(rig, 0);
	do_request(rig, 0);
	rig_free(rig);
}

static void a_reset_that_was_not_negotiated_is_refused(void **state)
{
	struct rig *rig = rig_new(
		&(struct rig_config){ .protocol_without = VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE) });

	rig_open(rig, 0);
	assert_int_not_equal(reset(rig, VHU_FE_RESET_DEVICE), 0);
	assert_int_equal(rig_resets(rig), 0);
	rig_free(rig);
}

/* The specification has it disable rings or be ignored; it is ignored. */
static void RESET_OWNER_changes_nothing(void **state)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	start(rig, 0);
	do_request(rig, 0);
	assert_int_equal(reset(rig, VHU_FE_RESET_OWNER), 0);
	do_request(rig, 0);
	assert_int_equal(rig_resets(rig), 0);
	assert_int_equal(rig_stats(rig).flushes, 0);
	assert_int_equal(rig_ring_stop(rig, 0), 2);
	rig_free(rig);
}

static void B1_a_status_is_recorded_and_nothing_else(void **state)
{
	static const uint8_t values[] = { 1, 3, 11, 15, 0, 0x80, 0xff };
	struct rig *rig = rig_new(*state);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_STATUS), 0);
	start(rig, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		assert_int_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, values[i]), 0);
		assert_int_equal(rig_get_u64(rig, VHU_FE_GET_STATUS), values[i]);
		do_request(rig, 0);
	}
	assert_int_equal(rig_resets(rig), 0);
	assert_int_equal(rig_stats(rig).flushes, 0);
	assert_int_equal(rig_ring_stop(rig, 0), ARRAY_SIZE(values));
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(a_reset_stops_all_rings_and_forgets_all_translations),
		RIG_TEST_BOTH(after_a_reset_rings_start_from_the_beginning),
		RIG_TEST_BOTH(a_reset_is_answered_when_the_last_request_has_ended),
		RIG_TEST_BOTH(a_reset_of_a_device_at_rest_is_harmless),
		cmocka_unit_test(a_reset_that_was_not_negotiated_is_refused),
		RIG_TEST_BOTH(RESET_OWNER_changes_nothing),
		RIG_TEST_BOTH(B1_a_status_is_recorded_and_nothing_else),
	};

	return cmocka_run_group_tests_name("session/msg_reset", tests, NULL, NULL);
}
