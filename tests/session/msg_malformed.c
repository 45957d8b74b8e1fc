/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What no front-end should send, for each row of the message table: whatever it
 * is, the session says so or ends, the next front-end is served, and nothing
 * stays behind.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)

/* fds of each kind a message may want, and one for those that come too much. */
struct kinds {
	int event, file, socket, other_socket;
};

static void kinds_init(struct kinds *kinds)
{
	int pair[2];

	assert_int_equal(fd_event(&kinds->event), 0);
	kinds->file = memfd_create("memory", MFD_CLOEXEC);
	assert_int_equal(ftruncate(kinds->file, 4096), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	kinds->socket = pair[0];
	kinds->other_socket = pair[1];
}

static void kinds_done(struct kinds *kinds)
{
	fd_close(&kinds->event);
	fd_close(&kinds->file);
	fd_close(&kinds->socket);
	fd_close(&kinds->other_socket);
}

static int kind_for(const struct kinds *kinds, const struct message_spec *spec)
{
	if (spec->layout == MESSAGE_LAYOUT_VRING_FD)
		return kinds->event;
	if (spec->layout == MESSAGE_LAYOUT_EMPTY)
		return kinds->socket;
	return kinds->file;
}

static void fill_payload(const struct rig *rig, struct message *message)
{
	union message_payload *payload = &message->payload;

	switch (message->header.request) {
	case VHU_FE_SET_FEATURES: payload->u64 = rig->features; break;
	case VHU_FE_SET_PROTOCOL_FEATURES: payload->u64 = rig->protocol_features; break;
	case VHU_FE_SET_VRING_NUM: payload->state.num = 16; break;
	case VHU_FE_IOTLB_MSG: payload->iotlb.type = VHU_IOTLB_INVALIDATE; break;
	case VHU_FE_ADD_MEM_REG:
		payload->single.region = (struct vhu_memory_region){ UINT64_C(1) << 40, 4096,
			                                             UINT64_C(1) << 40, 0 };
		break;
	default: break;
	}
}

/* The shortest message of its kind that a session of the rig takes. */
static void init_good(const struct rig *rig, const struct kinds *kinds,
                      const struct message_spec *spec, struct message *message)
{
	message_init(message, spec->request);
	message->header.flags |= VHU_FLAG_NEED_REPLY;
	message->header.size = spec->size_min;
	message->n_fds = spec->fds == MESSAGE_FDS_ONE || spec->fds == MESSAGE_FDS_VRING;
	message->fds[0] = kind_for(kinds, spec);
	fill_payload(rig, message);
}

/* False: there is no such defect of this message. */
struct defect {
	const char *name;
	bool (*apply)(struct message *message, const struct message_spec *spec);
	bool header; /* of which nothing can be believed: the session ends */
};

static bool too_short(struct message *message, const struct message_spec *spec)
{
	message->header.size = spec->size_min - 1;
	return spec->size_min > 0;
}

static bool without_payload(struct message *message, const struct message_spec *spec)
{
	message->header.size = 0;
	return spec->size_min > 0;
}

static bool too_long(struct message *message, const struct message_spec *spec)
{
	message->header.size = spec->size_max + 1;
	return true;
}

static bool far_too_long(struct message *message, const struct message_spec *spec)
{
	message->header.size = UINT32_MAX;
	return true;
}

static bool version_0(struct message *message, const struct message_spec *spec)
{
	message->header.flags &= ~VHU_FLAG_VERSION_MASK;
	return true;
}

static bool version_2(struct message *message, const struct message_spec *spec)
{
	message->header.flags = VHU_FLAG_NEED_REPLY | 2;
	return true;
}

static bool a_reply(struct message *message, const struct message_spec *spec)
{
	message->header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	return true;
}

static bool unknown_flag(struct message *message, const struct message_spec *spec)
{
	message->header.flags |= 0x10;
	return true;
}

static bool last_flag(struct message *message, const struct message_spec *spec)
{
	message->header.flags |= 0x80000000;
	return true;
}

static bool an_fd_missing(struct message *message, const struct message_spec *spec)
{
	return message->n_fds && message->n_fds--;
}

/* The most fds that may come with it are one, so two are too many for all. */
static bool fds_too_many(struct message *message, const struct message_spec *spec)
{
	while (message->n_fds < 2)
		message->fds[message->n_fds++] = STDERR_FILENO;
	return true;
}

static bool all_fds_there_can_be(struct message *message, const struct message_spec *spec)
{
	while (message->n_fds < MESSAGE_FDS_MAX)
		message->fds[message->n_fds++] = STDERR_FILENO;
	return true;
}

static const struct defect defects[] = {
	{ "too short", too_short, true },
	{ "without payload", without_payload, true },
	{ "too long", too_long, true },
	{ "far too long", far_too_long, true },
	{ "version 0", version_0, true },
	{ "version 2", version_2, true },
	{ "a reply", a_reply, true },
	{ "an unknown flag", unknown_flag, true },
	{ "the last flag", last_flag, true },
	{ "an fd missing", an_fd_missing, false },
	{ "fds too many", fds_too_many, false },
	{ "all fds there can be", all_fds_there_can_be, false },
};

enum outcome { TAKEN, REFUSED, ENDED };

/* What becomes of a message that wants a reply. */
static enum outcome outcome_of(struct rig *rig, const struct message *message)
{
	struct message reply;
	int error;

	assert_int_equal(peer_send(rig->main, message), 0);
	error = peer_recv(rig->main, &reply, PEER_PATIENCE);
	if (error == -ENOTCONN)
		return ENDED;
	if (error)
		fail_msg("no answer: %s", strerror(-error));
	message_close_fds(&reply);
	assert_int_equal(reply.header.request, message->header.request);
	assert_int_equal(reply.header.flags, VHU_FLAG_VERSION | VHU_FLAG_REPLY);
	if (message->header.request == VHU_FE_GET_CONFIG)
		return reply.header.size ? TAKEN : REFUSED;
	if (message_spec(MESSAGE_MAIN, message->header.request) &&
	    message_spec(MESSAGE_MAIN, message->header.request)->reply == MESSAGE_REPLY_ALWAYS)
		return TAKEN;
	assert_int_equal(reply.header.size, sizeof(reply.payload.u64));
	return reply.payload.u64 ? REFUSED : TAKEN;
}

/* One that is answered by more than a number has no way to say no, GET_CONFIG apart. */
static enum outcome refusal_of(const struct message_spec *spec)
{
	return spec->reply == MESSAGE_REPLY_ALWAYS && spec->request != VHU_FE_GET_CONFIG ? ENDED
	                                                                                 : REFUSED;
}

static struct rig *listen_rig(void)
{
	struct rig *rig = rig_new(&(struct rig_config){ .listen = true });

	rig_open(rig, PLATFORM);
	return rig;
}

/* The same front-end again, or the next one. */
static void go_on(struct rig *rig, enum outcome outcome)
{
	if (outcome == ENDED) {
		rig_reconnect(rig);
		rig_open(rig, PLATFORM);
	}
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_QUEUE_NUM), 2);
}

