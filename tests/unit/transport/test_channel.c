/* SPDX-License-Identifier: BSD-3-Clause */
/* Receiving: whatever way the bytes and the fds come, messages come out whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/channel.h"

#define HEADER_SIZE sizeof(struct vhu_header)
/* More than a message may carry. */
#define RAW_FDS_MAX 16u

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* A channel and the raw socket at its other end. */
struct fixture {
	struct channel *channel;
	int peer;
	unsigned fds_before;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	int fds[2];

	fixture.fds_before = count_fds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(channel_new(fds[0], MESSAGE_MAIN, &fixture.channel), 0);
	assert_int_equal(channel_fd(fixture.channel), fds[0]);
	fixture.peer = fds[1];
	*state = &fixture;
	return 0;
}

/* Every test ends with as many fds as it began with. */
static int tear_down(void **state)
{
	struct fixture *f = *state;

	channel_free(f->channel);
	if (f->peer >= 0)
		close(f->peer);
	return count_fds() == f->fds_before ? 0 : -1;
}

static int any_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* @n copies of one fd with the first byte of @bytes. */
static void send_raw(int socket, const void *bytes, size_t size, unsigned n)
{
	union {
		struct cmsghdr header;
		unsigned char bytes[CMSG_SPACE(RAW_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd = any_fd();

	if (n) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		for (unsigned i = 0; i < n; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(socket, &msg, 0), size);
	close(fd);
}

struct raw {
	struct vhu_header header;
	unsigned char payload[64];
} __attribute__((packed));

static struct raw raw_u64(uint32_t request, uint64_t value)
{
	struct raw raw = { .header = { request, VHU_FLAG_VERSION, 8 } };

	memcpy(raw.payload, &value, sizeof(value));
	return raw;
}
#define U64_SIZE (HEADER_SIZE + 8)

static void receives(struct fixture *f, uint32_t request, uint64_t value, unsigned n_fds)
{
	struct message message;

	channel_expect(f->channel);
	assert_int_equal(channel_recv(f->channel, &message), 1);
	assert_int_equal(message.header.request, request);
	assert_int_equal(message.payload.u64, value);
	assert_int_equal(message.n_fds, n_fds);
	for (unsigned i = 0; i < n_fds; i++)
		assert_true(fcntl(message.fds[i], F_GETFD) & FD_CLOEXEC);
	message_close_fds(&message);
}

static void receives_nothing(struct fixture *f)
{
	struct message message;

	channel_expect(f->channel);
	assert_int_equal(channel_recv(f->channel, &message), 0);
}

static void fails(struct fixture *f, int error)
{
	struct message message;

	channel_expect(f->channel);
	assert_int_equal(channel_recv(f->channel, &message), error);
	assert_int_not_equal(channel_fault(f->channel)->text[0], '\0');
	assert_int_equal(channel_recv(f->channel, &message), error);
}

static void nothing_comes_from_a_silent_peer(void **state)
{
	receives_nothing(*state);
}

static void message_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_SET_FEATURES, 0x1122334455667788);

	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < U64_SIZE; i++) {
			receives_nothing(f);
			send_raw(f->peer, (unsigned char *)&raw + i, 1, 0);
		}
		receives(f, VHU_FE_SET_FEATURES, 0x1122334455667788, 0);
	}
}

static void message_cut_anywhere(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_SET_VRING_KICK, 5);

	for (size_t cut = 1; cut < U64_SIZE; cut++) {
		send_raw(f->peer, &raw, cut, 1);
		receives_nothing(f);
		send_raw(f->peer, (unsigned char *)&raw + cut, U64_SIZE - cut, 0);
		receives(f, VHU_FE_SET_VRING_KICK, 5, 1);
	}
}

static void message_without_payload(void **state)
{
	struct fixture *f = *state;
	struct vhu_header header = { VHU_FE_GET_FEATURES, VHU_FLAG_VERSION, 0 };

	send_raw(f->peer, &header, sizeof(header), 0);
	receives(f, VHU_FE_GET_FEATURES, 0, 0);
	receives_nothing(f);
}

static void bytes_that_were_not_sent_are_zero(void **state)
{
	struct fixture *f = *state;
	struct raw raw = { .header = { VHU_FE_SET_VRING_ADDR, VHU_FLAG_VERSION, 40 } };
	struct vhu_header header = { VHU_FE_GET_FEATURES, VHU_FLAG_VERSION, 0 };
	static const uint64_t zeros;
	struct message message;

	memset(raw.payload, 0xa5, sizeof(raw.payload));
	send_raw(f->peer, &raw, HEADER_SIZE + 40, 0);
	send_raw(f->peer, &header, sizeof(header), 0);
	assert_int_equal(channel_recv(f->channel, &message), 1);
	assert_memory_equal(&message.payload, raw.payload, 40);
	memset(&message, 0x5a, sizeof(message));
	assert_int_equal(channel_recv(f->channel, &message), 1);
	assert_memory_equal(&message.payload, &zeros, sizeof(zeros));
	assert_int_equal(message.fds[0], -1);
}

