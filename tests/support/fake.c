/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/fake.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "frontend/frontend.h"

#define TIMEOUT_DEFAULT_MS (2 * PEER_PATIENCE)

const struct fake_config fake_full = {
	.features = VHU_BIT(VHU_F_PROTOCOL_FEATURES) | VHU_BIT(VIRTIO_F_VERSION_1) |
	            VHU_BIT(VIRTIO_F_ACCESS_PLATFORM),
	.protocol_features = VHU_BIT(VHU_PROTOCOL_F_MQ) | VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) |
	                     VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ) | VHU_BIT(VHU_PROTOCOL_F_CONFIG) |
	                     VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |
	                     VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE) | VHU_BIT(VHU_PROTOCOL_F_STATUS),
	.slots = 32,
	.queues = 4,
};

/* What a front-end that has no business with it would not like to be offered. */
#define PROTOCOL_ALIEN VHU_BIT(VHU_PROTOCOL_F_INBAND_NOTIFICATIONS)

static int reply_default(struct fake *fake, const struct message *request)
{
	switch (request->header.request) {
	case VHU_FE_GET_FEATURES: return peer_reply_u64(fake->main, request, fake->config.features);
	case VHU_FE_GET_PROTOCOL_FEATURES:
		return peer_reply_u64(fake->main, request,
		                      fake->config.protocol_features | PROTOCOL_ALIEN);
	case VHU_FE_GET_QUEUE_NUM: return peer_reply_u64(fake->main, request, fake->config.queues);
	case VHU_FE_GET_MAX_MEM_SLOTS:
		return peer_reply_u64(fake->main, request, fake->config.slots);
	case VHU_FE_GET_STATUS: return peer_reply_u64(fake->main, request, 0xf);
	case VHU_FE_GET_CONFIG:
	case VHU_FE_GET_VRING_BASE:
		return peer_reply(fake->main, request, &request->payload, request->header.size);
	default:
		if (request->header.flags & VHU_FLAG_NEED_REPLY)
			return peer_reply_u64(fake->main, request, 0);
		return 0;
	}
}

static bool is_for_script(struct fake *fake, uint32_t number)
{
	if (!fake->config.script || atomic_load(&fake->scripted))
		return false;
	if (fake->config.script_at)
		return fake->received == fake->config.script_at;
	return number == fake->config.request;
}

static void handle(struct fake *fake, struct message *request)
{
	uint32_t number = request->header.request % ARRAY_SIZE(fake->kinds);

	fake->kinds[number]++;
	if (number == VHU_FE_SET_BACKEND_REQ_FD) {
		fd_close(&fake->back);
		fake->back = message_take_fd(request, 0);
	}
	fake->last[number] = *request;
	if (fake->config.beside)
		fake->config.beside(fake, request);
	if (fake->received == fake->config.silent_at)
		return;
	if (is_for_script(fake, number)) {
		fake->trouble = fake->config.script(fake, request);
		atomic_store(&fake->scripted, true);
	} else if (reply_default(fake, request) && !fake->trouble) {
		fake->trouble = __LINE__;
	}
}

static void *run(void *opaque)
{
	struct fake *fake = opaque;
	struct message message;

	while (!peer_recv(fake->main, &message, 10 * PEER_PATIENCE)) {
		atomic_store(&fake->busy, true);
		fake->received++;
		if (fake->received == fake->config.die_at)
			shutdown(fake->main, SHUT_RDWR);
		else
			handle(fake, &message);
		message_close_fds(&message);
		atomic_store(&fake->busy, false);
		if (fake->received == fake->config.die_at)
			break;
	}
	return NULL;
}

