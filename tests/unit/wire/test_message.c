/* SPDX-License-Identifier: BSD-3-Clause */
/* A message and its fds: who owns them when. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/message.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int any_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Nothing of @size bytes, whatever lay there. */
static void check_init(uint32_t request, uint32_t size)
{
	static const unsigned char zeros[sizeof(union message_payload)];
	struct message message;

	memset(&message, 0xa5, sizeof(message));
	message_init(&message, request);
	assert_int_equal(message.header.request, request);
	assert_int_equal(message.header.flags, 0x1);
	assert_int_equal(message.header.size, 0);
	assert_int_equal(message.n_fds, 0);
	for (unsigned i = 0; i < MESSAGE_FDS_MAX; i++)
		assert_int_equal(message.fds[i], -1);
	assert_memory_equal(&message.payload, zeros, size);
}

static void init_leaves_no_garbage(void **state)
{
	static const enum message_channel channels[] = { MESSAGE_MAIN, MESSAGE_BACK };

	for (unsigned i = 0; i < 2; i++) {
		for (uint32_t request = 0; request < 256; request++) {
			const struct message_spec *spec = message_spec(channels[i], request);

			if (spec)
				check_init(request, greater(spec->size_max, spec->reply_max));
		}
	}
}

static void taken_fd_is_the_takers(void **state)
{
	struct message message;
	int taken;

	message_init(&message, VHU_FE_SET_VRING_KICK);
	message.n_fds = 2;
	message.fds[0] = any_fd();
	message.fds[1] = any_fd();
	taken = message.fds[0];
	assert_int_equal(message_take_fd(&message, 0), taken);
	assert_int_equal(message_take_fd(&message, 0), -1);
	message_close_fds(&message);
	assert_true(is_open(taken));
	close(taken);
}

static void close_closes_the_rest_once(void **state)
{
	struct message message;
	int fds[MESSAGE_FDS_MAX];

	message_init(&message, VHU_FE_SET_MEM_TABLE);
	for (unsigned i = 0; i < MESSAGE_FDS_MAX; i++)
		message.fds[i] = fds[i] = any_fd();
	message.n_fds = MESSAGE_FDS_MAX;
	message_close_fds(&message);
	assert_int_equal(message.n_fds, 0);
	for (unsigned i = 0; i < MESSAGE_FDS_MAX; i++)
		assert_false(is_open(fds[i]));
	fds[0] = any_fd();
	message_close_fds(&message);
	assert_true(is_open(fds[0]));
	close(fds[0]);
}

static void no_fd_beyond_the_last(void **state)
{
	struct message message;

	message_init(&message, VHU_FE_GET_FEATURES);
	assert_int_equal(message_take_fd(&message, 0), -1);
	assert_int_equal(message_take_fd(&message, MESSAGE_FDS_MAX), -1);
	assert_int_equal(message_take_fd(&message, UINT32_MAX), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_leaves_no_garbage),
		cmocka_unit_test(taken_fd_is_the_takers),
		cmocka_unit_test(close_closes_the_rest_once),
		cmocka_unit_test(no_fd_beyond_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
