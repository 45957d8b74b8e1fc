/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of a front-end that does not wait for the reply: whatever it was, the session ends. */
#include <linux/virtio_config.h>
#include <sys/socket.h>

#include "support/rig.h"

#define RING UINT64_C(0x100000)

static const struct {
	uint32_t request;
	uint32_t size;
	union message_payload payload;
} messages[] = {
	{ VHU_FE_GET_FEATURES, 0, { 0 } },
	{ VHU_FE_GET_CONFIG, VHU_CONFIG_HEADER + 8, { .config.size = 8 } },
	/* Of a ring that is stopped, and of one that runs. */
	{ VHU_FE_GET_VRING_BASE, 8, { .state.index = 1 } },
	{ VHU_FE_GET_VRING_BASE, 8, { .state.index = 0 } },
	{ VHU_FE_SET_OWNER, 0, { 0 } },
	{ VHU_FE_SET_VRING_NUM, 8, { .state = { 1, 16 } } },
	{ VHU_FE_SET_VRING_ENABLE, 8, { .state = { 1, 1 } } },
	{ VHU_FE_IOTLB_MSG, 32, { .iotlb = { .type = VHU_IOTLB_INVALIDATE } } },
	{ VHU_FE_RESET_DEVICE, 0, { 0 } },
	/* Refused. */
	{ VHU_FE_SET_VRING_NUM, 8, { .state = { 1, 3 } } },
	{ VHU_FE_SET_VRING_NUM, 8, { .state = { 77, 16 } } },
};

static void a_reply_that_nobody_takes_ends_the_session(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(messages); i++) {
		const struct rig_ring_config ring = { .gpa = RING, .iova = RING };
		struct rig *rig = rig_new(*state);
		struct message message;

		rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
		rig_ring_start(rig, 0, &ring);
		message_init(&message, messages[i].request);
		message.header.flags |= VHU_FLAG_NEED_REPLY;
		message.header.size = messages[i].size;
		message.payload = messages[i].payload;
		/* From here on nothing can be sent to the test. */
		assert_int_equal(shutdown(rig->main, SHUT_RD), 0);
		rig_send(rig, &message);
		assert_int_equal(rig_wait_end(rig), 0);
		rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(a_reply_that_nobody_takes_ends_the_session),
	};

	return cmocka_run_group_tests_name("msg_unheard", tests, NULL, NULL);
}