/* The front-end's end. */
static int start(struct fake *fake, const struct fake_config *config)
{
	int pair[2];

	fake->config = *config;
	fake->back = -1;
	fake->received = 0;
	fake->trouble = 0;
	memset(fake->kinds, 0, sizeof(fake->kinds));
	atomic_store(&fake->scripted, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fake->main = pair[0];
	assert_int_equal(pthread_create(&fake->thread, NULL, run, fake), 0);
	return pair[1];
}

/* The line of the script that was disappointed, or 0. */
static int stop(struct fake *fake)
{
	shutdown(fake->main, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	fd_close(&fake->main);
	fd_close(&fake->back);
	return fake->config.careless ? 0 : fake->trouble;
}

struct fake *fake_new(const struct fake_config *config)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	struct vhu_frontend_config frontend = {
		.name = "test",
		.iommu = config->iommu,
		.timeout_ms = config->timeout_ms ? config->timeout_ms : TIMEOUT_DEFAULT_MS,
		.config_changed = config->config_changed,
		.lost = config->lost,
		.opaque = config->opaque,
	};

	assert_non_null(fake);
	assert_int_equal(vhu_frontend_new(&frontend, start(fake, config), &fake->frontend), 0);
	return fake;
}

int fake_reconnect(struct fake *fake, const struct fake_config *config)
{
	assert_int_equal(stop(fake), 0);
	return vhu_frontend_reconnect(fake->frontend, start(fake, config));
}

struct fake *fake_ready(const struct fake_config *config, uint64_t features)
{
	struct fake *fake = fake_new(config);

	assert_int_equal(vhu_frontend_negotiate(fake->frontend), 0);
	assert_int_equal(vhu_frontend_set_features(fake->frontend, features), 0);
	return fake;
}

void fake_set_timeout(struct fake *fake, int ms)
{
	fake->frontend->config.timeout_ms = ms;
}

void fake_free(struct fake *fake)
{
	int trouble;

	vhu_frontend_free(fake->frontend);
	trouble = stop(fake);
	free(fake);
	if (trouble)
		fail_msg("the script was disappointed in line %d", trouble);
}

void fake_set_script(struct fake *fake, uint32_t request, fake_script *script)
{
	const uint64_t start = clock_ns();

	while (atomic_load(&fake->busy)) {
		assert_true(clock_ns() - start < UINT64_C(2000000) * PEER_PATIENCE);
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
	fake->config.request = request;
	fake->config.script = script;
	atomic_store(&fake->scripted, false);
}

void fake_run(struct fake *fake)
{
	uint64_t start = clock_ns();

	while (!atomic_load(&fake->scripted)) {
		assert_true(clock_ns() - start < UINT64_C(2000000) * PEER_PATIENCE);
		if (vhu_frontend_run(fake->frontend, 10))
			nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000000 }, NULL);
	}
}

int fake_send_iotlb(struct fake *fake, uint8_t type, uint64_t iova, uint8_t perm)
{
	struct message message;

	message_init(&message, VHU_BE_IOTLB_MSG);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb.iova = iova;
	message.payload.iotlb.perm = perm;
	message.payload.iotlb.type = type;
	return peer_send(fake->back, &message);
}

int fake_send_miss(struct fake *fake, uint64_t iova, uint8_t perm)
{
	return fake_send_iotlb(fake, VHU_IOTLB_MISS, iova, perm);
}

bool fake_expect_iotlb(struct fake *fake, uint8_t type, uint64_t iova, struct message *ret)
{
	return !peer_recv(fake->main, ret, PEER_PATIENCE) &&
	       ret->header.request == VHU_FE_IOTLB_MSG &&
	       ret->header.flags == (VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY) &&
	       ret->header.size == sizeof(struct vhu_iotlb) && ret->payload.iotlb.type == type &&
	       ret->payload.iotlb.iova == iova;
}

bool fake_expect_back(struct fake *fake, uint64_t value)
{
	struct message message;

	return !peer_recv(fake->back, &message, PEER_PATIENCE) &&
	       message.header.request == VHU_BE_IOTLB_MSG &&
	       message.header.flags == (VHU_FLAG_VERSION | VHU_FLAG_REPLY) &&
	       message.header.size == sizeof(uint64_t) && message.payload.u64 == value;
}

bool fake_expect_back_silence(struct fake *fake)
{
	struct message message;

	return peer_recv(fake->back, &message, PEER_QUIET) == -ETIMEDOUT;
}
