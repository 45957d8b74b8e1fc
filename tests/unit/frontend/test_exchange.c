/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end's main channel against a back-end that misbehaves. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "support/fake.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The ways to reply to SET_STATUS wrongly. */

static int reply_as(struct fake *fake, uint32_t request, uint32_t flags, uint32_t size)
{
	struct message reply;

	message_init(&reply, request);
	reply.header.flags = flags;
	reply.header.size = size;
	MUST(!peer_send(fake->main, &reply));
	return 0;
}

static int wrong_number(struct fake *fake, const struct message *request)
{
	return reply_as(fake, VHU_FE_SET_OWNER, VHU_FLAG_VERSION | VHU_FLAG_REPLY, 8);
}

static int unknown_number(struct fake *fake, const struct message *request)
{
	return reply_as(fake, 4711, VHU_FLAG_VERSION | VHU_FLAG_REPLY, 8);
}

static int no_reply_bit(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request->header.request, VHU_FLAG_VERSION, 8);
}

static int wrong_version(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request->header.request, 2 | VHU_FLAG_REPLY, 8);
}

static int too_short(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request->header.request, VHU_FLAG_VERSION | VHU_FLAG_REPLY, 4);
}

static int too_long(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request->header.request, VHU_FLAG_VERSION | VHU_FLAG_REPLY, 16);
}

static int enormous(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request->header.request, VHU_FLAG_VERSION | VHU_FLAG_REPLY,
	                0xffffffff);
}

static int garbage(struct fake *fake, const struct message *request)
{
	char bytes[100];

	memset(bytes, 0xee, sizeof(bytes));
	MUST(!peer_send_bytes(fake->main, bytes, sizeof(bytes)));
	return 0;
}

static int with_fd(struct fake *fake, const struct message *request)
{
	struct message reply;

	message_init(&reply, request->header.request);
	reply.header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	reply.header.size = 8;
	reply.fds[0] = fake->main;
	reply.n_fds = 1;
	MUST(!peer_send(fake->main, &reply));
	return 0;
}

static int nack(struct fake *fake, const struct message *request)
{
	MUST(!peer_reply_u64(fake->main, request, 1));
	return 0;
}

static int silence(struct fake *fake, const struct message *request)
{
	return 0;
}

static int death(struct fake *fake, const struct message *request)
{
	shutdown(fake->main, SHUT_RDWR);
	return 0;
}

static int death_in_reply(struct fake *fake, const struct message *request)
{
	MUST(!peer_send_bytes(fake->main, &request->header, 5));
	return death(fake, request);
}

/* The next reply after silence is taken for the one that did not come. */
static const struct {
	const char *name;
	fake_script *script;
	int result;
	bool lost;
	int after; /* of the next call */
} misbehaviours[] = {
	{ "wrong number", wrong_number, -EPROTO, true, -ENOTCONN },
	{ "unknown number", unknown_number, -EPROTO, true, -ENOTCONN },
	{ "no reply bit", no_reply_bit, -EPROTO, true, -ENOTCONN },
	{ "wrong version", wrong_version, -EPROTO, true, -ENOTCONN },
	{ "too short", too_short, -EPROTO, true, -ENOTCONN },
	{ "too long", too_long, -EPROTO, true, -ENOTCONN },
	{ "enormous", enormous, -EPROTO, true, -ENOTCONN },
	{ "garbage", garbage, -EPROTO, true, -ENOTCONN },
	{ "with an fd", with_fd, -EPROTO, true, -ENOTCONN },
	{ "refusal", nack, -EREMOTEIO, false, 0 },
	{ "silence", silence, -ETIMEDOUT, false, -EPROTO },
	{ "death", death, -ENOTCONN, true, -ENOTCONN },
	{ "death in the reply", death_in_reply, -ENOTCONN, true, -ENOTCONN },
};

static void count(void *opaque)
{
	++*(unsigned *)opaque;
}

static void wrong_replies_are_errors_that_name_the_message(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(misbehaviours); i++) {
		struct fake_config config = fake_full;
		unsigned lost = 0;
		struct fake *fake;
		uint8_t status;

		print_message("  %s\n", misbehaviours[i].name);
		config.request = VHU_FE_SET_STATUS;
		config.script = misbehaviours[i].script;
		config.lost = count;
		config.opaque = &lost;
		fake = fake_ready(&config, 0);
		if (misbehaviours[i].script == silence)
			fake_set_timeout(fake, 50);
		assert_int_equal(vhu_frontend_set_status(fake->frontend, 1),
		                 misbehaviours[i].result);
		assert_non_null(strstr(vhu_frontend_error(fake->frontend), "SET_STATUS"));
		assert_int_equal(lost, misbehaviours[i].lost);
		fake_set_timeout(fake, PEER_PATIENCE);
		assert_int_equal(vhu_frontend_get_status(fake->frontend, &status),
		                 misbehaviours[i].after);
		fake_free(fake);
	}
}

