/* SPDX-License-Identifier: BSD-3-Clause */
/* Front-ends come, go, come too early and do not read; the server is stopped. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

#define RING UINT64_C(0x100000)
#define DATA UINT64_C(0x200000)

static struct rig *listen_rig(const struct rig_config *config)
{
	struct rig_config listening = *config;
	struct rig *rig;

	listening.listen = true;
	rig = rig_new(&listening);
	rig_open(rig, 0);
	return rig;
}

static void add(struct rig *rig)
{
	const struct vring_buffer buffer = { DATA, 16, true };

	rig_add(rig, 0, &buffer, 1, rig);
	rig_kick(rig, 0);
}

static void start(struct rig *rig)
{
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
}

static void do_request(struct rig *rig)
{
	uint32_t written;

	add(rig);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(written, 16);
}

static void wait_closed(int fd)
{
	for (int ms = 0; !peer_closed(fd); ms += PEER_QUIET)
		assert_true(ms < PEER_PATIENCE);
}

static void B2_a_second_connection_is_refused_at_once(void **state)
{
	struct rig *rig = listen_rig(*state);

	start(rig);
	for (unsigned i = 0; i < 3; i++) {
		int second = rig_connect(rig);

		wait_closed(second);
		fd_close(&second);
		do_request(rig);
	}
	assert_int_equal(rig_sessions(rig), 0);
	rig_free(rig);
}

/* Many times, for whichever of the two the server sees first. */
static void B2_the_next_one_is_served_when_the_last_has_just_gone(void **state)
{
	struct rig *rig = listen_rig(*state);
	struct census before = rig_census(rig);

	for (unsigned i = 0; i < 100; i++) {
		rig_reconnect(rig);
		rig_open(rig, 0);
	}
	rig_wait_sessions(rig, 100);
	rig_census(rig);
	census_check(before);
	start(rig);
	do_request(rig);
	rig_free(rig);
}

/* The last one's requests are not finished: the next waits for that, a third does not. */
static void B2_the_next_one_waits_for_the_last_ones_requests(void **state)
{
	struct rig *rig = listen_rig(*state);
	int third;

	start(rig);
	rig_hold(rig);
	add(rig);
	rig_wait_submitted(rig, 1);
	rig_reconnect(rig);
	rig_expect_silence(rig);
	third = rig_connect(rig);
	wait_closed(third);
	fd_close(&third);
	assert_int_equal(rig_sessions(rig), 0);
	rig_release(rig);
	rig_open(rig, 0);
	assert_int_equal(rig_sessions(rig), 1);
	start(rig);
	do_request(rig);
	rig_free(rig);
}

/* It had left before its turn came. */
static void a_front_end_that_waits_may_leave(void **state)
{
	struct rig *rig = listen_rig(*state);

	start(rig);
	rig_hold(rig);
	add(rig);
	rig_wait_submitted(rig, 1);
	rig_reconnect(rig);
	rig_expect_silence(rig);
	fd_close(&rig->main);
	rig_release(rig);
	rig_wait_sessions(rig, 2);
	rig_reconnect(rig);
	rig_open(rig, 0);
	rig_free(rig);
}

/* One after the other gives up waiting: the place is the next one's. */
static void B2_a_place_that_was_left_is_free(void **state)
{
	struct rig *rig = listen_rig(*state);

	start(rig);
	rig_hold(rig);
	add(rig);
	rig_wait_submitted(rig, 1);
	for (unsigned i = 0; i < 5; i++) {
		rig_reconnect(rig);
		assert_int_equal(peer_send_bytes(rig->main, "half a header", 7), 0);
		rig_expect_silence(rig);
	}
	rig_reconnect(rig);
	rig_expect_silence(rig);
	rig_release(rig);
	rig_open(rig, 0);
	start(rig);
	do_request(rig);
	assert_int_equal(rig_sessions(rig), 1);
	rig_free(rig);
}

static void nothing_of_a_session_outlives_it(void **state)
{
	struct rig *rig = listen_rig(*state);

	start(rig);
	do_request(rig);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, 15), 0);
	assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_BASE, 1, 7), 0);
	rig_reconnect(rig);
	rig_negotiate_protocol(rig);
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_STATUS), 0);
	assert_int_equal(rig_get_vring_base(rig, 0), 0);
	assert_int_equal(rig_get_vring_base(rig, 1), 0);
	rig_free(rig);
}

static void a_connected_socket_is_one_session(void **state)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, 0);
	start(rig);
	do_request(rig);
	assert_int_equal(rig_sessions(rig), 0);
	fd_close(&rig->main);
	assert_int_equal(rig_wait_end(rig), 0);
	assert_int_equal(rig_sessions(rig), 1);
	rig_free(rig);
}