static void two_messages_of_one_write(void **state)
{
	struct fixture *f = *state;
	unsigned char both[2 * U64_SIZE];
	struct raw one = raw_u64(VHU_FE_SET_FEATURES, 1);
	struct raw two = raw_u64(VHU_FE_SET_STATUS, 2);

	memcpy(both, &one, U64_SIZE);
	memcpy(both + U64_SIZE, &two, U64_SIZE);
	send_raw(f->peer, both, sizeof(both), 0);
	receives(f, VHU_FE_SET_FEATURES, 1, 0);
	receives(f, VHU_FE_SET_STATUS, 2, 0);
	receives_nothing(f);
}

static void fds_stay_with_their_message(void **state)
{
	static const unsigned counts[] = { 1, 0, 8, 2, 0, 1 };
	struct fixture *f = *state;

	for (unsigned i = 0; i < 6; i++) {
		struct raw raw = raw_u64(VHU_FE_SET_VRING_CALL, i);

		send_raw(f->peer, &raw, U64_SIZE, counts[i]);
	}
	for (unsigned i = 0; i < 6; i++)
		receives(f, VHU_FE_SET_VRING_CALL, i, counts[i]);
}

static void fds_may_come_with_any_byte(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_SET_VRING_ERR, 3);

	send_raw(f->peer, &raw, HEADER_SIZE, 0);
	send_raw(f->peer, raw.payload, 8, 2);
	receives(f, VHU_FE_SET_VRING_ERR, 3, 2);
	send_raw(f->peer, &raw, 5, 3);
	send_raw(f->peer, (unsigned char *)&raw + 5, HEADER_SIZE - 5, 1);
	send_raw(f->peer, raw.payload, 4, 0);
	send_raw(f->peer, raw.payload + 4, 4, 4);
	receives(f, VHU_FE_SET_VRING_ERR, 3, 8);
}

static void fds_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct message sent, received;
	struct channel *peer;
	int pipes[4];
	struct stat mine, theirs;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(pipe2(pipes + 2, O_CLOEXEC), 0);
	assert_int_equal(channel_new(f->peer, MESSAGE_MAIN, &peer), 0);
	f->peer = -1;
	message_init(&sent, VHU_FE_SET_MEM_TABLE);
	sent.header.size = 8;
	sent.n_fds = 4;
	memcpy(sent.fds, pipes, sizeof(pipes));
	assert_int_equal(channel_send(peer, &sent), 0);
	message_close_fds(&sent);
	assert_int_equal(channel_recv(f->channel, &received), 1);
	assert_int_equal(received.n_fds, 4);
	assert_int_equal(write(received.fds[3], "x", 1), 1);
	assert_int_equal(fstat(received.fds[2], &mine), 0);
	assert_int_equal(fstat(received.fds[3], &theirs), 0);
	assert_int_equal(mine.st_ino, theirs.st_ino);
	assert_int_equal(fstat(received.fds[1], &theirs), 0);
	assert_int_not_equal(mine.st_ino, theirs.st_ino);
	message_close_fds(&received);
	channel_free(peer);
}

static void too_many_fds_at_once(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_SET_VRING_KICK, 0);

	send_raw(f->peer, &raw, U64_SIZE, 9);
	fails(f, -EBADF);
	assert_int_equal(count_fds(), f->fds_before + 2);
}

static void too_many_fds_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_SET_VRING_KICK, 0);

	send_raw(f->peer, &raw, HEADER_SIZE, 5);
	send_raw(f->peer, raw.payload, 8, 4);
	fails(f, -EBADF);
	assert_int_equal(count_fds(), f->fds_before + 2);
}

/* What lies behind a bad header has not been read. */
static void refuses_unread(struct fixture *f, uint32_t request, uint32_t flags, uint32_t size,
                           int error)
{
	struct raw raw = { .header = { request, flags, size } };
	unsigned char rest[128];

	memset(raw.payload, 0x77, sizeof(raw.payload));
	send_raw(f->peer, &raw, sizeof(raw), 1);
	fails(f, error);
	assert_int_equal(recv(channel_fd(f->channel), rest, sizeof(rest), MSG_DONTWAIT),
	                 sizeof(raw.payload));
	assert_int_equal(rest[0], 0x77);
}

