/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conditions that last, made by whoever is at the other end of an fd: they must
 * not keep a thread of the back-end busy. What is measured is its processor time.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

#define RING     UINT64_C(0x100000)
#define DATA     UINT64_C(0x200000)

#define WATCH_MS 300
#define BUSY_MS  30

static int64_t busy_ms(const struct rig *rig)
{
	/* Queue 0 is worker 0's, or the server's own. */
	pthread_t thread = rig->config.n_workers ? rig->worker_threads[0] : rig->server_thread;
	struct timespec spent[2] = { { 0 } };
	pthread_t threads[] = { thread, rig->server_thread };
	int64_t most = 0;

	for (unsigned i = 0; i < 2; i++) {
		clockid_t clock;
		int64_t ms;

		assert_int_equal(pthread_getcpuclockid(threads[i], &clock), 0);
		assert_int_equal(clock_gettime(clock, &spent[i]), 0);
		ms = (int64_t)spent[i].tv_sec * 1000 + spent[i].tv_nsec / 1000000;
		most = ms > most ? ms : most;
	}
	return most;
}

static void expect_rest(const struct rig *rig)
{
	int64_t before = busy_ms(rig);

	poll(NULL, 0, WATCH_MS);
	assert_in_range(busy_ms(rig) - before, 0, BUSY_MS);
}

static struct rig *open_rig(const struct rig_config *config)
{
	struct rig *rig = rig_new(config);

	rig_open(rig, 0);
	return rig;
}

static void expect_works(struct rig *rig)
{
	const struct vring_buffer buffer = { DATA, 16, true };
	uint32_t written;

	rig_add(rig, 0, &buffer, 1, rig);
	rig_kick(rig, 0);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
}

/* It asks and asks, and does not read what it is told. */
static void a_front_end_that_reads_no_replies(void **state)
{
	struct rig *rig = open_rig(*state);
	struct message message;
	unsigned sent = 0;
	int error;

	message_init(&message, VHU_FE_GET_FEATURES);
	for (unsigned quiet = 0; quiet < 20;) {
		error = peer_try_send(rig->main, &message);
		if (error) {
			assert_int_equal(error, -EAGAIN);
			quiet++;
			poll(NULL, 0, 5);
		} else {
			quiet = 0;
			sent++;
		}
	}
	expect_rest(rig);
	/* Nothing is lost by that. */
	for (; sent; sent--)
		rig_expect_u64(rig, VHU_FE_GET_FEATURES);
	rig_expect_silence(rig);
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_QUEUE_NUM), 2);
	rig_free(rig);
}

/* Always readable, and nothing can be read. */
static int make_half_closed(int *other)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
	*other = pair[1];
	return pair[0];
}

static int make_set(int *other)
{
	struct epoll_event event = { .events = EPOLLOUT };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	assert_int_equal(fd_event(other), 0);
	assert_int_equal(epoll_ctl(fd, EPOLL_CTL_ADD, *other, &event), 0);
	return fd;
}

static int make_listener(int *other)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address.sun_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*other, (struct sockaddr *)&address, size), 0);
	return fd;
}

static void a_kick_fd_that_is_ready_for_ever(void **state)
{
	static int (*const make[])(int *) = { make_half_closed, make_set, make_listener };

	for (unsigned i = 0; i < ARRAY_SIZE(make); i++) {
		struct rig *rig = open_rig(*state);
		int other, fd = make[i](&other);

		print_message("  %u\n", i);
		rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
		/* May be refused; either way the ring goes on with the next. */
		rig_set_vring_fd(rig, VHU_FE_SET_VRING_KICK, 0, fd);
		fd_close(&fd);
		expect_rest(rig);
		assert_int_equal(
			rig_set_vring_fd(rig, VHU_FE_SET_VRING_KICK, 0, rig->rings[0].kick), 0);
		expect_works(rig);
		fd_close(&other);
		rig_free(rig);
	}
}

/* All fds are in use, and somebody knocks. */
static void a_connection_for_which_there_is_no_fd(void **state)
{
	const struct rig_config *threads = *state;
	struct rig_config config = { .listen = true, .n_workers = threads->n_workers };
	struct rig *rig = open_rig(&config);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), lowest;
	struct rlimit before, none;
	bool closed;

	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	lowest = dup(fd);
	none = before;
	none.rlim_cur = (rlim_t)lowest;
	fd_close(&lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&rig->address, rig->address_size), 0);
	/* B2: refused at once, never left hanging. */
	closed = peer_closed(fd);
	expect_rest(rig);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(closed);
	fd_close(&fd);
	expect_works(rig);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(a_front_end_that_reads_no_replies),
		RIG_TEST_BOTH(a_kick_fd_that_is_ready_for_ever),
		RIG_TEST_BOTH(a_connection_for_which_there_is_no_fd),
	};

	return cmocka_run_group_tests_name("session/hostile_spin", tests, NULL, NULL);
}
