/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading ahead: after a translation the receiver asks for another one, and what
 * it gets instead must come out as if it had been read to the byte, with its fds.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/receiver.h"

#define HEADER_SIZE sizeof(struct vhu_header)
#define PARTS_MAX   8u

/* One sendmsg(2): so many messages, and an fd or none with their first byte. */
struct part {
	uint32_t requests[3];
	bool with_fd;
};

struct case_ {
	const char *what;
	struct part parts[PARTS_MAX];
	/* fds of each message as it comes out, 0 or 1 */
	unsigned fds[PARTS_MAX];
};

#define NOFD_CALL 0x10000u /* SET_VRING_CALL that says that it has no fd */

static const struct case_ cases[] = {
	{ "translations in a row",
	  { { { VHU_FE_IOTLB_MSG, VHU_FE_IOTLB_MSG, VHU_FE_IOTLB_MSG }, false } },
	  { 0, 0, 0 } },
	{ "an fd's message behind a shorter one",
	  { { { VHU_FE_GET_FEATURES }, false }, { { VHU_FE_SET_VRING_CALL }, true } },
	  { 0, 1 } },
	{ "a call without fd, then a kick with one",
	  { { { NOFD_CALL }, false }, { { VHU_FE_SET_VRING_KICK }, true } },
	  { 0, 1 } },
	{ "an fd's message with the next one in the same call",
	  { { { VHU_FE_SET_VRING_KICK, VHU_FE_GET_FEATURES }, true } },
	  { 1, 0 } },
	{ "fds one after the other",
	  { { { VHU_FE_SET_VRING_KICK }, true },
	    { { VHU_FE_SET_VRING_CALL }, true },
	    { { VHU_FE_SET_VRING_ERR }, true } },
	  { 1, 1, 1 } },
	{ "a surplus fd stays with the only message it came with",
	  { { { VHU_FE_GET_FEATURES }, true }, { { VHU_FE_IOTLB_MSG }, false } },
	  { 1, 0 } },
	{ "a removal, which may have an fd, before a message that has",
	  { { { VHU_FE_REM_MEM_REG }, false }, { { VHU_FE_SET_VRING_CALL }, true } },
	  { 0, 1 } },
};

static size_t put(unsigned char *to, uint32_t request)
{
	struct vhu_header header = { request & 0xffff, VHU_FLAG_VERSION, 8 };
	uint64_t u64 = request == NOFD_CALL ? VHU_VRING_NOFD : 0;

	if (request == NOFD_CALL)
		header.request = VHU_FE_SET_VRING_CALL;
	else if (request == VHU_FE_IOTLB_MSG)
		header.size = sizeof(struct vhu_iotlb);
	else if (request == VHU_FE_REM_MEM_REG)
		header.size = sizeof(struct vhu_memory_single);
	else if (request == VHU_FE_GET_FEATURES)
		header.size = 0;
	memset(to, 0, HEADER_SIZE + header.size);
	memcpy(to, &header, HEADER_SIZE);
	if (header.size == 8)
		memcpy(to + HEADER_SIZE, &u64, 8);
	return HEADER_SIZE + header.size;
}

