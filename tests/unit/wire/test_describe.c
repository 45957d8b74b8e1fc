/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages as people read them; and that no bytes whatever make it overrun. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/message.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define GUARD         0x5a

static struct message message_of(uint32_t request, const void *payload, uint32_t size)
{
	struct message message;

	message_init(&message, request);
	message.header.size = size;
	memcpy(&message.payload, payload, size);
	return message;
}

static void says(const struct message *message, enum message_channel channel, bool is_reply,
                 const char *due)
{
	char text[4096];

	message_describe(message, channel, is_reply, text, sizeof(text));
	assert_string_equal(text, due);
}

static void says_u64(uint32_t request, uint64_t value, bool is_reply, const char *due)
{
	struct message message = message_of(request, &value, sizeof(value));

	if (is_reply)
		message.header.flags |= VHU_FLAG_REPLY;
	says(&message, MESSAGE_MAIN, is_reply, due);
}

static void numbers(void **state)
{
	says_u64(VHU_FE_SET_FEATURES, VHU_BIT(33) | VHU_BIT(30) | VHU_BIT(5), false,
	         "SET_FEATURES 0x240000020 [5 PROTOCOL_FEATURES ACCESS_PLATFORM]");
	says_u64(VHU_FE_SET_FEATURES, 0, false, "SET_FEATURES 0x0");
	says_u64(VHU_FE_GET_PROTOCOL_FEATURES, 0x8000000000000029, true,
	         "GET_PROTOCOL_FEATURES reply 0x8000000000000029 [MQ REPLY_ACK BACKEND_REQ 63]");
	says_u64(VHU_FE_SET_STATUS, 0xf, false,
	         "SET_STATUS 0xf [ACKNOWLEDGE DRIVER DRIVER_OK FEATURES_OK]");
	says_u64(VHU_FE_SET_VRING_KICK, 3, false, "SET_VRING_KICK ring 3");
	says_u64(VHU_FE_SET_VRING_CALL, 0x102, false, "SET_VRING_CALL ring 2 nofd");
	says_u64(VHU_FE_SET_VRING_ERR, 0x1000, false, "SET_VRING_ERR ring 0 unknown bits 0x1000");
	says_u64(VHU_FE_GET_QUEUE_NUM, 16, true, "GET_QUEUE_NUM reply 16 (0x10)");
	says_u64(VHU_FE_SET_OWNER, 0, true, "SET_OWNER reply success");
	says_u64(VHU_FE_IOTLB_MSG, 1, true, "IOTLB_MSG reply failure 0x1");
	says_u64(VHU_FE_SET_DEVICE_STATE_FD, 0x101, true, "SET_DEVICE_STATE_FD reply error 1 nofd");
}

static void headers(void **state)
{
	struct message message;

	message_init(&message, VHU_FE_GET_FEATURES);
	says(&message, MESSAGE_MAIN, false, "GET_FEATURES");
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	says(&message, MESSAGE_MAIN, false, "GET_FEATURES need-reply");
	message.n_fds = 1;
	says(&message, MESSAGE_MAIN, false, "GET_FEATURES need-reply, 1 fd");
	message.n_fds = 2;
	message.header.flags = 0xf2;
	says(&message, MESSAGE_MAIN, false, "GET_FEATURES flags 0xf2, 2 fds");
	message.n_fds = 0;
	message.header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	says(&message, MESSAGE_MAIN, false, "GET_FEATURES flags 0x5");
	message_init(&message, 77);
	says(&message, MESSAGE_BACK, false, "unknown request 77");
}

static void vrings(void **state)
{
	struct vhu_vring_state num = { 1, 256 };
	struct vhu_vring_state packed = { 0, 0x80018001 };
	struct vhu_vring_addr addr = { 2, 1, 0x1000, 0x3000, 0x2000, 0x4000 };
	struct vhu_vring_area area = { 0x101, 0x1000, 0x2000 };
	struct message message = message_of(VHU_FE_SET_VRING_NUM, &num, sizeof(num));

	says(&message, MESSAGE_MAIN, false, "SET_VRING_NUM ring 1 num 256");
	message = message_of(VHU_FE_SET_VRING_BASE, &packed, sizeof(packed));
	says(&message, MESSAGE_MAIN, false, "SET_VRING_BASE ring 0 num 2147581953 (0x80018001)");
	message = message_of(VHU_FE_SET_VRING_ADDR, &addr, sizeof(addr));
	says(&message, MESSAGE_MAIN, false,
	     "SET_VRING_ADDR ring 2 flags 0x1 desc 0x1000 used 0x3000 avail 0x2000 log 0x4000");
	message = message_of(VHU_BE_VRING_HOST_NOTIFIER_MSG, &area, sizeof(area));
	says(&message, MESSAGE_BACK, false,
	     "BACKEND_VRING_HOST_NOTIFIER_MSG ring 1 nofd size 0x1000 offset 0x2000");
}