/* The front-end's process dies: what the device was given it finishes first. */
static void a_session_ends_after_its_last_request(void **state)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, 0);
	start(rig);
	rig_hold(rig);
	for (unsigned i = 0; i < 5; i++)
		add(rig);
	rig_wait_submitted(rig, 5);
	fd_close(&rig->main);
	fd_close(&rig->back);
	for (unsigned ms = 0; ms < PEER_QUIET; ms += 10) {
		poll(NULL, 0, 10);
		assert_int_equal(rig_sessions(rig), 0);
	}
	rig_release(rig);
	assert_int_equal(rig_wait_end(rig), 0);
	assert_int_equal(*(char *)rig_ptr(rig, DATA, 1), RIG_FILL);
	assert_int_equal(rig_last_stats(rig).requests, 5);
	rig_free(rig);
}

static void a_stop_finishes_what_was_begun(void **state)
{
	const struct vring_buffer buffer = { DATA, 16, true };
	struct rig *rig = listen_rig(*state);
	uint32_t written;
	int late;

	start(rig);
	rig_hold(rig);
	add(rig);
	rig_wait_submitted(rig, 1);
	rig_stop(rig);
	rig_expect_closed(rig);
	/* nobody listens any more */
	late = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(late, (struct sockaddr *)&rig->address, rig->address_size), -1);
	assert_int_equal(errno, ECONNREFUSED);
	fd_close(&late);
	rig_add(rig, 0, &buffer, 1, rig);
	rig_kick(rig, 0);
	poll(NULL, 0, PEER_QUIET);
	assert_int_equal(rig_sessions(rig), 0);
	rig_release(rig);
	assert_int_equal(rig_wait_end(rig), 0);
	/* A worker of its own may have taken the second before it heard of the stop. */
	assert_in_range(rig_submitted(rig), 1, 2);
	fd_close(&rig->back);
	for (unsigned i = 0; i < rig_submitted(rig); i++) {
		assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
		assert_int_equal(written, 16);
	}
	rig_expect_unused(rig, 0);
	rig_free(rig);
}

/* What waits for a translation has not begun, and is as if it had never been looked at. */
static void a_stop_fails_nothing_that_waits(void **state)
{
	const struct vring_buffer unknown = { DATA, 16, true };
	struct rig *rig = rig_new(*state);
	int back;

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	for (unsigned i = 0; i < 2; i++) {
		const struct rig_ring_config config = { .gpa = RING + i * 0x10000,
			                                .iova = RING + i * 0x10000 };

		assert_int_equal(rig_update(rig, config.iova, 0x10000, config.gpa, PERM_RW), 0);
		rig_ring_start(rig, i, &config);
		rig_add(rig, i, &unknown, 1, rig);
		rig_kick(rig, i);
	}
	assert_int_equal(rig_next_miss(rig).iova, DATA);
	rig_stop(rig);
	assert_int_equal(rig_wait_end(rig), 0);
	back = rig->back;
	rig->back = -1;
	for (unsigned i = 0; i < 2; i++) {
		rig_expect_unused(rig, i);
		assert_false(fd_drain(rig->rings[i].err));
	}
	assert_int_equal(rig_submitted(rig), 0);
	assert_int_equal(rig_refused(rig), 0);
	assert_int_equal(rig_last_stats(rig).refused_requests, 0);
	fd_close(&back);
	rig_free(rig);
}

static void a_stop_at_rest_is_the_end(void **state)
{
	struct rig *rig = listen_rig(*state);

	fd_close(&rig->main);
	rig_wait_sessions(rig, 1);
	rig_stop(rig);
	assert_int_equal(rig_wait_end(rig), 0);
	rig_stop(rig);
	rig_free(rig);
}

static void a_stop_sends_away_who_waits(void **state)
{
	struct rig *rig = listen_rig(*state);

	start(rig);
	rig_hold(rig);
	add(rig);
	rig_wait_submitted(rig, 1);
	rig_reconnect(rig);
	rig_expect_silence(rig);
	rig_stop(rig);
	rig_release(rig);
	rig_expect_closed(rig);
	assert_int_equal(rig_wait_end(rig), 0);
	assert_int_equal(rig_sessions(rig), 1);
	rig_free(rig);
}

