/* SPDX-License-Identifier: BSD-3-Clause */
/* Eventfds and what may be handed over in their place: pipes, sockets, files. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/check.h"

static void closing_forgets_the_number_and_keeps_errno(void **state)
{
	int fd = dup(0), none = -1, copy = fd;

	(void)state;
	assert_true(fd >= 0);
	errno = EXDEV;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	/* A number that is no fd fails, which nobody is told. */
	errno = EXDEV;
	fd = copy;
	fd_close(&fd);
	fd_close(&none);
	assert_int_equal(none, -1);
	assert_int_equal(errno, EXDEV);
}

static void an_event_is_nonblocking_and_stays_in_this_program(void **state)
{
	int fd = -1;

	(void)state;
	assert_int_equal(fd_event(&fd), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fd_is_anonymous(fd));
	fd_close(&fd);
}

static void an_event_that_can_not_be_made_leaves_the_result_alone(void **state)
{
	struct rlimit old, none;
	int fd = -7;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ 0, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(fd_event(&fd), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(fd, -7);
}

static void signals_are_taken_at_once(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(fd_event(&fd), 0);
	assert_int_equal(fd_take(fd), -EAGAIN);
	assert_false(fd_drain(fd));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fd_signal(fd), 0);
	assert_int_equal(fd_take(fd), 0);
	assert_int_equal(fd_take(fd), -EAGAIN);
	assert_int_equal(fd_signal(fd), 0);
	assert_true(fd_drain(fd));
	assert_false(fd_drain(fd));
	fd_close(&fd);
}

static void a_full_counter_is_signalled_already(void **state)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd;

	(void)state;
	assert_int_equal(fd_event(&fd), 0);
	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
	assert_int_equal(fd_signal(fd), 0);
	assert_true(fd_drain(fd));
	fd_close(&fd);
}

static void a_pipe_is_signalled_and_taken_until_its_end(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(pipe2(pair, O_NONBLOCK | O_CLOEXEC), 0);
	assert_false(fd_is_anonymous(pair[0]));
	assert_int_equal(fd_take(pair[0]), -EAGAIN);
	assert_int_equal(fd_signal(pair[1]), 0);
	assert_int_equal(fd_take(pair[0]), 0);
	assert_int_equal(fd_take(pair[0]), -EAGAIN);
	/* Full: like a counter that is full. */
	while (write(pair[1], pair, sizeof(pair)) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd_signal(pair[1]), 0);
	while (fd_drain(pair[0]))
		;
	/* The end is readable for ever, and not to be taken for a signal. */
	fd_close(&pair[1]);
	assert_int_equal(fd_take(pair[0]), -ENODATA);
	assert_false(fd_drain(pair[0]));
	fd_close(&pair[0]);
}

static void what_is_not_open_can_not_be_signalled(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(fd_signal(-1), -EBADF);
	assert_int_equal(fd_take(-1), -EBADF);
	assert_int_equal(fd_set_nonblocking(-1), -EBADF);
	assert_false(fd_is_anonymous(-1));
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fd_signal(fd), -EBADF);
	fd_close(&fd);
}

static void semaphores_are_taken_one_by_one(void **state)
{
	int fd = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_true(fd_drain(fd));
	assert_true(fd_drain(fd));
	assert_false(fd_drain(fd));
	fd_close(&fd);
}

static void blocking_ends_where_it_is_told_to(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_nonblocking(fd), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_take(fd), -EAGAIN);
	fd_close(&fd);
}

static void what_has_a_type_is_not_anonymous(void **state)
{
	int file = memfd_create("file", MFD_CLOEXEC), pair[2];

	(void)state;
	assert_true(file >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_false(fd_is_anonymous(file));
	assert_false(fd_is_anonymous(pair[0]));
	fd_close(&file);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static void a_peer_is_gone_when_it_has_closed_and_not_before(void **state)
{
	int pair[2];
	char byte = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_false(fd_peer_gone(pair[0]));
	assert_int_equal(write(pair[1], "x", 1), 1);
	assert_false(fd_peer_gone(pair[0]));
	fd_close(&pair[1]);
	assert_true(fd_peer_gone(pair[0]));
	/* What it said last is still there. */
	assert_int_equal(read(pair[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_true(fd_peer_gone(pair[0]));
	fd_close(&pair[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closing_forgets_the_number_and_keeps_errno),
		cmocka_unit_test(an_event_is_nonblocking_and_stays_in_this_program),
		cmocka_unit_test(an_event_that_can_not_be_made_leaves_the_result_alone),
		cmocka_unit_test(signals_are_taken_at_once),
		cmocka_unit_test(a_full_counter_is_signalled_already),
		cmocka_unit_test(a_pipe_is_signalled_and_taken_until_its_end),
		cmocka_unit_test(what_is_not_open_can_not_be_signalled),
		cmocka_unit_test(semaphores_are_taken_one_by_one),
		cmocka_unit_test(blocking_ends_where_it_is_told_to),
		cmocka_unit_test(what_has_a_type_is_not_anonymous),
		cmocka_unit_test(a_peer_is_gone_when_it_has_closed_and_not_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