static void memory(void **state)
{
	struct vhu_memory table = { .n = 2,
		                    .regions = { { 0, 0x1000, 0x7000, 0 },
		                                 { 0x100000, 0x2000, 0x9000, 0x1000 } } };
	struct vhu_memory_single single = { .region = { 0x1000, 0x2000, 0x3000, 0x4000 } };
	struct vhu_log log = { 0x100, 0x200 };
	struct message message = message_of(VHU_FE_SET_MEM_TABLE, &table, 8 + 64);

	message.n_fds = 2;
	says(&message, MESSAGE_MAIN, false,
	     "SET_MEM_TABLE 2 regions, 0: gpa 0x0 size 0x1000 uva 0x7000 offset 0x0, "
	     "1: gpa 0x100000 size 0x2000 uva 0x9000 offset 0x1000, 2 fds");
	message.header.size = 8 + 32;
	message.payload.memory.n = UINT32_MAX;
	message.n_fds = 0;
	says(&message, MESSAGE_MAIN, false,
	     "SET_MEM_TABLE 4294967295 regions, 0: gpa 0x0 size 0x1000 uva 0x7000 offset 0x0");
	message = message_of(VHU_FE_ADD_MEM_REG, &single, sizeof(single));
	says(&message, MESSAGE_MAIN, false,
	     "ADD_MEM_REG gpa 0x1000 size 0x2000 uva 0x3000 offset 0x4000");
	message = message_of(VHU_FE_SET_LOG_BASE, &log, sizeof(log));
	says(&message, MESSAGE_MAIN, false, "SET_LOG_BASE size 0x100 offset 0x200");
	message.header.size = 8;
	says(&message, MESSAGE_MAIN, false, "SET_LOG_BASE 8 bytes 00 01 00 00 00 00 00 00");
}

static void iotlb(void **state)
{
	static const struct {
		enum message_channel channel;
		struct vhu_iotlb iotlb;
		const char *due;
	} cases[] = {
		{ MESSAGE_BACK,
		  { 0x1000, 0x2000, 0xdead, 1, VHU_IOTLB_MISS },
		  "BACKEND_IOTLB_MSG MISS iova 0x1000 size 0x2000 perm r" },
		{ MESSAGE_BACK,
		  { 0x1000, 0, 0, 2, VHU_IOTLB_ACCESS_FAIL },
		  "BACKEND_IOTLB_MSG ACCESS_FAIL iova 0x1000 size 0x0 perm w" },
		{ MESSAGE_MAIN,
		  { 0x1000, 0x1000, 0x7f00, 3, VHU_IOTLB_UPDATE },
		  "IOTLB_MSG UPDATE iova 0x1000 size 0x1000 uaddr 0x7f00 perm rw" },
		{ MESSAGE_MAIN,
		  { 0x1000, 0x1000, 0x7f00, 0, VHU_IOTLB_UPDATE },
		  "IOTLB_MSG UPDATE iova 0x1000 size 0x1000 uaddr 0x7f00 perm none" },
		{ MESSAGE_MAIN,
		  { 0, UINT64_MAX, 0xdead, 0xbe, VHU_IOTLB_INVALIDATE },
		  "IOTLB_MSG INVALIDATE iova 0x0 size 0xffffffffffffffff" },
		{ MESSAGE_MAIN,
		  { 1, 2, 3, 0x84, 9 },
		  "IOTLB_MSG type 9 iova 0x1 size 0x2 uaddr 0x3 perm ? (0x84)" },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct message message = message_of(cases[i].channel == MESSAGE_MAIN
		                                            ? (uint32_t)VHU_FE_IOTLB_MSG
		                                            : (uint32_t)VHU_BE_IOTLB_MSG,
		                                    &cases[i].iotlb, VHU_IOTLB_SIZE_MIN);

		says(&message, cases[i].channel, false, cases[i].due);
		message.header.size = 32;
		says(&message, cases[i].channel, false, cases[i].due);
	}
}

static void config(void **state)
{
	struct vhu_config config = { .offset = 4, .size = 3, .bytes = { 0xaa, 0xbb, 0xcc } };
	struct message message = message_of(VHU_FE_SET_CONFIG, &config, 12 + 3);

	says(&message, MESSAGE_MAIN, false, "SET_CONFIG offset 4 size 3 bytes aa bb cc");
	message = message_of(VHU_FE_GET_CONFIG, &config, 12);
	says(&message, MESSAGE_MAIN, false, "GET_CONFIG offset 4 size 3");
	message = message_of(VHU_FE_GET_CONFIG, &config, 12 + 60);
	message.payload.config.flags = 1;
	says(&message, MESSAGE_MAIN, false,
	     "GET_CONFIG offset 4 size 3 flags 0x1 bytes aa bb cc 00 00 00 00 00 00 00 00 00 00 00 "
	     "00 00 and 44 more");
}

