/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending: the queue, its bound, few system calls, and a socket that is full. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/channel.h"

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

struct fixture {
	struct channel *sender;
	struct channel *receiver;
	unsigned fds_before;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	int fds[2];

	fixture.fds_before = count_fds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(channel_new(fds[0], MESSAGE_MAIN, &fixture.sender), 0);
	assert_int_equal(channel_new(fds[1], MESSAGE_MAIN, &fixture.receiver), 0);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	channel_free(f->sender);
	channel_free(f->receiver);
	return count_fds() == f->fds_before ? 0 : -1;
}

/* The least that the kernel allows: a few messages fill it. */
static void shrink(struct fixture *f)
{
	int size = 1;

	assert_int_equal(
		setsockopt(channel_fd(f->sender), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

/* Number @i of a series; each third is large, each @fds_each-th has fds. */
static struct message numbered(unsigned i, unsigned fds_each)
{
	struct message message;

	message_init(&message, i % 3 ? VHU_FE_SET_STATUS : VHU_FE_CREATE_CRYPTO_SESSION);
	message.header.size = i % 3 ? 8 : VHU_PAYLOAD_MAX;
	memset(&message.payload, (int)(i & 0xff), message.header.size);
	message.payload.u64 = i;
	if (fds_each && i % fds_each == 0) {
		message.n_fds = 2;
		message.fds[0] = message.fds[1] = STDERR_FILENO;
	}
	return message;
}

static void is_numbered(const struct message *message, unsigned i, unsigned fds_each)
{
	struct message due = numbered(i, fds_each);

	assert_memory_equal(&message->header, &due.header, sizeof(due.header));
	assert_memory_equal(&message->payload, &due.payload, due.header.size);
	assert_int_equal(message->n_fds, due.n_fds);
}

/* Receives numbered messages from *@next on; how many came. */
static unsigned drain(struct fixture *f, unsigned *next, unsigned fds_each)
{
	struct message message;
	unsigned n = 0;

	while (channel_recv(f->receiver, &message) == 1) {
		is_numbered(&message, (*next)++, fds_each);
		message_close_fds(&message);
		n++;
	}
	return n;
}

static void queued_messages_go_in_one_call(void **state)
{
	struct fixture *f = *state;
	unsigned next = 0;

	for (unsigned i = 0; i < 10; i++) {
		struct message message = numbered(i, 0);

		assert_int_equal(channel_queue(f->sender, &message), 0);
	}
	assert_int_equal(channel_waiting(f->sender), 10);
	assert_int_equal(channel_stats(f->sender).sends, 0);
	assert_int_equal(drain(f, &next, 0), 0);
	assert_int_equal(channel_flush(f->sender), 0);
	assert_int_equal(channel_stats(f->sender).sends, 1);
	assert_int_equal(channel_waiting(f->sender), 0);
	assert_int_equal(drain(f, &next, 0), 10);
	assert_int_equal(channel_flush(f->sender), 0);
	assert_int_equal(channel_stats(f->sender).sends, 1);
}

static void messages_with_fds_start_a_call(void **state)
{
	struct fixture *f = *state;
	unsigned next = 0;

	for (unsigned i = 0; i < 9; i++) {
		struct message message = numbered(i, 4);

		assert_int_equal(channel_queue(f->sender, &message), 0);
	}
	assert_int_equal(channel_flush(f->sender), 0);
	/* 0; 1 to 3; 4; 5 to 7; 8 */
	assert_int_equal(channel_stats(f->sender).sends, 5);
	assert_int_equal(drain(f, &next, 4), 9);
}

static void callers_keep_their_fds(void **state)
{
	struct fixture *f = *state;
	struct message message, received;

	message_init(&message, VHU_FE_SET_LOG_FD);
	message.n_fds = 1;
	message.fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(channel_queue(f->sender, &message), 0);
	assert_true(fcntl(message.fds[0], F_GETFD) >= 0);
	message_close_fds(&message);
	assert_int_equal(channel_flush(f->sender), 0);
	/* Two sockets; what waited is closed, what was sent is in the kernel's hands. */
	assert_int_equal(count_fds(), f->fds_before + 2);
	assert_int_equal(channel_recv(f->receiver, &received), 1);
	assert_int_equal(received.n_fds, 1);
	message_close_fds(&received);
}

static void full_socket_keeps_order_and_fds(void **state)
{
	struct fixture *f = *state;
	unsigned next = 0, queued = 0;
	bool was_partial = false;

	shrink(f);
	while (next < 400) {
		struct message message = numbered(queued, 5);
		int ret = channel_send(f->sender, &message);

		assert_true(ret == 0 || ret == -ENOBUFS);
		queued += ret == 0;
		was_partial |= channel_in_message(f->sender);
		if (channel_waiting(f->sender) < 20)
			continue;
		assert_int_equal(channel_flush(f->sender), -EAGAIN);
		assert_true(drain(f, &next, 5) > 0 || channel_in_message(f->sender));
	}
	while (next < queued) {
		channel_flush(f->sender);
		drain(f, &next, 5);
	}
	assert_int_equal(channel_waiting(f->sender), 0);
	assert_true(was_partial);
}

static void queue_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct message message = numbered(1, 1);
	unsigned before;

	for (unsigned i = 0; i < CHANNEL_QUEUE_MAX; i++) {
		message.n_fds = i < 4 ? 2 : 0;
		assert_int_equal(channel_queue(f->sender, &message), 0);
	}
	before = count_fds();
	message.n_fds = 2;
	assert_int_equal(channel_queue(f->sender, &message), -ENOBUFS);
	assert_int_equal(channel_send(f->sender, &message), -ENOBUFS);
	assert_int_equal(count_fds(), before);
	assert_int_equal(channel_waiting(f->sender), CHANNEL_QUEUE_MAX);
}

/* Slots are used again and again, also where the queue wraps. */
static void queue_wraps(void **state)
{
	struct fixture *f = *state;
	unsigned next = 0;

	for (unsigned i = 0; i < 3 * CHANNEL_QUEUE_MAX; i++) {
		struct message message = numbered(i, 7);

		assert_int_equal(channel_queue(f->sender, &message), 0);
		if (i % 5)
			continue;
		assert_int_equal(channel_flush(f->sender), 0);
		drain(f, &next, 7);
	}
	channel_flush(f->sender);
	drain(f, &next, 7);
	assert_int_equal(next, 3 * CHANNEL_QUEUE_MAX);
}

static void failed_dup_queues_nothing(void **state)
{
	struct fixture *f = *state;
	struct message message = numbered(3, 0);

	message.n_fds = 2;
	message.fds[0] = STDERR_FILENO;
	message.fds[1] = -1;
	assert_int_equal(channel_queue(f->sender, &message), -EBADF);
	assert_int_equal(channel_waiting(f->sender), 0);
	assert_int_equal(count_fds(), f->fds_before + 2);
}

static void no_fd_left_is_an_error_of_that_message_alone(void **state)
{
	struct fixture *f = *state;
	struct message message = numbered(1, 1);
	struct rlimit limit, none;
	unsigned next = 2;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ STDERR_FILENO + 1, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(channel_queue(f->sender, &message), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	message = numbered(2, 0);
	assert_int_equal(channel_send(f->sender, &message), 0);
	assert_int_equal(drain(f, &next, 0), 1);
}

/* Queues until the first waiting message is partly sent; the number of the next. */
static unsigned fill_to_partial(struct fixture *f)
{
	unsigned i = 0;

	shrink(f);
	while (!channel_in_message(f->sender)) {
		struct message message = numbered(3 * i, 0);

		assert_true(i < CHANNEL_QUEUE_MAX);
		assert_int_equal(channel_queue(f->sender, &message), 0);
		i++;
		if (channel_waiting(f->sender) >= 8)
			assert_int_equal(channel_flush(f->sender), -EAGAIN);
	}
	return i;
}

static void S6_dropping_keeps_what_is_partly_sent(void **state)
{
	struct fixture *f = *state;
	unsigned queued = fill_to_partial(f);
	unsigned waiting = channel_waiting(f->sender);
	struct message message;
	unsigned received = 0;

	assert_true(waiting > 1);
	assert_int_equal(channel_drop_waiting(f->sender), waiting - 1);
	assert_int_equal(channel_waiting(f->sender), 1);
	assert_int_equal(channel_drop_waiting(f->sender), 0);
	for (unsigned tries = 0; tries < 1000 && channel_waiting(f->sender); tries++) {
		channel_flush(f->sender);
		while (channel_recv(f->receiver, &message) == 1)
			is_numbered(&message, 3 * received++, 0);
	}
	while (channel_recv(f->receiver, &message) == 1)
		is_numbered(&message, 3 * received++, 0);
	assert_int_equal(received, queued - (waiting - 1));
	/* The stream is whole: the next message is read as one. */
	message = numbered(1, 0);
	assert_int_equal(channel_send(f->sender, &message), 0);
	assert_int_equal(channel_recv(f->receiver, &message), 1);
	is_numbered(&message, 1, 0);
}

static void dropping_closes_fds(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 5; i++) {
		struct message message = numbered(i, 1);

		assert_int_equal(channel_queue(f->sender, &message), 0);
	}
	assert_int_equal(count_fds(), f->fds_before + 2 + 10);
	assert_int_equal(channel_drop_waiting(f->sender), 5);
	assert_int_equal(count_fds(), f->fds_before + 2);
	assert_int_equal(channel_flush(f->sender), 0);
	assert_int_equal(channel_stats(f->sender).sends, 0);
}

static void free_closes_what_waits(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 20; i++) {
		struct message message = numbered(i, 2);

		assert_int_equal(channel_queue(f->sender, &message), 0);
	}
	/* tear_down() counts. */
}

static void dead_peer_raises_no_signal(void **state)
{
	struct fixture *f = *state;
	struct message message = numbered(0, 1);

	channel_free(f->receiver);
	f->receiver = NULL;
	assert_int_equal(channel_send(f->sender, &message), -EPIPE);
	assert_int_equal(channel_flush(f->sender), -EPIPE);
}

static void only_sockets_become_channels(void **state)
{
	struct channel *channel = NULL;

	assert_int_equal(channel_new(-1, MESSAGE_MAIN, &channel), -EBADF);
	assert_null(channel);
	channel_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(queued_messages_go_in_one_call),
		TEST(messages_with_fds_start_a_call),
		TEST(callers_keep_their_fds),
		TEST(full_socket_keeps_order_and_fds),
		TEST(queue_is_bounded),
		TEST(queue_wraps),
		TEST(failed_dup_queues_nothing),
		TEST(no_fd_left_is_an_error_of_that_message_alone),
		TEST(S6_dropping_keeps_what_is_partly_sent),
		TEST(dropping_closes_fds),
		TEST(free_closes_what_waits),
		TEST(dead_peer_raises_no_signal),
		TEST(only_sockets_become_channels),
	};

	alarm(50);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
