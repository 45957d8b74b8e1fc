/* SPDX-License-Identifier: BSD-3-Clause */
/* Listening and connecting by path, and what may lie at the path already. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/socket.h"

struct fixture {
	char folder[64];
	char path[96];
};

static int set_up(void **state)
{
	static struct fixture fixture;

	strcpy(fixture.folder, "/tmp/vhu-socket-XXXXXX");
	assert_non_null(mkdtemp(fixture.folder));
	snprintf(fixture.path, sizeof(fixture.path), "%s/socket", fixture.folder);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	return rmdir(f->folder);
}

static void refuses_to_listen(const char *path, int error)
{
	struct socket_fault why = { "" };
	int fd = -1;

	assert_int_equal(socket_listen(path, &fd, &why), error);
	assert_int_equal(fd, -1);
	assert_int_not_equal(why.text[0], '\0');
}

static int listen_at(const char *path)
{
	struct socket_fault why;
	int fd = -1;

	assert_int_equal(socket_listen(path, &fd, &why), 0);
	assert_true(fd >= 0);
	return fd;
}

static void listeners_can_be_connected_to(void **state)
{
	struct fixture *f = *state;
	struct socket_fault why;
	int listener = listen_at(f->path);
	int connected, accepted;
	bool listening;

	assert_int_equal(socket_connect(f->path, 0, &connected, &why), 0);
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(write(connected, "x", 1), 1);
	assert_int_equal(socket_kind(listener, &listening), 0);
	assert_true(listening);
	assert_int_equal(socket_kind(connected, &listening), 0);
	assert_false(listening);
	close(accepted);
	close(connected);
	close(listener);
}

static void sockets_do_not_block_nor_survive_exec(void **state)
{
	struct fixture *f = *state;
	struct socket_fault why;
	int listener = listen_at(f->path);
	int fds[2] = { listener, -1 };

	assert_int_equal(socket_connect(f->path, 0, &fds[1], &why), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
}

static void stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct socket_fault why;
	int fd;

	close(listen_at(f->path));
	assert_int_equal(access(f->path, F_OK), 0);
	assert_int_equal(socket_connect(f->path, 0, &fd, &why), -ECONNREFUSED);
	fd = listen_at(f->path);
	close(fd);
}

static void live_socket_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct socket_fault why;
	int listener = listen_at(f->path);
	int fd;

	refuses_to_listen(f->path, -EADDRINUSE);
	assert_int_equal(socket_connect(f->path, 0, &fd, &why), 0);
	close(fd);
	close(listener);
}

/* One that is too busy to take another connection is alive too. */
static void busy_socket_is_left_alone(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct fixture *f = *state;
	struct socket_fault why;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fds[8];
	unsigned n = 0;

	strcpy(address.sun_path, f->path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 0), 0);
	while (n < 8 && socket_connect(f->path, 0, &fds[n], &why) == 0)
		n++;
	assert_true(n < 8);
	refuses_to_listen(f->path, -EADDRINUSE);
	while (n)
		close(fds[--n]);
	close(listener);
}

static void datagram_socket_is_left_alone(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct fixture *f = *state;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	refuses_to_listen(f->path, -EADDRINUSE);
	close(fd);
}

static void file_is_left_alone(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct stat st;

	assert_int_equal(write(fd, "data", 4), 4);
	close(fd);
	refuses_to_listen(f->path, -EEXIST);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 4);
}

static void link_is_not_followed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlink("/nowhere", f->path), 0);
	refuses_to_listen(f->path, -EEXIST);
}

static void path_of_107_bytes_is_the_longest(void **state)
{
	struct fixture *f = *state;
	struct socket_fault why = { "" };
	char path[128];
	int fd;

	memset(path, 'x', sizeof(path));
	memcpy(path, f->path, strlen(f->path));
	path[108] = '\0';
	refuses_to_listen(path, -ENAMETOOLONG);
	assert_int_equal(socket_connect(path, 0, &fd, &why), -ENAMETOOLONG);
	path[107] = '\0';
	fd = listen_at(path);
	close(fd);
	assert_int_equal(socket_connect(path, 0, &fd, &why), -ECONNREFUSED);
	unlink(path);
	refuses_to_listen("", -EINVAL);
}

static void missing_folder_is_named(void **state)
{
	struct socket_fault why;
	int fd;

	assert_int_equal(socket_listen("/nonexistent/socket", &fd, &why), -ENOENT);
	assert_non_null(strstr(why.text, "/nonexistent/socket"));
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void connect_gives_up_after_its_time(void **state)
{
	struct fixture *f = *state;
	struct socket_fault why = { "" };
	int64_t start = now_ms();
	int fd;

	assert_int_equal(socket_connect(f->path, 50, &fd, &why), -ENOENT);
	assert_true(now_ms() - start >= 50);
	assert_non_null(strstr(why.text, f->path));
}

static void *listen_later(void *opaque)
{
	const char *path = opaque;
	const struct timespec delay = { 0, 30000000 };
	static int listener;
	struct socket_fault why;

	nanosleep(&delay, NULL);
	return socket_listen(path, &listener, &why) == 0 ? &listener : NULL;
}

static void connect_waits_for_a_listener(void **state)
{
	struct fixture *f = *state;
	struct socket_fault why;
	pthread_t thread;
	void *listener;
	int fd;

	assert_int_equal(pthread_create(&thread, NULL, listen_later, f->path), 0);
	assert_int_equal(socket_connect(f->path, 20000, &fd, &why), 0);
	assert_int_equal(pthread_join(thread, &listener), 0);
	assert_non_null(listener);
	close(*(int *)listener);
	close(fd);
}

static void other_fds_are_told_apart(void **state)
{
	bool listening;
	int fds[2];

	assert_int_equal(socket_kind(-1, &listening), -EBADF);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(socket_kind(fds[0], &listening), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	fds[0] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(socket_kind(fds[0], &listening), -EPROTOTYPE);
	close(fds[0]);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[0] >= 0)
		assert_int_equal(socket_kind(fds[0], &listening), -EPROTOTYPE);
	close(fds[0]);
	fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(socket_kind(fds[0], &listening), -ENOTCONN);
	close(fds[0]);
	/* One whose peer has gone was connected. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	close(fds[1]);
	assert_int_equal(socket_kind(fds[0], &listening), 0);
	assert_false(listening);
	close(fds[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(listeners_can_be_connected_to),
		TEST(sockets_do_not_block_nor_survive_exec),
		TEST(stale_socket_is_replaced),
		TEST(live_socket_is_left_alone),
		TEST(busy_socket_is_left_alone),
		TEST(datagram_socket_is_left_alone),
		TEST(file_is_left_alone),
		TEST(link_is_not_followed),
		TEST(path_of_107_bytes_is_the_longest),
		TEST(missing_folder_is_named),
		TEST(connect_gives_up_after_its_time),
		TEST(connect_waits_for_a_listener),
		TEST(other_fds_are_told_apart),
	};

	alarm(50);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
