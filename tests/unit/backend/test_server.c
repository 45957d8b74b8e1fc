/* SPDX-License-Identifier: BSD-3-Clause */
/* A server that can accept nobody for a while: it costs nothing, and harms no session. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vhu/log.h>

#include "base/fd.h"
#include "support/rig.h"

#define RING UINT64_C(0x100000)
#define DATA UINT64_C(0x200000)

/* How long it is watched, and how often it may try meanwhile. */
#define WATCHED_MS 250
#define TRIES_MOST 8u

static _Atomic int error_of_accept, listener;
static _Atomic unsigned tries, told_failing, told_refused, told_again;

int __real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int error = atomic_load(&error_of_accept);

	atomic_fetch_add(&tries, 1);
	atomic_store(&listener, fd);
	if (!error)
		return __real_accept4(fd, addr, len, flags);
	errno = error;
	return -1;
}

static void listen_to(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	(void)level;
	(void)subject;
	(void)opaque;
	told_failing += strstr(text, "no front-end can be accepted") != NULL;
	told_refused += strstr(text, "a front-end was refused") != NULL;
	told_again += strstr(text, "accepted again") != NULL;
}

static void fail_with(int error)
{
	tries = told_failing = told_refused = told_again = 0;
	atomic_store(&error_of_accept, error);
}

static struct rig *open_rig(const struct rig_config *config)
{
	struct rig_config listening = *config;
	struct rig *rig;

	listening.listen = true;
	fail_with(0);
	rig = rig_new(&listening);
	rig_open(rig, 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
	return rig;
}

static void do_request(struct rig *rig)
{
	const struct vring_buffer buffer = { DATA, 16, true };
	uint32_t written;

	rig_add(rig, 0, &buffer, 1, rig);
	rig_kick(rig, 0);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
}

static void wait_closed(int fd)
{
	for (int ms = 0; !peer_closed(fd); ms += PEER_QUIET)
		assert_true(ms < PEER_PATIENCE);
}

static void who_can_not_be_accepted_is_looked_at_seldom(void **state)
{
	static const int errors[] = { ENOMEM, ENOBUFS, EMFILE, ENFILE, EINVAL };

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		struct rig *rig = open_rig(*state);
		int second;

		print_message("  %s\n", strerror(errors[i]));
		fail_with(errors[i]);
		second = rig_connect(rig);
		for (unsigned ms = 0; ms < WATCHED_MS; ms += 15) {
			do_request(rig);
			poll(NULL, 0, 15);
		}
		assert_in_range(tries, 2, TRIES_MOST);
		assert_int_equal(told_failing, 1);
		/* It is dealt with as soon as that is possible: the device is in use. */
		atomic_store(&error_of_accept, 0);
		wait_closed(second);
		assert_int_equal(told_again, 1);
		do_request(rig);
		fd_close(&second);
		rig_free(rig);
	}
}

/* Each time that it begins, and not each time that it goes on. */
static void it_is_told_again_when_it_begins_again(void **state)
{
	struct rig *rig = open_rig(*state);

	for (unsigned n = 1; n <= 2; n++) {
		int second;

		atomic_store(&error_of_accept, ENOMEM);
		second = rig_connect(rig);
		poll(NULL, 0, 250);
		atomic_store(&error_of_accept, 0);
		wait_closed(second);
		fd_close(&second);
		assert_int_equal(told_failing, n);
		assert_int_equal(told_again, n);
	}
	rig_free(rig);
}

static void who_has_gone_meanwhile_is_no_failure(void **state)
{
	struct rig *rig = open_rig(*state);
	int second;

	fail_with(ECONNABORTED);
	second = rig_connect(rig);
	while (tries < 2)
		poll(NULL, 0, 1);
	atomic_store(&error_of_accept, 0);
	wait_closed(second);
	assert_int_equal(told_failing + told_refused + told_again, 0);
	fd_close(&second);
	rig_free(rig);
}

/* By whoever has passed it to us. */
static void a_socket_that_was_shut_down_is_looked_at_seldom(void **state)
{
	struct rig_config listening = *(const struct rig_config *)*state;
	struct rig *rig;

	listening.listen = true;
	fail_with(0);
	rig = rig_new(&listening);
	rig_open(rig, 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
	tries = 0;
	assert_int_equal(shutdown(listener, SHUT_RDWR), 0);
	for (unsigned ms = 0; ms < WATCHED_MS; ms += 15) {
		do_request(rig);
		poll(NULL, 0, 15);
	}
	assert_in_range(tries, 1, TRIES_MOST);
	assert_int_equal(told_failing, 1);
	rig_free(rig);
}

static void a_stop_ends_its_rest(void **state)
{
	struct rig *rig = open_rig(*state);
	int second;

	fail_with(ENOMEM);
	second = rig_connect(rig);
	while (!tries)
		poll(NULL, 0, 1);
	rig_stop(rig);
	rig_expect_closed(rig);
	assert_int_equal(rig_wait_end(rig), 0);
	wait_closed(second);
	fd_close(&second);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(who_can_not_be_accepted_is_looked_at_seldom),
		RIG_TEST_BOTH(it_is_told_again_when_it_begins_again),
		RIG_TEST_BOTH(who_has_gone_meanwhile_is_no_failure),
		RIG_TEST_BOTH(a_socket_that_was_shut_down_is_looked_at_seldom),
		RIG_TEST_BOTH(a_stop_ends_its_rest),
	};

	vhu_log_set(listen_to, NULL, VHU_LOG_INFO);
	return cmocka_run_group_tests_name("backend/server", tests, NULL, NULL);
}