static void oversized_payload_is_refused_unread(void **state)
{
	refuses_unread(*state, VHU_FE_SET_FEATURES, VHU_FLAG_VERSION, 9, -EMSGSIZE);
}

static void huge_payload_is_refused_unread(void **state)
{
	refuses_unread(*state, VHU_FE_SET_MEM_TABLE, VHU_FLAG_VERSION, UINT32_MAX, -EMSGSIZE);
}

static void huge_unknown_request_is_refused_unread(void **state)
{
	refuses_unread(*state, 99, VHU_FLAG_VERSION, VHU_PAYLOAD_MAX + 1, -EMSGSIZE);
}

static void short_payload_is_refused_unread(void **state)
{
	refuses_unread(*state, VHU_FE_SET_VRING_ADDR, VHU_FLAG_VERSION, 39, -EMSGSIZE);
}

static void wrong_version_is_refused_unread(void **state)
{
	refuses_unread(*state, VHU_FE_SET_FEATURES, 2, 8, -EPROTO);
}

static void oversized_reply_is_refused_unread(void **state)
{
	refuses_unread(*state, VHU_FE_GET_FEATURES, VHU_FLAG_VERSION | VHU_FLAG_REPLY, 16,
	               -EMSGSIZE);
}

static void unknown_request_is_delivered_and_the_channel_goes_on(void **state)
{
	struct fixture *f = *state;
	struct raw unknown = raw_u64(99, 7);
	struct raw known = raw_u64(VHU_FE_SET_FEATURES, 8);

	send_raw(f->peer, &unknown, U64_SIZE, 2);
	send_raw(f->peer, &known, U64_SIZE, 0);
	receives(f, 99, 7, 2);
	receives(f, VHU_FE_SET_FEATURES, 8, 0);
}

static void replies_are_let_through(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_GET_FEATURES, 0x1234);

	raw.header.flags |= VHU_FLAG_REPLY;
	send_raw(f->peer, &raw, U64_SIZE, 0);
	receives(f, VHU_FE_GET_FEATURES, 0x1234, 0);
}

static void close_between_messages(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_SET_FEATURES, 1);

	send_raw(f->peer, &raw, U64_SIZE, 0);
	close(f->peer);
	f->peer = -1;
	receives(f, VHU_FE_SET_FEATURES, 1, 0);
	fails(f, -ENOTCONN);
}

static void close_inside_a_message(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_SET_VRING_KICK, 1);

	send_raw(f->peer, &raw, U64_SIZE - 1, 3);
	close(f->peer);
	f->peer = -1;
	receives_nothing(f);
	fails(f, -EPIPE);
}

/* The kernel says ECONNRESET when a peer leaves with bytes of ours unread. */
static void close_of_a_peer_that_did_not_read(void **state)
{
	struct fixture *f = *state;
	struct message message;

	message_init(&message, VHU_FE_GET_FEATURES);
	assert_int_equal(channel_send(f->channel, &message), 0);
	close(f->peer);
	f->peer = -1;
	fails(f, -ENOTCONN);
}

static void free_closes_fds_of_half_a_message(void **state)
{
	struct fixture *f = *state;
	struct raw raw = raw_u64(VHU_FE_SET_VRING_KICK, 1);

	send_raw(f->peer, &raw, U64_SIZE - 1, 8);
	receives_nothing(f);
	assert_int_equal(count_fds(), f->fds_before + 2 + 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_comes_from_a_silent_peer),
		TEST(message_byte_by_byte),
		TEST(message_cut_anywhere),
		TEST(message_without_payload),
		TEST(bytes_that_were_not_sent_are_zero),
		TEST(two_messages_of_one_write),
		TEST(fds_stay_with_their_message),
		TEST(fds_may_come_with_any_byte),
		TEST(fds_keep_their_order),
		TEST(too_many_fds_at_once),
		TEST(too_many_fds_in_pieces),
		TEST(oversized_payload_is_refused_unread),
		TEST(huge_payload_is_refused_unread),
		TEST(huge_unknown_request_is_refused_unread),
		TEST(short_payload_is_refused_unread),
		TEST(wrong_version_is_refused_unread),
		TEST(oversized_reply_is_refused_unread),
		TEST(unknown_request_is_delivered_and_the_channel_goes_on),
		TEST(replies_are_let_through),
		TEST(close_between_messages),
		TEST(close_inside_a_message),
		TEST(close_of_a_peer_that_did_not_read),
		TEST(free_closes_fds_of_half_a_message),
	};

	alarm(50);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
