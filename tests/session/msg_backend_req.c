/* SPDX-License-Identifier: BSD-3-Clause */
/* SET_BACKEND_REQ_FD: the back-channel is given, replaced, lost, or none at all. */
#include <linux/virtio_config.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define RING     UINT64_C(0x100000)
#define DATA     UINT64_C(0x200000)

static struct rig *open_rig(const struct rig_config *config)
{
	struct rig *rig = rig_new(config);

	rig_open(rig, PLATFORM);
	rig_map(rig, RING, 0x10000, RING, PERM_RW);
	rig_map(rig, DATA, 0x10000, DATA, PERM_RW);
	return rig;
}

static void start(struct rig *rig)
{
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING, .iova = RING });
}

static void add(struct rig *rig)
{
	const struct vring_buffer buffer = { DATA, 16, true };

	rig_add(rig, 0, &buffer, 1, rig);
	rig_kick(rig, 0);
}

static void do_request(struct rig *rig)
{
	uint32_t written;

	add(rig);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(written, 16);
}

static uint64_t send_fd(struct rig *rig, int fd)
{
	struct message message;

	message_init(&message, VHU_FE_SET_BACKEND_REQ_FD);
	message.fds[0] = fd;
	message.n_fds = 1;
	return rig_call(rig, &message);
}

static int make_socket(int type)
{
	return socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
}

