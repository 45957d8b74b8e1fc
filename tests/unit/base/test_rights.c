/* SPDX-License-Identifier: BSD-3-Clause */
/* Fds that are passed on by sockets: put, taken, and closed where there is no room. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/check.h"

#define ROOM 8u

union control {
	struct cmsghdr header;
	unsigned char bytes[CMSG_SPACE(ROOM * sizeof(int)) + 64];
};

static int open_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(folder);
	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

/* A byte, and @n times the fd of /dev/null. */
static void send_nulls(int socket, unsigned n)
{
	union control control;
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
	int fds[ROOM], null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(null >= 0);
	for (unsigned i = 0; i < n; i++)
		fds[i] = null;
	if (n)
		fd_put_rights(&msg, fds, n);
	else
		msg.msg_control = NULL;
	assert_int_equal(sendmsg(socket, &msg, 0), 1);
	fd_close(&null);
}

struct arrival {
	struct msghdr msg;
	union control control;
};

/* With room for @room fds in what the kernel is given. */
static void receive(int socket, unsigned room, struct arrival *ret)
{
	static char byte;
	static struct iovec iov = { &byte, 1 };

	ret->msg = (struct msghdr){ .msg_iov = &iov,
		                    .msg_iovlen = 1,
		                    .msg_control = &ret->control,
		                    .msg_controllen = room ? CMSG_SPACE(room * sizeof(int)) : 0 };
	assert_int_equal(recvmsg(socket, &ret->msg, MSG_CMSG_CLOEXEC), 1);
}

static bool is_null(int fd)
{
	char byte;

	return fcntl(fd, F_GETFD) == FD_CLOEXEC && read(fd, &byte, 1) == 0;
}

static void fds_arrive_within_their_bounds(void **state)
{
	static const struct {
		unsigned sent, room, held, max;
		bool fits;
		unsigned taken;
	} table[] = {
		{ 0, 8, 0, 8, true, 0 },
		{ 1, 8, 0, 8, true, 1 },
		{ 8, 8, 0, 8, true, 8 },
		{ 3, 8, 2, 8, true, 5 },
		{ 3, 8, 2, 4, false, 4 },
		{ 8, 8, 0, 1, false, 1 },
		{ 2, 8, 4, 4, false, 4 },
		{ 1, 8, 0, 0, false, 0 },
		/* What the kernel had no room for it has closed, and says so; by alignment
		 * there is room for one more than an odd number. */
		{ 8, 2, 0, 8, false, 2 },
		{ 8, 2, 1, 2, false, 2 },
		{ 1, 0, 0, 8, false, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		int fds[ROOM + 1], pair[2], before = open_fds();
		unsigned n = table[i].held;
		struct arrival arrival;

		memset(fds, 0xff, sizeof(fds));
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		send_nulls(pair[0], table[i].sent);
		receive(pair[1], table[i].room, &arrival);
		assert_int_equal(fd_take_rights(&arrival.msg, fds, &n, table[i].max),
		                 table[i].fits);
		assert_int_equal(n, table[i].taken);
		for (unsigned j = 0; j <= ROOM; j++)
			assert_int_equal(is_null(fds[j]), j >= table[i].held && j < n);
		for (unsigned j = 0; j < n; j++)
			fd_close(&fds[j]);
		fd_close(&pair[0]);
		fd_close(&pair[1]);
		assert_int_equal(open_fds(), before);
	}
}

/* The number of a process among them is no fd. */
static void other_control_messages_are_passed_over(void **state)
{
	int fds[ROOM], pair[2], on = 1;
	struct arrival arrival;
	unsigned n = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	send_nulls(pair[0], 2);
	receive(pair[1], ROOM + 8, &arrival);
	assert_int_equal(CMSG_FIRSTHDR(&arrival.msg)->cmsg_type, SCM_CREDENTIALS);
	assert_true(fd_take_rights(&arrival.msg, fds, &n, ROOM));
	assert_int_equal(n, 2);
	assert_true(is_null(fds[0]) && is_null(fds[1]));
	for (unsigned i = 0; i < n; i++)
		fd_close(&fds[i]);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static void waiting_ends_by_an_event_or_in_time(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fd_wait(pair[0], POLLIN, 1), -ETIMEDOUT);
	assert_int_equal(fd_wait(pair[0], POLLOUT, 1000), 0);
	send_nulls(pair[1], 0);
	assert_int_equal(fd_wait(pair[0], POLLIN, 1000), 0);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fds_arrive_within_their_bounds),
		cmocka_unit_test(other_control_messages_are_passed_over),
		cmocka_unit_test(waiting_ends_by_an_event_or_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