static void send_part(int socket, const struct part *part)
{
	unsigned char bytes[512];
	union {
		struct cmsghdr header;
		unsigned char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { bytes, 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (unsigned i = 0; i < 3 && part->requests[i]; i++)
		iov.iov_len += put(bytes + iov.iov_len, part->requests[i]);
	if (part->with_fd) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	assert_int_equal(sendmsg(socket, &msg, 0), iov.iov_len);
	close(fd);
}

static void receives(struct receiver *receiver, int fd, const char *what, uint32_t request,
                     unsigned n_fds)
{
	struct message message;

	receiver_expect(receiver);
	if (receiver_next(receiver, fd, &message) != 1)
		fail_msg("%s: request %u did not come", what, request);
	if (message.header.request != request || message.n_fds != n_fds)
		fail_msg("%s: request %u with %u fds instead of %u with %u", what,
		         message.header.request, message.n_fds, request, n_fds);
	message_close_fds(&message);
}

static void check_case(const struct case_ *c)
{
	struct part update = { { VHU_FE_IOTLB_MSG }, false };
	struct receiver receiver;
	struct message none;
	unsigned n = 0;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	receiver_init(&receiver, MESSAGE_MAIN);
	/* From here on it expects another one. */
	send_part(fds[1], &update);
	receives(&receiver, fds[0], c->what, VHU_FE_IOTLB_MSG, 0);
	for (unsigned i = 0; i < PARTS_MAX && c->parts[i].requests[0]; i++)
		send_part(fds[1], &c->parts[i]);
	for (unsigned i = 0; i < PARTS_MAX; i++) {
		for (unsigned j = 0; j < 3 && c->parts[i].requests[j]; j++) {
			uint32_t request = c->parts[i].requests[j];

			if (request == NOFD_CALL)
				request = VHU_FE_SET_VRING_CALL;
			receives(&receiver, fds[0], c->what, request, c->fds[n++]);
		}
	}
	receiver_expect(&receiver);
	assert_int_equal(receiver_next(&receiver, fds[0], &none), 0);
	receiver_done(&receiver);
	close(fds[0]);
	close(fds[1]);
}

static void what_is_read_ahead_comes_out_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(&cases[i]);
}

/* Replies come in crowds: one call takes several. */
static void replies_are_taken_together(void **state)
{
	struct vhu_header header = { VHU_BE_IOTLB_MSG, VHU_FLAG_VERSION | VHU_FLAG_REPLY, 8 };
	unsigned char reply[HEADER_SIZE + 8] = { 0 };
	struct receiver receiver;
	struct message message;
	int fds[2];

	(void)state;
	memcpy(reply, &header, HEADER_SIZE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	receiver_init(&receiver, MESSAGE_BACK);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(write(fds[1], reply, sizeof(reply)), sizeof(reply));
	assert_int_equal(receiver_next(&receiver, fds[0], &message), 1);
	assert_int_equal(receiver_next(&receiver, fds[0], &message), 1);
	assert_int_equal(receiver.end - receiver.start, 7 * sizeof(reply));
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(receiver_next(&receiver, fds[0], &message), 1);
	assert_int_equal(receiver_next(&receiver, fds[0], &message), 0);
	receiver_done(&receiver);
	close(fds[0]);
	close(fds[1]);
}

/* A read that brought less than was asked for is not followed by one that brings nothing. */
static void what_was_dry_is_not_read_again(void **state)
{
	struct part update = { { VHU_FE_IOTLB_MSG, VHU_FE_IOTLB_MSG }, false };
	struct receiver receiver;
	struct message message;
	uint64_t reads;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	receiver_init(&receiver, MESSAGE_MAIN);
	send_part(fds[1], &update);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(receiver_next(&receiver, fds[0], &message), 1);
	reads = receiver.reads;
	assert_int_equal(receiver_next(&receiver, fds[0], &message), 0);
	assert_int_equal(receiver.reads, reads);
	/* Said once; who asks again, or was told that there is more, has it looked for. */
	assert_int_equal(receiver_next(&receiver, fds[0], &message), 0);
	assert_int_equal(receiver.reads, reads + 1);
	send_part(fds[1], &update);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(receiver_next(&receiver, fds[0], &message), 1);
	assert_int_equal(receiver.reads, reads + 2);
	send_part(fds[1], &update);
	receiver_expect(&receiver);
	assert_int_equal(receiver_next(&receiver, fds[0], &message), 1);
	assert_int_equal(receiver.reads, reads + 3);
	receiver_done(&receiver);
	close(fds[0]);
	close(fds[1]);
}

/* What was read ahead of a close is delivered before the close is. */
static void a_close_comes_after_what_was_read_ahead(void **state)
{
	struct part parts[] = { { { VHU_FE_IOTLB_MSG }, false },
		                { { VHU_FE_GET_FEATURES, VHU_FE_GET_FEATURES }, false } };
	struct receiver receiver;
	struct message message;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	receiver_init(&receiver, MESSAGE_MAIN);
	send_part(fds[1], &parts[0]);
	send_part(fds[1], &parts[1]);
	close(fds[1]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(receiver_next(&receiver, fds[0], &message), 1);
	assert_int_equal(receiver_next(&receiver, fds[0], &message), 0);
	assert_int_equal(receiver_next(&receiver, fds[0], &message), -ENOTCONN);
	receiver_done(&receiver);
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_ahead_comes_out_the_same),
		cmocka_unit_test(replies_are_taken_together),
		cmocka_unit_test(what_was_dry_is_not_read_again),
		cmocka_unit_test(a_close_comes_after_what_was_read_ahead),
	};

	alarm(50);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