static bool is_implemented(uint32_t request)
{
	static const uint32_t absent[] = {
		VHU_FE_SET_LOG_BASE,
		VHU_FE_SET_LOG_FD,
		VHU_FE_SEND_RARP,
		VHU_FE_NET_SET_MTU,
		VHU_FE_SET_VRING_ENDIAN,
		VHU_FE_CREATE_CRYPTO_SESSION,
		VHU_FE_CLOSE_CRYPTO_SESSION,
		VHU_FE_POSTCOPY_ADVISE,
		VHU_FE_POSTCOPY_LISTEN,
		VHU_FE_POSTCOPY_END,
		VHU_FE_GET_INFLIGHT_FD,
		VHU_FE_SET_INFLIGHT_FD,
		VHU_FE_GPU_SET_SOCKET,
		VHU_FE_VRING_KICK,
		VHU_FE_GET_SHARED_OBJECT,
		VHU_FE_SET_DEVICE_STATE_FD,
		VHU_FE_CHECK_DEVICE_STATE,
		VHU_FE_GET_SHMEM_CONFIG,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(absent); i++)
		if (absent[i] == request)
			return false;
	return true;
}

/* So that what is refused below is refused for its defect. */
static void what_is_well_formed_is_taken_or_not_implemented(void **state)
{
	struct rig *rig = listen_rig();
	struct kinds kinds;

	kinds_init(&kinds);
	for (uint32_t request = 1; request < VHU_FE_END; request++) {
		const struct message_spec *spec = message_spec(MESSAGE_MAIN, request);
		struct message message;
		enum outcome outcome, due = is_implemented(request) ? TAKEN : refusal_of(spec);

		/* there is no such region */
		if (request == VHU_FE_REM_MEM_REG)
			due = REFUSED;
		rig_reconnect(rig);
		rig_open(rig, PLATFORM);
		init_good(rig, &kinds, spec, &message);
		outcome = outcome_of(rig, &message);
		if (outcome != due)
			fail_msg("%s: %d, not %d", spec->name, outcome, due);
		go_on(rig, outcome);
	}
	kinds_done(&kinds);
	rig_free(rig);
}