static void the_rest(void **state)
{
	struct vhu_inflight inflight = { 0x1000, 0x10, 4, 128, { 0 } };
	struct vhu_shared shared = { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } };
	struct vhu_device_state save = { 0, 0 };
	struct vhu_mmap map = { 2, { 0 }, 0x10, 0x20, 0x30, 1 };
	struct vhu_shmem shmem = { .n = 2, .sizes = { 0x1000, 0, 0x2000 } };
	struct message message = message_of(VHU_FE_SET_INFLIGHT_FD, &inflight, sizeof(inflight));

	says(&message, MESSAGE_MAIN, false,
	     "SET_INFLIGHT_FD size 0x1000 offset 0x10 queues 4 of 128");
	message = message_of(VHU_FE_GET_SHARED_OBJECT, &shared, sizeof(shared));
	says(&message, MESSAGE_MAIN, false,
	     "GET_SHARED_OBJECT uuid 00010203-0405-0607-0809-0a0b0c0d0e0f");
	message = message_of(VHU_FE_SET_DEVICE_STATE_FD, &save, sizeof(save));
	says(&message, MESSAGE_MAIN, false, "SET_DEVICE_STATE_FD save phase 0");
	message.payload.device_state.direction = 7;
	says(&message, MESSAGE_MAIN, false, "SET_DEVICE_STATE_FD direction 7 phase 0");
	message = message_of(VHU_BE_SHMEM_MAP, &map, sizeof(map));
	says(&message, MESSAGE_BACK, false,
	     "BACKEND_SHMEM_MAP shmid 2 fd offset 0x10 shm offset 0x20 len 0x30 flags 0x1");
	message = message_of(VHU_FE_GET_SHMEM_CONFIG, &shmem, sizeof(shmem));
	message.header.flags |= VHU_FLAG_REPLY;
	says(&message, MESSAGE_MAIN, true,
	     "GET_SHMEM_CONFIG reply 2 regions, 0: 0x1000, 2: 0x2000");
	message = message_of(99, &shared, 2);
	says(&message, MESSAGE_MAIN, false, "unknown request 99 2 bytes 00 01");
}

/* The bytes behind the text stay, and it is the start of the whole text. */
static void cut_everywhere(const struct message *message, enum message_channel channel, bool reply)
{
	char whole[8192];
	char *cut;
	size_t length;

	message_describe(message, channel, reply, whole, sizeof(whole));
	length = strlen(whole);
	assert_true(length > 0 && length < sizeof(whole) - 1);
	for (size_t size = 0; size <= length + 2; size++) {
		/* Of exactly this size, so that a sanitizer sees what a guard byte misses. */
		cut = malloc(size + 1);
		assert_non_null(cut);
		memset(cut, GUARD, size + 1);
		message_describe(message, channel, reply, cut, size);
		assert_int_equal(cut[size], GUARD);
		if (size > 0) {
			assert_int_equal(strnlen(cut, size), size - 1 < length ? size - 1 : length);
			assert_memory_equal(cut, whole, strlen(cut));
		}
		free(cut);
	}
	message_describe(message, channel, reply, NULL, 0);
}

static void garbage_of_any_size_is_cut_where_the_text_ends(void **state)
{
	static const unsigned char fills[] = { 0x00, 0xff, 0xa5 };
	static const uint32_t wrong_sizes[] = { 1, 7, 9, 39, VHU_PAYLOAD_MAX, UINT32_MAX };
	struct message message;

	for (uint32_t request = 0; request <= VHU_FE_END; request++) {
		const struct message_spec *spec = message_spec(MESSAGE_MAIN, request);

		for (size_t fill = 0; fill < LENGTH(fills); fill++) {
			memset(&message, fills[fill], sizeof(message));
			message.header.request = request;
			message.header.size = spec ? spec->size_max : 100;
			cut_everywhere(&message, MESSAGE_MAIN, false);
			cut_everywhere(&message, MESSAGE_BACK, false);
			message.header.size = spec ? spec->reply_max : 100;
			cut_everywhere(&message, MESSAGE_MAIN, true);
		}
		memset(&message, 0x81, sizeof(message));
		message.header.request = request;
		for (size_t i = 0; i < LENGTH(wrong_sizes); i++) {
			char text[8192];

			message.header.size = wrong_sizes[i];
			message_describe(&message, MESSAGE_MAIN, i % 2, text, sizeof(text));
			message_describe(&message, MESSAGE_BACK, i % 2, text, sizeof(text));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(headers),
		cmocka_unit_test(vrings),
		cmocka_unit_test(memory),
		cmocka_unit_test(iotlb),
		cmocka_unit_test(config),
		cmocka_unit_test(the_rest),
		cmocka_unit_test(garbage_of_any_size_is_cut_where_the_text_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