static _Atomic bool late;

static int reply_late(struct fake *fake, const struct message *request)
{
	for (int ms = 0; !atomic_load(&late); ms++) {
		MUST(ms < PEER_PATIENCE);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	MUST(!peer_reply_u64(fake->main, request, 1));
	return 0;
}

static void a_late_reply_is_dropped_and_the_session_goes_on(void **state)
{
	struct fake_config config = fake_full;
	struct fake *fake;
	uint8_t status;

	config.request = VHU_FE_SET_STATUS;
	config.script = reply_late;
	atomic_store(&late, false);
	fake = fake_ready(&config, 0);
	fake_set_timeout(fake, 50);
	assert_int_equal(vhu_frontend_set_status(fake->frontend, 1), -ETIMEDOUT);
	atomic_store(&late, true);
	fake_run(fake);
	fake_set_timeout(fake, PEER_PATIENCE);
	assert_int_equal(vhu_frontend_get_status(fake->frontend, &status), 0);
	assert_int_equal(status, 0xf);
	fake_free(fake);
}

static int reply_twice(struct fake *fake, const struct message *request)
{
	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(!peer_reply_u64(fake->main, request, 0));
	return 0;
}

static void a_reply_to_nothing_ends_the_connection(void **state)
{
	struct fake_config config = fake_full;
	struct fake *fake;

	config.request = VHU_FE_SET_STATUS;
	config.script = reply_twice;
	fake = fake_ready(&config, 0);
	assert_int_equal(vhu_frontend_set_status(fake->frontend, 1), 0);
	fake_run(fake);
	assert_int_equal(vhu_frontend_run(fake->frontend, 1000), -ENOTCONN);
	assert_int_equal(vhu_frontend_set_status(fake->frontend, 1), -ENOTCONN);
	fake_free(fake);
}

static int handshake(struct fake *fake)
{
	int error = vhu_frontend_negotiate(fake->frontend);

	return error ? error : vhu_frontend_set_features(fake->frontend, 0);
}

static void death_at_each_message_is_noticed(void **state)
{
	for (unsigned n = 1;; n++) {
		struct fake_config config = fake_full;
		struct fake *fake;
		int error;

		config.die_at = n;
		fake = fake_new(&config);
		error = handshake(fake);
		if (!error)
			assert_true(n > 8);
		else
			assert_int_equal(error, -ENOTCONN);
		fake_free(fake);
		if (!error)
			break;
	}
}

static void silence_at_each_message_ends_in_time(void **state)
{
	for (unsigned n = 1; n < 9; n++) {
		struct fake_config config = fake_full;
		struct fake *fake;
		int64_t start;
		int error;

		config.silent_at = n;
		config.careless = true;
		/* SET_PROTOCOL_FEATURES comes third and has no reply. */
		config.timeout_ms = n == 3 ? PEER_PATIENCE : 50;
		fake = fake_new(&config);
		start = now_ms();
		error = handshake(fake);
		assert_int_equal(error, n == 3 ? 0 : -ETIMEDOUT);
		assert_true(now_ms() - start < 2000);
		fake_free(fake);
	}
}

static void only_what_is_wanted_is_negotiated(void **state)
{
	struct fake *fake = fake_ready(&fake_full, VHU_BIT(VIRTIO_F_VERSION_1));

	assert_int_equal(fake->last[VHU_FE_SET_PROTOCOL_FEATURES].payload.u64,
	                 fake_full.protocol_features);
	assert_int_equal(vhu_frontend_protocol_features(fake->frontend),
	                 fake_full.protocol_features);
	assert_int_equal(fake->last[VHU_FE_SET_FEATURES].payload.u64,
	                 VHU_BIT(VIRTIO_F_VERSION_1) | VHU_BIT(VHU_F_PROTOCOL_FEATURES));
	assert_int_equal(vhu_frontend_queues(fake->frontend), 4);
	assert_int_equal(vhu_frontend_negotiate(fake->frontend), -EISCONN);
	assert_int_equal(vhu_frontend_set_features(fake->frontend, VHU_BIT(5)), -EOPNOTSUPP);
	fake_free(fake);
}

static void a_back_end_without_protocol_features_will_do(void **state)
{
	const struct fake_config config = { .features = VHU_BIT(VIRTIO_F_VERSION_1) };
	struct fake *fake = fake_ready(&config, VHU_BIT(VIRTIO_F_VERSION_1));
	const struct vhu_vring_setup setup = {
		.num = 4, .kick_fd = fake->main, .call_fd = -1, .err_fd = -1
	};
	uint16_t base = 1;

	assert_int_equal(fake->kinds[VHU_FE_GET_PROTOCOL_FEATURES], 0);
	assert_int_equal(vhu_frontend_set_status(fake->frontend, 1), -EOPNOTSUPP);
	assert_int_equal(vhu_frontend_reset_device(fake->frontend), -EOPNOTSUPP);
	assert_int_equal(vhu_frontend_vring_start(fake->frontend, 0, &setup), 0);
	assert_int_equal(vhu_frontend_vring_enable(fake->frontend, 0, true), 0);
	assert_int_equal(vhu_frontend_vring_stop(fake->frontend, 0, &base), 0);
	assert_int_equal(base, 0);
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_KICK], 1);
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_ENABLE], 0);
	assert_int_equal(fake->last[VHU_FE_SET_VRING_CALL].payload.u64, VHU_VRING_NOFD);
	fake_free(fake);
}