/* Who does not ask must not believe that it was done. */
static void what_is_not_implemented_ends_the_session_of_who_does_not_ask(void **state)
{
	struct rig *rig = listen_rig();
	struct kinds kinds;

	kinds_init(&kinds);
	for (uint32_t request = 1; request < VHU_FE_END; request++) {
		struct message message;
		enum outcome outcome;

		if (is_implemented(request))
			continue;
		init_good(rig, &kinds, message_spec(MESSAGE_MAIN, request), &message);
		message.header.flags &= ~VHU_FLAG_NEED_REPLY;
		outcome = outcome_of(rig, &message);
		assert_int_equal(outcome, ENDED);
		go_on(rig, outcome);
	}
	kinds_done(&kinds);
	rig_free(rig);
}

static void try_defect(struct rig *rig, const struct kinds *kinds, const struct message_spec *spec,
                       const struct defect *defect)
{
	struct message message;
	enum outcome outcome, due = defect->header ? ENDED : refusal_of(spec);

	init_good(rig, kinds, spec, &message);
	if (!defect->apply(&message, spec))
		return;
	outcome = outcome_of(rig, &message);
	if (outcome != due)
		fail_msg("%s, %s: %d, not %d", spec->name, defect->name, outcome, due);
	go_on(rig, outcome);
}

static void every_defect_of_every_message_is_noticed(void **state)
{
	struct rig *rig = listen_rig();
	struct census before;
	struct kinds kinds;

	kinds_init(&kinds);
	before = rig_census(rig);
	for (uint32_t request = 1; request < VHU_FE_END; request++)
		for (unsigned i = 0; i < ARRAY_SIZE(defects); i++)
			try_defect(rig, &kinds, message_spec(MESSAGE_MAIN, request), &defects[i]);
	rig_census(rig);
	census_check(before);
	kinds_done(&kinds);
	rig_free(rig);
}

/* A request the specification does not know, of a size that can be skipped. */
static void an_unknown_message_is_skipped_and_refused(void **state)
{
	static const uint32_t requests[] = { 0, VHU_FE_END, 100, 1u << 16, UINT32_MAX };
	static const uint32_t sizes[] = { 0, 8, 100, VHU_PAYLOAD_MAX };
	struct rig *rig = listen_rig();
	struct census before = rig_census(rig);

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(sizes); j++) {
			struct message message;

			message_init(&message, requests[i]);
			message.header.size = sizes[j];
			message.fds[0] = STDERR_FILENO;
			message.n_fds = j % 2;
			assert_int_not_equal(rig_call(rig, &message), 0);
		}
	}
	rig_census(rig);
	census_check(before);
	rig_free(rig);
}

