/* SPDX-License-Identifier: BSD-3-Clause */
/* The message table against the specification, written down a second time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/feature.h"
#include "wire/message.h"

#define NONE 255u

/* @reply: the payload of the reply, or ACK_ONLY. */
#define ACK_ONLY UINT32_MAX

struct expected {
	const char *name;
	uint32_t min, max;
	const char *fds;
	uint32_t reply_min, reply_max;
	unsigned feature, protocol;
};

static const struct expected main_channel[] = {
	[1] = { "GET_FEATURES", 0, 0, "none", 8, 8, NONE, NONE },
	[2] = { "SET_FEATURES", 8, 8, "none", ACK_ONLY, 8, NONE, NONE },
	[3] = { "SET_OWNER", 0, 0, "none", ACK_ONLY, 8, NONE, NONE },
	[4] = { "RESET_OWNER", 0, 0, "none", ACK_ONLY, 8, NONE, NONE },
	[5] = { "SET_MEM_TABLE", 8, 264, "regions", ACK_ONLY, 8, NONE, NONE },
	[6] = { "SET_LOG_BASE", 8, 16, "log", 0, 8, NONE, NONE },
	[7] = { "SET_LOG_FD", 0, 0, "one", ACK_ONLY, 8, NONE, NONE },
	[8] = { "SET_VRING_NUM", 8, 8, "none", ACK_ONLY, 8, NONE, NONE },
	[9] = { "SET_VRING_ADDR", 40, 40, "none", ACK_ONLY, 8, NONE, NONE },
	[10] = { "SET_VRING_BASE", 8, 8, "none", ACK_ONLY, 8, NONE, NONE },
	[11] = { "GET_VRING_BASE", 8, 8, "none", 8, 8, NONE, NONE },
	[12] = { "SET_VRING_KICK", 8, 8, "vring", ACK_ONLY, 8, NONE, NONE },
	[13] = { "SET_VRING_CALL", 8, 8, "vring", ACK_ONLY, 8, NONE, NONE },
	[14] = { "SET_VRING_ERR", 8, 8, "vring", ACK_ONLY, 8, NONE, NONE },
	[15] = { "GET_PROTOCOL_FEATURES", 0, 0, "none", 8, 8, 30, NONE },
	[16] = { "SET_PROTOCOL_FEATURES", 8, 8, "none", ACK_ONLY, 8, 30, NONE },
	[17] = { "GET_QUEUE_NUM", 0, 0, "none", 8, 8, NONE, 0 },
	[18] = { "SET_VRING_ENABLE", 8, 8, "none", ACK_ONLY, 8, 30, NONE },
	[19] = { "SEND_RARP", 8, 8, "none", ACK_ONLY, 8, NONE, 2 },
	[20] = { "NET_SET_MTU", 8, 8, "none", ACK_ONLY, 8, 3, 4 },
	[21] = { "SET_BACKEND_REQ_FD", 0, 0, "one", ACK_ONLY, 8, NONE, 5 },
	[22] = { "IOTLB_MSG", 26, 32, "none", ACK_ONLY, 8, 33, NONE },
	[23] = { "SET_VRING_ENDIAN", 8, 8, "none", ACK_ONLY, 8, NONE, 6 },
	[24] = { "GET_CONFIG", 12, 268, "none", 0, 268, NONE, 9 },
	[25] = { "SET_CONFIG", 12, 268, "none", ACK_ONLY, 8, NONE, 9 },
	[26] = { "CREATE_CRYPTO_SESSION", 8, 2056, "none", 8, 2056, NONE, 7 },
	[27] = { "CLOSE_CRYPTO_SESSION", 8, 8, "none", ACK_ONLY, 8, NONE, 7 },
	[28] = { "POSTCOPY_ADVISE", 0, 0, "none", 0, 0, NONE, 8 },
	[29] = { "POSTCOPY_LISTEN", 0, 0, "none", ACK_ONLY, 8, NONE, 8 },
	[30] = { "POSTCOPY_END", 0, 0, "none", 8, 8, NONE, 8 },
	[31] = { "GET_INFLIGHT_FD", 24, 24, "none", 24, 24, NONE, 12 },
	[32] = { "SET_INFLIGHT_FD", 24, 24, "one", ACK_ONLY, 8, NONE, 12 },
	[33] = { "GPU_SET_SOCKET", 0, 0, "one", ACK_ONLY, 8, NONE, NONE },
	[34] = { "RESET_DEVICE", 0, 0, "none", ACK_ONLY, 8, NONE, 13 },
	[35] = { "VRING_KICK", 8, 8, "none", ACK_ONLY, 8, NONE, 14 },
	[36] = { "GET_MAX_MEM_SLOTS", 0, 0, "none", 8, 8, NONE, 15 },
	[37] = { "ADD_MEM_REG", 40, 40, "one", ACK_ONLY, 8, NONE, 15 },
	[38] = { "REM_MEM_REG", 40, 40, "optional", ACK_ONLY, 8, NONE, 15 },
	[39] = { "SET_STATUS", 8, 8, "none", ACK_ONLY, 8, NONE, 16 },
	[40] = { "GET_STATUS", 0, 0, "none", 8, 8, NONE, 16 },
	[41] = { "GET_SHARED_OBJECT", 16, 16, "none", 0, 16, NONE, 18 },
	[42] = { "SET_DEVICE_STATE_FD", 8, 8, "one", 8, 8, NONE, 19 },
	[43] = { "CHECK_DEVICE_STATE", 0, 0, "none", 8, 8, NONE, 19 },
	[44] = { "GET_SHMEM_CONFIG", 0, 0, "none", 2056, 2056, NONE, 22 },
};