static int make_listener(void)
{
	const struct sockaddr any = { .sa_family = AF_UNIX };
	int fd = make_socket(SOCK_STREAM);

	assert_int_equal(bind(fd, &any, sizeof(any.sa_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void what_is_no_connected_socket_is_refused(void **state)
{
	struct rig *rig = open_rig(*state);
	struct census before;
	int pipes[2], pair[2], event;

	assert_int_equal(fd_event(&event), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	before = rig_census(rig);
	{
		int fds[] = { event,
			      pipes[0],
			      pipes[1],
			      pair[0],
			      memfd_create("file", 0),
			      make_socket(SOCK_STREAM),
			      make_socket(SOCK_DGRAM),
			      make_listener() };

		for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
			print_message("  %u\n", i);
			assert_int_not_equal(send_fd(rig, fds[i]), 0);
			if (i >= 4)
				fd_close(&fds[i]);
		}
	}
	rig_census(rig);
	census_check(before);
	/* The one there was is still there. */
	start(rig);
	do_request(rig);
	fd_close(&event);
	for (unsigned i = 0; i < 2; i++) {
		fd_close(&pipes[i]);
		fd_close(&pair[i]);
	}
	rig_free(rig);
}

static void without_an_fd_or_with_two_it_is_refused(void **state)
{
	struct rig *rig = open_rig(*state);
	struct message message;
	int pair[2];

	message_init(&message, VHU_FE_SET_BACKEND_REQ_FD);
	assert_int_not_equal(rig_call(rig, &message), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	message.fds[0] = pair[0];
	message.fds[1] = pair[1];
	message.n_fds = 2;
	assert_int_not_equal(rig_call(rig, &message), 0);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	start(rig);
	do_request(rig);
	rig_free(rig);
}

static void the_old_one_is_closed_and_the_new_one_used(void **state)
{
	struct rig *rig = open_rig(*state);
	struct census before = rig_census(rig);

	for (unsigned i = 0; i < 10; i++) {
		int old = rig->back;

		rig->back = -1;
		rig_open_back(rig);
		assert_true(peer_closed(old));
		fd_close(&old);
	}
	rig_census(rig);
	census_check(before);
	start(rig);
	do_request(rig);
	rig_free(rig);
}

/* S9: what somebody still waits for is asked for again. */
static void a_request_that_waits_is_served_by_the_new_one(void **state)
{
	struct rig *rig = open_rig(*state);
	struct rig_miss miss;
	uint32_t written;
	int old;

	start(rig);
	do_request(rig);
	assert_int_equal(rig_invalidate(rig, DATA, 4096), 0);
	add(rig);
	miss = rig_next_miss(rig);
	assert_int_equal(miss.iova & ~UINT64_C(4095), DATA);
	old = rig->back;
	rig->back = -1;
	rig_open_back(rig);
	assert_true(peer_closed(old));
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(written, 16);
	fd_close(&old);
	rig_free(rig);
}

/* S11: the main channel goes on; what needs a translation fails until there is another. */
static void when_it_is_closed_only_translations_suffer(void **state)
{
	const struct vring_buffer buffers[] = { { DATA, 16, true }, { DATA + 4096, 1, true } };
	struct rig *rig = open_rig(*state);
	uint32_t written;

	start(rig);
	rig_add(rig, 0, buffers, 2, rig);
	rig_kick(rig, 0);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(rig_invalidate(rig, DATA, 4096), 0);
	fd_close(&rig->back);
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_QUEUE_NUM), 2);
	rig_add(rig, 0, buffers, 2, rig);
	rig_kick(rig, 0);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(rig_refused(rig), 1);
	assert_int_equal(*(char *)rig_ptr(rig, DATA + 4096, 1), RIG_REFUSED);
	rig_open_back(rig);
	do_request(rig);
	rig_free(rig);
}

static void a_session_without_translation_does_without(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){ 0 });

	rig_open(rig, 0);
	fd_close(&rig->back);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
	do_request(rig);
	rig_ring_stop(rig, 0);
	rig_free(rig);
}

static void init_reply(struct message *message)
{
	message_init(message, VHU_BE_IOTLB_MSG);
	message->header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	message->header.size = 8;
}

static void spoil_version(struct message *message)
{
	message->header.flags = VHU_FLAG_REPLY;
}

static void spoil_request(struct message *message)
{
	message->header.flags = VHU_FLAG_VERSION;
}

static void spoil_name(struct message *message)
{
	message->header.request = VHU_BE_CONFIG_CHANGE_MSG;
}

static void spoil_size(struct message *message)
{
	message->header.size = 4;
}

static void spoil_large(struct message *message)
{
	message->header.size = UINT32_MAX;
}

static void spoil_unknown(struct message *message)
{
	message->header.request = 4711;
}

static void spoil_nothing(struct message *message)
{
}

static void spoil_fds(struct message *message)
{
	message->n_fds = 1;
}

/* S9: whatever comes there and is no reply to the oldest miss ends the channel, not the session. */
static void a_wrong_reply_ends_the_channel(void **state)
{
	static void (*const spoilers[])(struct message * message) = {
		spoil_version, spoil_request, spoil_name,    spoil_size,
		spoil_large,   spoil_unknown, spoil_nothing, spoil_fds,
	};
	struct rig *rig = open_rig(*state);

	start(rig);
	do_request(rig);
	for (unsigned i = 0; i < ARRAY_SIZE(spoilers); i++) {
		struct message reply;

		print_message("  %u\n", i);
		init_reply(&reply);
		reply.fds[0] = rig->main;
		spoilers[i](&reply);
		assert_int_equal(peer_send(rig->back, &reply), 0);
		for (unsigned ms = 0; !peer_closed(rig->back); ms += PEER_QUIET)
			assert_true(ms < PEER_PATIENCE);
		assert_int_equal(rig_get_u64(rig, VHU_FE_GET_QUEUE_NUM), 2);
		rig_open_back(rig);
		do_request(rig);
	}
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_WITH(what_is_no_connected_socket_is_refused, rig_one_thread),
		RIG_TEST_WITH(without_an_fd_or_with_two_it_is_refused, rig_one_thread),
		RIG_TEST_BOTH(the_old_one_is_closed_and_the_new_one_used),
		RIG_TEST_BOTH(a_request_that_waits_is_served_by_the_new_one),
		RIG_TEST_BOTH(when_it_is_closed_only_translations_suffer),
		cmocka_unit_test(a_session_without_translation_does_without),
		RIG_TEST_BOTH(a_wrong_reply_ends_the_channel),
	};

	return cmocka_run_group_tests_name("session/msg_backend_req", tests, NULL, NULL);
}