static void an_unknown_message_that_asks_for_no_reply_ends_the_session(void **state)
{
	struct rig *rig = listen_rig();
	struct message message;

	message_init(&message, VHU_FE_END);
	rig_send(rig, &message);
	rig_expect_closed(rig);
	go_on(rig, ENDED);
	rig_free(rig);
}

static void send_with_fds(int fd, const struct vhu_header *header, unsigned n)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 250)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)header, sizeof(*header) };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control.bytes,
		              .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &(int){ STDERR_FILENO }, sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), sizeof(*header));
}

/* At each byte of a message, also with fds that came with it. */
static void half_a_message_ends_with_its_sender(void **state)
{
	struct rig *rig = listen_rig();
	struct census before = rig_census(rig);
	char bytes[sizeof(struct vhu_header) + 8] = { 0 };
	struct message message;

	message_init(&message, VHU_FE_SET_FEATURES);
	message.header.size = 8;
	memcpy(bytes, &message.header, sizeof(message.header));
	for (size_t n = 1; n < sizeof(bytes); n++) {
		assert_int_equal(peer_send_bytes(rig->main, bytes, n), 0);
		go_on(rig, ENDED);
	}
	/* fds that came with a message that never does */
	message.header.request = VHU_FE_ADD_MEM_REG;
	message.header.size = sizeof(message.payload.single);
	for (unsigned i = 1; i <= MESSAGE_FDS_MAX; i++) {
		send_with_fds(rig->main, &message.header, i);
		go_on(rig, ENDED);
	}
	rig_census(rig);
	census_check(before);
	rig_free(rig);
}

static void more_fds_than_any_message_has_end_the_session(void **state)
{
	struct rig *rig = listen_rig();
	struct census before = rig_census(rig);

	for (unsigned n = MESSAGE_FDS_MAX + 1; n <= 250; n += 60) {
		const struct vhu_header header = { VHU_FE_SET_OWNER,
			                           VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY, 0 };

		send_with_fds(rig->main, &header, n);
		rig_expect_closed(rig);
		go_on(rig, ENDED);
	}
	rig_census(rig);
	census_check(before);
	rig_free(rig);
}

/* xorshift64: the same garbage each time. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Headers that are right and payloads that are anything, to a session that has it all. */
static void garbage_is_survived(void **state)
{
	struct rig *rig = listen_rig();
	struct census before = rig_census(rig);
	uint64_t seed = 0x9e3779b97f4a7c15;

	for (unsigned n = 0; n < 2000; n++) {
		uint32_t request = (uint32_t)(next_random(&seed) % VHU_FE_END);
		const struct message_spec *spec = message_spec(MESSAGE_MAIN, request);
		struct message message;

		message_init(&message, request);
		message.header.flags |= VHU_FLAG_NEED_REPLY;
		for (unsigned i = 0; i < sizeof(message.payload.config); i++)
			message.payload.bytes[i] = next_random(&seed) % 3
			                                   ? 0
			                                   : (unsigned char)next_random(&seed);
		if (spec)
			message.header.size = spec->size_min +
			                      (uint32_t)(next_random(&seed) %
			                                 (spec->size_max - spec->size_min + 1));
		message.n_fds = next_random(&seed) % 2;
		message.fds[0] = STDERR_FILENO;
		go_on(rig, outcome_of(rig, &message));
		if (n % 16 == 0)
			go_on(rig, ENDED);
	}
	go_on(rig, ENDED);
	rig_census(rig);
	census_check(before);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_well_formed_is_taken_or_not_implemented),
		cmocka_unit_test(what_is_not_implemented_ends_the_session_of_who_does_not_ask),
		cmocka_unit_test(every_defect_of_every_message_is_noticed),
		cmocka_unit_test(an_unknown_message_is_skipped_and_refused),
		cmocka_unit_test(an_unknown_message_that_asks_for_no_reply_ends_the_session),
		cmocka_unit_test(half_a_message_ends_with_its_sender),
		cmocka_unit_test(more_fds_than_any_message_has_end_the_session),
		cmocka_unit_test(garbage_is_survived),
	};

	return cmocka_run_group_tests_name("session/msg_malformed", tests, NULL, NULL);
}