static const struct expected back_channel[] = {
	[1] = { "BACKEND_IOTLB_MSG", 26, 32, "none", ACK_ONLY, 8, 33, NONE },
	[2] = { "BACKEND_CONFIG_CHANGE_MSG", 0, 0, "none", ACK_ONLY, 8, NONE, 9 },
	[3] = { "BACKEND_VRING_HOST_NOTIFIER_MSG", 24, 24, "vring", ACK_ONLY, 8, NONE, 11 },
	[4] = { "BACKEND_VRING_CALL", 8, 8, "none", ACK_ONLY, 8, NONE, 14 },
	[5] = { "BACKEND_VRING_ERR", 8, 8, "none", ACK_ONLY, 8, NONE, 14 },
	[6] = { "BACKEND_SHARED_OBJECT_ADD", 16, 16, "none", ACK_ONLY, 8, NONE, 18 },
	[7] = { "BACKEND_SHARED_OBJECT_REMOVE", 16, 16, "none", ACK_ONLY, 8, NONE, 18 },
	[8] = { "BACKEND_SHARED_OBJECT_LOOKUP", 16, 16, "none", 8, 8, NONE, 18 },
	[9] = { "BACKEND_SHMEM_MAP", 40, 40, "one", ACK_ONLY, 8, NONE, 22 },
	[10] = { "BACKEND_SHMEM_UNMAP", 40, 40, "none", ACK_ONLY, 8, NONE, 22 },
};

static const char *const fds_names[] = {
	[MESSAGE_FDS_NONE] = "none",         [MESSAGE_FDS_ONE] = "one",
	[MESSAGE_FDS_OPTIONAL] = "optional", [MESSAGE_FDS_PER_REGION] = "regions",
	[MESSAGE_FDS_VRING] = "vring",       [MESSAGE_FDS_LOG] = "log",
};

static void compare(enum message_channel channel, uint32_t request, const struct expected *due)
{
	const struct message_spec *spec = message_spec(channel, request);

	assert_non_null(spec);
	assert_string_equal(spec->name, due->name);
	assert_string_equal(message_name(channel, request), due->name);
	assert_int_equal(spec->request, request);
	assert_int_equal(spec->channel, channel);
	assert_int_equal(spec->size_min, due->min);
	assert_int_equal(spec->size_max, due->max);
	assert_string_equal(fds_names[spec->fds], due->fds);
	assert_int_equal(spec->feature, due->feature);
	assert_int_equal(spec->protocol, due->protocol);
	if (due->reply_min == ACK_ONLY) {
		assert_int_equal(spec->reply, MESSAGE_REPLY_ACK);
		assert_int_equal(spec->reply_layout, MESSAGE_LAYOUT_ACK);
		assert_int_equal(spec->reply_min, 8);
	} else {
		assert_int_not_equal(spec->reply, MESSAGE_REPLY_ACK);
		assert_int_equal(spec->reply_min, due->reply_min);
	}
	assert_int_equal(spec->reply_max, due->reply_max);
}

static void every_frontend_message_has_its_row(void **state)
{
	for (uint32_t i = VHU_FE_GET_FEATURES; i < VHU_FE_END; i++)
		compare(MESSAGE_MAIN, i, &main_channel[i]);
	assert_int_equal(VHU_FE_END, 45);
}

static void every_backend_message_has_its_row(void **state)
{
	for (uint32_t i = VHU_BE_IOTLB_MSG; i < VHU_BE_END; i++)
		compare(MESSAGE_BACK, i, &back_channel[i]);
	assert_int_equal(VHU_BE_END, 11);
}

static void no_other_number_has_a_row(void **state)
{
	static const uint32_t others[] = { 0, 45, 46, 255, 256, 0x80000001, UINT32_MAX };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_null(message_spec(MESSAGE_MAIN, others[i]));
		assert_null(message_spec(MESSAGE_BACK, others[i]));
		assert_string_equal(message_name(MESSAGE_MAIN, others[i]), "unknown request");
	}
	for (uint32_t i = VHU_BE_END; i < VHU_FE_END; i++)
		assert_null(message_spec(MESSAGE_BACK, i));
}