static void M2_bit_33_needs_reply_ack_and_back_channel(void **state)
{
	static const unsigned lacking[] = { VHU_PROTOCOL_F_REPLY_ACK, VHU_PROTOCOL_F_BACKEND_REQ };
	const uint64_t bit = VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	struct vhu_iommu *iommu;

	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &iommu), 0);
	for (unsigned i = 0; i <= ARRAY_SIZE(lacking); i++) {
		struct fake_config config = fake_full;
		bool fine = i == ARRAY_SIZE(lacking);
		struct fake *fake;

		config.iommu = iommu;
		if (!fine)
			config.protocol_features &= ~VHU_BIT(lacking[i]);
		fake = fake_ready(&config, 0);
		assert_int_equal(!!(vhu_frontend_features_offered(fake->frontend) & bit), fine);
		assert_int_equal(vhu_frontend_set_features(fake->frontend, bit),
		                 fine ? 0 : -EOPNOTSUPP);
		fake_free(fake);
	}
	vhu_iommu_free(iommu);
}

static int refuse_config(struct fake *fake, const struct message *request)
{
	return reply_as(fake, VHU_FE_GET_CONFIG, VHU_FLAG_VERSION | VHU_FLAG_REPLY, 0);
}

static int half_config(struct fake *fake, const struct message *request)
{
	struct vhu_config config = request->payload.config;

	config.size = 4;
	MUST(!peer_reply(fake->main, request, &config, VHU_CONFIG_HEADER + 4));
	return 0;
}

static void configuration_is_read_whole_or_not_at_all(void **state)
{
	static const struct {
		fake_script *script;
		int result;
	} cases[] = { { NULL, 0 }, { refuse_config, -EREMOTEIO }, { half_config, -EREMOTEIO } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_config config = fake_full;
		unsigned char bytes[8];
		struct fake *fake;

		config.request = VHU_FE_GET_CONFIG;
		config.script = cases[i].script;
		fake = fake_ready(&config, 0);
		assert_int_equal(vhu_frontend_get_config(fake->frontend, 16, bytes, 8),
		                 cases[i].result);
		if (!cases[i].result)
			assert_memory_equal(bytes, (unsigned char[8]){ 0 }, 8);
		assert_int_equal(vhu_frontend_get_config(fake->frontend, 250, bytes, 8), -EINVAL);
		assert_int_equal(vhu_frontend_get_config(fake->frontend, 0, bytes, 0), -EINVAL);
		assert_int_equal(vhu_frontend_set_config(fake->frontend, 1, bytes, 7, true), 0);
		assert_int_equal(fake->last[VHU_FE_SET_CONFIG].payload.config.flags,
		                 VHU_CONFIG_MIGRATION);
		fake_free(fake);
	}
}

static int another_ring(struct fake *fake, const struct message *request)
{
	const struct vhu_vring_state state = { 1, 0 };

	MUST(!peer_reply(fake->main, request, &state, sizeof(state)));
	return 0;
}

static void rings_are_those_asked_for(void **state)
{
	struct fake_config config = fake_full;
	struct fake *fake;

	config.request = VHU_FE_GET_VRING_BASE;
	config.script = another_ring;
	fake = fake_ready(&config, 0);
	assert_int_equal(vhu_frontend_vring_stop(fake->frontend, 0, NULL), -EREMOTEIO);
	assert_int_equal(vhu_frontend_vring_stop(fake->frontend, 0, NULL), 0);
	assert_int_equal(vhu_frontend_vring_stop(fake->frontend, 4, NULL), -EINVAL);
	assert_int_equal(vhu_frontend_vring_enable(fake->frontend, 256, true), -EINVAL);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_replies_are_errors_that_name_the_message),
		cmocka_unit_test(a_late_reply_is_dropped_and_the_session_goes_on),
		cmocka_unit_test(a_reply_to_nothing_ends_the_connection),
		cmocka_unit_test(death_at_each_message_is_noticed),
		cmocka_unit_test(silence_at_each_message_ends_in_time),
		cmocka_unit_test(only_what_is_wanted_is_negotiated),
		cmocka_unit_test(a_back_end_without_protocol_features_will_do),
		cmocka_unit_test(M2_bit_33_needs_reply_ack_and_back_channel),
		cmocka_unit_test(configuration_is_read_whole_or_not_at_all),
		cmocka_unit_test(rings_are_those_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