/* A front-end that asks and does not listen is not asked to: nothing grows, all is answered. */
static void replies_that_are_not_read_hold_up_their_reader_alone(void **state)
{
	struct rig *rig = rig_new(*state);
	struct message message;
	unsigned sent = 0, got;
	ssize_t n;

	rig_open(rig, 0);
	start(rig);
	message_init(&message, VHU_FE_GET_FEATURES);
	for (int quiet = 0; quiet < 5;) {
		n = send(rig->main, &message.header, sizeof(message.header),
		         MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == sizeof(message.header)) {
			sent++;
			quiet = 0;
		} else {
			assert_int_equal(n, -1);
			assert_int_equal(errno, EAGAIN);
			poll(NULL, 0, 10);
			quiet++;
		}
	}
	do_request(rig);
	for (got = 0; got < sent; got++)
		rig_expect_u64(rig, VHU_FE_GET_FEATURES);
	rig_expect_silence(rig);
	rig_free(rig);
}

/* It sends a header, and nothing for a while: others have their turn meanwhile. */
static void half_a_message_holds_up_nothing_else(void **state)
{
	struct rig *rig = listen_rig(*state);
	struct message message;
	const char *bytes = (const char *)&message.header;
	int second;

	start(rig);
	message_init(&message, VHU_FE_GET_QUEUE_NUM);
	for (size_t i = 0; i < sizeof(message.header); i++) {
		assert_int_equal(peer_send_bytes(rig->main, bytes + i, 1), 0);
		do_request(rig);
	}
	assert_int_equal(rig_expect_u64(rig, VHU_FE_GET_QUEUE_NUM), 2);
	assert_int_equal(peer_send_bytes(rig->main, bytes, 5), 0);
	second = rig_connect(rig);
	wait_closed(second);
	fd_close(&second);
	do_request(rig);
	rig_free(rig);
}

/* All at once: replies come one for one and in order. */
static void messages_that_come_together_are_answered_in_order(void **state)
{
	enum { N = 200 };
	struct rig *rig = rig_new(*state);
	struct vhu_header headers[3 * N];

	rig_open(rig, 0);
	for (unsigned i = 0; i < N; i++) {
		headers[3 * i] = (struct vhu_header){ VHU_FE_GET_FEATURES, VHU_FLAG_VERSION, 0 };
		headers[3 * i + 1] = (struct vhu_header){ VHU_FE_GET_STATUS, VHU_FLAG_VERSION, 0 };
		headers[3 * i + 2] = (struct vhu_header){ VHU_FE_SET_OWNER,
			                                  VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY,
			                                  0 };
	}
	assert_int_equal(peer_send_bytes(rig->main, headers, sizeof(headers)), 0);
	for (unsigned i = 0; i < N; i++) {
		assert_true(rig_expect_u64(rig, VHU_FE_GET_FEATURES));
		assert_int_equal(rig_expect_u64(rig, VHU_FE_GET_STATUS), 0);
		assert_int_equal(rig_expect_u64(rig, VHU_FE_SET_OWNER), 0);
	}
	rig_free(rig);
}

static void everything_is_released_in_the_end(void **state)
{
	struct census before = census_take();

	for (unsigned i = 0; i < 3; i++) {
		struct rig *rig = listen_rig(*state);

		start(rig);
		do_request(rig);
		rig_reconnect(rig);
		rig_open(rig, 0);
		start(rig);
		add(rig);
		rig_free(rig);
	}
	census_check(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(B2_a_second_connection_is_refused_at_once),
		RIG_TEST_BOTH(B2_the_next_one_is_served_when_the_last_has_just_gone),
		RIG_TEST_BOTH(B2_the_next_one_waits_for_the_last_ones_requests),
		RIG_TEST_BOTH(B2_a_place_that_was_left_is_free),
		RIG_TEST_BOTH(a_front_end_that_waits_may_leave),
		RIG_TEST_BOTH(nothing_of_a_session_outlives_it),
		RIG_TEST_BOTH(a_connected_socket_is_one_session),
		RIG_TEST_BOTH(a_session_ends_after_its_last_request),
		RIG_TEST_BOTH(a_stop_finishes_what_was_begun),
		RIG_TEST_BOTH(a_stop_fails_nothing_that_waits),
		RIG_TEST_BOTH(a_stop_at_rest_is_the_end),
		RIG_TEST_BOTH(a_stop_sends_away_who_waits),
		RIG_TEST_BOTH(replies_that_are_not_read_hold_up_their_reader_alone),
		RIG_TEST_BOTH(half_a_message_holds_up_nothing_else),
		RIG_TEST_BOTH(messages_that_come_together_are_answered_in_order),
		RIG_TEST_BOTH(everything_is_released_in_the_end),
	};

	return cmocka_run_group_tests_name("session/server_life", tests, NULL, NULL);
}