static void states_are_as_specified(void **state)
{
	for (uint32_t i = 1; i < VHU_FE_END; i++) {
		enum message_state due = MESSAGE_ANYTIME;

		if (i == VHU_FE_SET_VRING_NUM || i == VHU_FE_SET_VRING_BASE)
			due = MESSAGE_RING_STOPPED;
		if (i == VHU_FE_SET_PROTOCOL_FEATURES)
			due = MESSAGE_ALL_STOPPED;
		assert_int_equal(message_spec(MESSAGE_MAIN, i)->state, due);
	}
	for (uint32_t i = 1; i < VHU_BE_END; i++)
		assert_int_equal(message_spec(MESSAGE_BACK, i)->state, MESSAGE_BACK_CHANNEL);
}

static void offer_alone_gates_the_protocol_features(void **state)
{
	for (uint32_t i = 1; i < VHU_FE_END; i++)
		assert_int_equal(message_spec(MESSAGE_MAIN, i)->by_offer,
		                 i == VHU_FE_GET_PROTOCOL_FEATURES ||
		                         i == VHU_FE_SET_PROTOCOL_FEATURES);
}

static void replies_with_fds(void **state)
{
	for (uint32_t i = 1; i < VHU_FE_END; i++) {
		enum message_fds due = MESSAGE_FDS_NONE;

		if (i == VHU_FE_POSTCOPY_ADVISE)
			due = MESSAGE_FDS_ONE;
		if (i == VHU_FE_GET_INFLIGHT_FD || i == VHU_FE_GET_SHARED_OBJECT)
			due = MESSAGE_FDS_OPTIONAL;
		if (i == VHU_FE_SET_DEVICE_STATE_FD)
			due = MESSAGE_FDS_VRING;
		assert_int_equal(message_spec(MESSAGE_MAIN, i)->reply_fds, due);
	}
	assert_int_equal(message_spec(MESSAGE_BACK, VHU_BE_SHARED_OBJECT_LOOKUP)->reply_fds,
	                 MESSAGE_FDS_OPTIONAL);
}

static void layouts_agree_with_sizes(void **state)
{
	for (uint32_t i = 1; i < VHU_FE_END + VHU_BE_END; i++) {
		bool is_main = i < VHU_FE_END;
		const struct message_spec *spec = message_spec(
			is_main ? MESSAGE_MAIN : MESSAGE_BACK, is_main ? i : i - VHU_FE_END);

		if (!spec)
			continue;
		assert_true(spec->size_min <= spec->size_max);
		assert_true(spec->size_max <= VHU_PAYLOAD_MAX);
		assert_true(spec->reply_min <= spec->reply_max);
		assert_true(spec->reply_max <= VHU_PAYLOAD_MAX);
		assert_int_equal(spec->layout == MESSAGE_LAYOUT_EMPTY, spec->size_max == 0);
		assert_int_equal(spec->reply_layout == MESSAGE_LAYOUT_EMPTY, spec->reply_max == 0);
		assert_int_equal(spec->deprecated, i == VHU_FE_RESET_OWNER);
	}
}

static void protocol_features_are_named(void **state)
{
	static const char *const names[] = {
		"MQ",
		"LOG_SHMFD",
		"RARP",
		"REPLY_ACK",
		"NET_MTU",
		"BACKEND_REQ",
		"CROSS_ENDIAN",
		"CRYPTO_SESSION",
		"PAGEFAULT",
		"CONFIG",
		"BACKEND_SEND_FD",
		"HOST_NOTIFIER",
		"INFLIGHT_SHMFD",
		"RESET_DEVICE",
		"INBAND_NOTIFICATIONS",
		"CONFIGURE_MEM_SLOTS",
		"STATUS",
		"XEN_MMAP",
		"SHARED_OBJECT",
		"DEVICE_STATE",
		"GET_VRING_BASE_INFLIGHT",
		"GPA_ADDRESSES",
		"SHMEM",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(protocol_feature_name(i), names[i]);
	for (unsigned i = sizeof(names) / sizeof(names[0]); i < 70; i++)
		assert_null(protocol_feature_name(i));
	assert_string_equal(feature_name(30), "PROTOCOL_FEATURES");
	assert_string_equal(feature_name(33), "ACCESS_PLATFORM");
	assert_null(feature_name(5));
	assert_null(feature_name(64));
	assert_string_equal(status_name(2), "DRIVER_OK");
	assert_null(status_name(8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frontend_message_has_its_row),
		cmocka_unit_test(every_backend_message_has_its_row),
		cmocka_unit_test(no_other_number_has_a_row),
		cmocka_unit_test(states_are_as_specified),
		cmocka_unit_test(offer_alone_gates_the_protocol_features),
		cmocka_unit_test(replies_with_fds),
		cmocka_unit_test(layouts_agree_with_sizes),
		cmocka_unit_test(protocol_features_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
