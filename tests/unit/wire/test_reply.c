/* SPDX-License-Identifier: BSD-3-Clause */
/* What counts as the reply to a request. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/message.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int check_reply(uint32_t request, const struct message *reply)
{
	struct vhu_header header = { request, VHU_FLAG_VERSION, 0 };
	struct message_fault why = { "" };
	int ret = message_check_reply(reply, MESSAGE_MAIN, &header, &why);

	assert_int_equal(ret != 0, why.text[0] != '\0');
	return ret;
}

static struct message reply_of(uint32_t request, uint32_t size, unsigned n_fds)
{
	struct message reply;

	message_init(&reply, request);
	reply.header.flags |= VHU_FLAG_REPLY;
	reply.header.size = size;
	reply.n_fds = n_fds;
	return reply;
}

static void replies_have_their_number_size_and_fds(void **state)
{
	static const struct {
		uint32_t awaited, request, size;
		unsigned n_fds;
		int ret;
	} cases[] = {
		{ VHU_FE_GET_FEATURES, VHU_FE_GET_FEATURES, 8, 0, 0 },
		{ VHU_FE_GET_FEATURES, VHU_FE_GET_STATUS, 8, 0, -EPROTO },
		{ VHU_FE_GET_FEATURES, VHU_FE_GET_FEATURES, 0, 0, -EMSGSIZE },
		{ VHU_FE_GET_FEATURES, VHU_FE_GET_FEATURES, 16, 0, -EMSGSIZE },
		{ VHU_FE_GET_FEATURES, VHU_FE_GET_FEATURES, 8, 1, -EBADF },
		{ VHU_FE_SET_OWNER, VHU_FE_SET_OWNER, 8, 0, 0 },
		{ VHU_FE_SET_OWNER, VHU_FE_SET_OWNER, 0, 0, -EMSGSIZE },
		{ VHU_FE_GET_CONFIG, VHU_FE_GET_CONFIG, 0, 0, 0 },
		{ VHU_FE_GET_CONFIG, VHU_FE_GET_CONFIG, 12, 0, 0 },
		{ VHU_FE_GET_CONFIG, VHU_FE_GET_CONFIG, 13, 0, -EMSGSIZE },
		{ VHU_FE_GET_CONFIG, VHU_FE_GET_CONFIG, 11, 0, -EMSGSIZE },
		{ VHU_FE_SET_LOG_BASE, VHU_FE_SET_LOG_BASE, 0, 0, 0 },
		{ VHU_FE_SET_LOG_BASE, VHU_FE_SET_LOG_BASE, 8, 0, 0 },
		{ VHU_FE_GET_INFLIGHT_FD, VHU_FE_GET_INFLIGHT_FD, 24, 1, 0 },
		{ VHU_FE_GET_INFLIGHT_FD, VHU_FE_GET_INFLIGHT_FD, 24, 0, 0 },
		{ VHU_FE_GET_INFLIGHT_FD, VHU_FE_GET_INFLIGHT_FD, 24, 2, -EBADF },
		{ VHU_FE_POSTCOPY_ADVISE, VHU_FE_POSTCOPY_ADVISE, 0, 1, 0 },
		{ VHU_FE_POSTCOPY_ADVISE, VHU_FE_POSTCOPY_ADVISE, 0, 0, -EBADF },
		{ 99, 99, 8, 0, -EOPNOTSUPP },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct message reply = reply_of(cases[i].request, cases[i].size, cases[i].n_fds);

		assert_int_equal(check_reply(cases[i].awaited, &reply), cases[i].ret);
	}
}

static void replies_carry_the_reply_bit(void **state)
{
	struct message reply = reply_of(VHU_FE_GET_FEATURES, 8, 0);

	reply.header.flags = VHU_FLAG_VERSION;
	assert_int_equal(check_reply(VHU_FE_GET_FEATURES, &reply), -EPROTO);
}

static void nofd_bit_in_a_reply(void **state)
{
	struct message reply = reply_of(VHU_FE_SET_DEVICE_STATE_FD, 8, 0);

	assert_int_equal(check_reply(VHU_FE_SET_DEVICE_STATE_FD, &reply), -EBADF);
	reply.payload.u64 = VHU_VRING_NOFD;
	assert_int_equal(check_reply(VHU_FE_SET_DEVICE_STATE_FD, &reply), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_have_their_number_size_and_fds),
		cmocka_unit_test(replies_carry_the_reply_bit),
		cmocka_unit_test(nofd_bit_in_a_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
