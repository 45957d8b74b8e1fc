/* SPDX-License-Identifier: BSD-3-Clause */
/* The fds of a ring: replaced while it runs, absent, and of kinds nobody should send. */
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

#define RING UINT64_C(0x100000)
#define DATA UINT64_C(0x200000)

static struct rig *open_rig(const struct rig_config *config)
{
	struct rig *rig = rig_new(config);

	rig_open(rig, 0);
	return rig;
}

static void start(struct rig *rig)
{
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	return poll(&poller, 1, timeout_ms) == 1;
}

static void add(struct rig *rig)
{
	const struct vring_buffer buffer = { DATA, 16, true };

	rig_add(rig, 0, &buffer, 1, rig);
	rig_kick(rig, 0);
}

static void wait_used(struct rig *rig)
{
	uint32_t written;

	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(written, 16);
}

/* The fd's other holder is the test; returns what was in force before. */
static int replace(struct rig *rig, uint32_t request, int *mine, int fd)
{
	int old = *mine;

	assert_int_equal(rig_set_vring_fd(rig, request, 0, fd), 0);
	*mine = fd;
	return old;
}

static void a_call_fd_is_replaced_while_the_ring_runs(void **state)
{
	struct rig *rig = open_rig(*state);

	start(rig);
	for (unsigned i = 0; i < 20; i++) {
		struct census before = rig_census(rig);
		int fd, old;

		assert_int_equal(fd_event(&fd), 0);
		old = replace(rig, VHU_FE_SET_VRING_CALL, &rig->rings[0].call, fd);
		fd_drain(old);
		add(rig);
		assert_true(is_readable(fd, PEER_PATIENCE));
		assert_false(is_readable(old, 0));
		wait_used(rig);
		fd_close(&old);
		rig_census(rig);
		census_check(before);
	}
	rig_free(rig);
}

/* A guest's notifier is masked: used elements are published, and nobody is told. */
static void without_a_call_fd_the_driver_polls(void **state)
{
	struct rig *rig = open_rig(*state);
	uint32_t written;
	int fd;

	start(rig);
	assert_int_equal(rig_set_vring_fd(rig, VHU_FE_SET_VRING_CALL, 0, -1), 0);
	add(rig);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_false(is_readable(rig->rings[0].call, PEER_QUIET));
	/* unmasked: it is owed a call */
	assert_int_equal(fd_event(&fd), 0);
	fd = replace(rig, VHU_FE_SET_VRING_CALL, &rig->rings[0].call, fd);
	fd_close(&fd);
	assert_true(is_readable(rig->rings[0].call, PEER_PATIENCE));
	fd_drain(rig->rings[0].call);
	/* and once is enough */
	assert_int_equal(rig_set_vring_fd(rig, VHU_FE_SET_VRING_CALL, 0, rig->rings[0].call), 0);
	assert_false(is_readable(rig->rings[0].call, PEER_QUIET));
	add(rig);
	wait_used(rig);
	rig_free(rig);
}

static void a_kick_fd_is_replaced_while_the_ring_runs(void **state)
{
	struct rig *rig = open_rig(*state);

	start(rig);
	for (unsigned i = 0; i < 20; i++) {
		struct census before = rig_census(rig);
		int fd, old;

		assert_int_equal(fd_event(&fd), 0);
		old = replace(rig, VHU_FE_SET_VRING_KICK, &rig->rings[0].kick, fd);
		fd_close(&old);
		add(rig);
		wait_used(rig);
		rig_census(rig);
		census_check(before);
	}
	rig_free(rig);
}

/* S7: what was made available before the new fd, and kicked for through the old one. */
static void a_kick_that_the_old_fd_had_is_not_lost(void **state)
{
	const struct vring_buffer buffer = { DATA, 16, true };
	struct rig *rig = open_rig(*state);
	int fd;

	start(rig);
	rig_add(rig, 0, &buffer, 1, rig);
	vring_driver_kick_needed(rig->rings[0].driver);
	assert_int_equal(fd_event(&fd), 0);
	fd = replace(rig, VHU_FE_SET_VRING_KICK, &rig->rings[0].kick, fd);
	fd_close(&fd);
	wait_used(rig);
	rig_free(rig);
}

static void a_ring_without_a_kick_fd_is_refused(void **state)
{
	struct rig *rig = open_rig(*state);

	assert_int_not_equal(rig_set_vring_fd(rig, VHU_FE_SET_VRING_KICK, 0, -1), 0);
	start(rig);
	assert_int_not_equal(rig_set_vring_fd(rig, VHU_FE_SET_VRING_KICK, 0, -1), 0);
	add(rig);
	wait_used(rig);
	rig_free(rig);
}

static void the_bit_and_the_fd_must_agree(void **state)
{
	static const uint32_t requests[] = { VHU_FE_SET_VRING_KICK, VHU_FE_SET_VRING_CALL,
		                             VHU_FE_SET_VRING_ERR };
	struct rig *rig = open_rig(*state);
	struct census before = rig_census(rig);

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		struct message message;

		message_init(&message, requests[i]);
		message.header.size = 8;
		assert_int_not_equal(rig_call(rig, &message), 0);
		message.payload.u64 = VHU_VRING_NOFD;
		assert_int_equal(fd_event(&message.fds[0]), 0);
		message.n_fds = 1;
		assert_int_not_equal(rig_call(rig, &message), 0);
		message.payload.u64 = 0;
		message.fds[1] = message.fds[0];
		message.n_fds = 2;
		assert_int_not_equal(rig_call(rig, &message), 0);
		fd_close(&message.fds[0]);
	}
	rig_census(rig);
	census_check(before);
	rig_free(rig);
}

static void fds_of_a_stopped_ring_are_replaced_and_closed(void **state)
{
	static const uint32_t requests[] = { VHU_FE_SET_VRING_KICK, VHU_FE_SET_VRING_CALL,
		                             VHU_FE_SET_VRING_ERR };
	struct rig *rig = open_rig(*state);
	int fd;

	assert_int_equal(fd_event(&fd), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		struct census before;

		assert_int_equal(rig_set_vring_fd(rig, requests[i], 1, fd), 0);
		before = rig_census(rig);
		for (unsigned n = 0; n < 10; n++)
			assert_int_equal(rig_set_vring_fd(rig, requests[i], 1, fd), 0);
		rig_census(rig);
		census_check(before);
	}
	fd_close(&fd);
	rig_free(rig);
}

/* A counter that is full and would block: the driver has been told already. */
static void a_full_call_counter_blocks_nobody(void **state)
{
	const uint64_t full = UINT64_MAX - 1;
	struct rig *rig = open_rig(*state);
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	start(rig);
	assert_int_equal(rig_set_vring_fd(rig, VHU_FE_SET_VRING_CALL, 0, fd), 0);
	for (unsigned i = 0; i < 3; i++) {
		add(rig);
		wait_used(rig);
	}
	rig_ring_stop(rig, 0);
	fd_close(&fd);
	rig_free(rig);
}

/* An end of a pipe or of a socket pair whose other end is closed, so that writing raises SIGPIPE.
 */
static int make_deadly_fd(bool pipes)
{
	int pair[2];

	assert_int_equal(pipes ? pipe(pair) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fd_close(&pair[0]);
	return pair[1];
}

static void nothing_that_is_signalled_raises_SIGPIPE(void **state)
{
	static const uint32_t requests[] = { VHU_FE_SET_VRING_CALL, VHU_FE_SET_VRING_ERR };
	struct rig *rig = open_rig(*state);

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(requests); i++) {
		int fd = make_deadly_fd(i % 2);

		start(rig);
		rig_set_vring_fd(rig, requests[i / 2], 0, fd);
		add(rig);
		wait_used(rig);
		/* the ring breaks, which is to be signalled, too */
		*(uint16_t *)rig_ptr(rig, RING + 16 * 16 + 2, 2) = 0x8000;
		assert_int_equal(fd_signal(rig->rings[0].kick), 0);
		rig_expect_unused(rig, 0);
		rig_ring_stop(rig, 0);
		fd_close(&fd);
	}
	rig_free(rig);
}

/* What can't be polled can't be waited for: an error, and the ring may have another. */
static void a_kick_fd_that_cannot_be_polled_is_refused(void **state)
{
	struct rig *rig = open_rig(*state);
	int fd = memfd_create("no event", MFD_CLOEXEC);

	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING, .disabled = true });
	if (rig_set_vring_fd(rig, VHU_FE_SET_VRING_KICK, 0, fd) == 0)
		assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_ENABLE, 0, 1), 0);
	rig_ring_stop(rig, 0);
	start(rig);
	add(rig);
	wait_used(rig);
	assert_int_not_equal(rig_set_vring_fd(rig, VHU_FE_SET_VRING_KICK, 0, fd), 0);
	rig_ring_stop(rig, 0);
	start(rig);
	add(rig);
	wait_used(rig);
	fd_close(&fd);
	rig_free(rig);
}

/* The other end of a pipe, or socket, goes away: no event, and no endless loop. */
static void a_kick_fd_whose_writer_has_gone_is_let_go(void **state)
{
	struct rig *rig = open_rig(*state);

	for (unsigned i = 0; i < 2; i++) {
		struct vhu_stats before;
		int pair[2], refused;

		start(rig);
		assert_int_equal(i ? pipe(pair) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		refused = rig_set_vring_fd(rig, VHU_FE_SET_VRING_KICK, 0, pair[0]) != 0;
		fd_close(&pair[0]);
		before = rig_stats(rig);
		fd_close(&pair[1]);
		rig_expect_silence(rig);
		assert_in_range(rig_stats(rig).kicks - before.kicks, 0, 2);
		if (!refused)
			assert_int_equal(
				rig_set_vring_fd(rig, VHU_FE_SET_VRING_KICK, 0, rig->rings[0].kick),
				0);
		add(rig);
		wait_used(rig);
		rig_ring_stop(rig, 0);
	}
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(a_call_fd_is_replaced_while_the_ring_runs),
		RIG_TEST_BOTH(without_a_call_fd_the_driver_polls),
		RIG_TEST_BOTH(a_kick_fd_is_replaced_while_the_ring_runs),
		RIG_TEST_BOTH(a_kick_that_the_old_fd_had_is_not_lost),
		RIG_TEST_BOTH(a_ring_without_a_kick_fd_is_refused),
		RIG_TEST_WITH(the_bit_and_the_fd_must_agree, rig_one_thread),
		RIG_TEST_WITH(fds_of_a_stopped_ring_are_replaced_and_closed, rig_one_thread),
		RIG_TEST_BOTH(a_full_call_counter_blocks_nobody),
		RIG_TEST_BOTH(nothing_that_is_signalled_raises_SIGPIPE),
		RIG_TEST_BOTH(a_kick_fd_that_cannot_be_polled_is_refused),
		RIG_TEST_BOTH(a_kick_fd_whose_writer_has_gone_is_let_go),
	};

	return cmocka_run_group_tests_name("session/msg_vring_fd", tests, NULL, NULL);
}
