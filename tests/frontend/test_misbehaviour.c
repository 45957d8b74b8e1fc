/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole life of a front-end against a back-end that behaves, but for one
 * message: each message of that life, and each way to misbehave at it. No call waits
 * longer than the time-out, no call says anything but what it may, nothing is left
 * behind, and another back-end will do in its place.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "support/census.h"
#include "support/fake.h"

#define PLATFORM   VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define TIMEOUT_MS 30
/* What a call may take beyond that, on a machine that has other things to do. */
#define SLACK_MS 4000

#define IOVA     UINT64_C(0x10000)
#define MAPPED   UINT64_C(0x8000)
#define NUM      8u

/* Each replies to @request, or not. */

static int reply_as(struct fake *fake, const struct message *request, uint32_t number,
                    uint32_t flags, uint32_t size)
{
	struct message reply;

	message_init(&reply, number);
	reply.header.flags = flags;
	reply.header.size = size;
	return peer_send(fake->main, &reply);
}

#define REPLY_FLAGS (VHU_FLAG_VERSION | VHU_FLAG_REPLY)

static int wrong_number(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, request->header.request + 1, REPLY_FLAGS, 8);
}

static int unknown_number(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, 4242, REPLY_FLAGS, 8);
}

static int no_reply_bit(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, request->header.request, VHU_FLAG_VERSION, 8);
}

static int wrong_version(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, request->header.request, VHU_FLAG_REPLY | 2, 8);
}

static int unknown_flags(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, request->header.request, REPLY_FLAGS | 0xff0, 8);
}

static int empty(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, request->header.request, REPLY_FLAGS, 0);
}

static int short_one(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, request->header.request, REPLY_FLAGS, 7);
}

static int long_one(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, request->header.request, REPLY_FLAGS, 1000);
}

static int enormous(struct fake *fake, const struct message *request)
{
	return reply_as(fake, request, request->header.request, REPLY_FLAGS, UINT32_MAX);
}

static int of_ones(struct fake *fake, const struct message *request)
{
	struct message reply = *request;

	memset(&reply.payload, 0xff, sizeof(reply.payload));
	reply.header.flags = REPLY_FLAGS;
	reply.header.size = request->header.size ? request->header.size : 8;
	reply.n_fds = 0;
	return peer_send(fake->main, &reply);
}

static int garbage(struct fake *fake, const struct message *request)
{
	char bytes[300];

	memset(bytes, 0xee, sizeof(bytes));
	return peer_send_bytes(fake->main, bytes, sizeof(bytes));
}

static int with_fds(struct fake *fake, const struct message *request)
{
	struct message reply;

	message_init(&reply, request->header.request);
	reply.header.flags = REPLY_FLAGS;
	reply.header.size = 8;
	for (reply.n_fds = 0; reply.n_fds < MESSAGE_FDS_MAX; reply.n_fds++)
		reply.fds[reply.n_fds] = fake->main;
	return peer_send(fake->main, &reply);
}

static int refusal(struct fake *fake, const struct message *request)
{
	return peer_reply_u64(fake->main, request, 1);
}

static int silence(struct fake *fake, const struct message *request)
{
	return 0;
}

static int twice(struct fake *fake, const struct message *request)
{
	peer_reply_u64(fake->main, request, 0);
	return peer_reply_u64(fake->main, request, 0);
}

static int to_nothing(struct fake *fake, const struct message *request)
{
	for (unsigned i = 0; i < 50; i++)
		reply_as(fake, request, VHU_FE_SET_STATUS, REPLY_FLAGS, 8);
	return 0;
}

static int death(struct fake *fake, const struct message *request)
{
	shutdown(fake->main, SHUT_RDWR);
	return 0;
}

static int death_in_header(struct fake *fake, const struct message *request)
{
	peer_send_bytes(fake->main, &request->header, 5);
	return death(fake, request);
}

static int death_in_payload(struct fake *fake, const struct message *request)
{
	struct message reply;

	message_init(&reply, request->header.request);
	reply.header.flags = REPLY_FLAGS;
	reply.header.size = 8;
	peer_send_bytes(fake->main, &reply, 15);
	return death(fake, request);
}

static int death_of_back_channel(struct fake *fake, const struct message *request)
{
	fd_close(&fake->back);
	return peer_reply_u64(fake->main, request, 0);
}

static void ask(struct fake *fake, uint32_t number, uint32_t flags, uint32_t size, uint8_t type,
                uint64_t iova, uint8_t perm)
{
	struct message message;

	message_init(&message, number);
	message.header.flags = flags;
	message.header.size = size;
	message.payload.iotlb.iova = iova;
	message.payload.iotlb.size = UINT64_MAX;
	message.payload.iotlb.perm = perm;
	message.payload.iotlb.type = type;
	if (fake->back >= 0)
		peer_try_send(fake->back, &message);
}

#define ASK_FLAGS (VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY)

static void miss(struct fake *fake, uint64_t iova, uint8_t perm)
{
	ask(fake, VHU_BE_IOTLB_MSG, ASK_FLAGS, 32, VHU_IOTLB_MISS, iova, perm);
}

static int nonsense(struct fake *fake, const struct message *request)
{
	for (unsigned type = 0; type < 7; type++)
		for (unsigned perm = 0; perm < 5; perm++)
			ask(fake, VHU_BE_IOTLB_MSG, ASK_FLAGS, 32, (uint8_t)type, UINT64_MAX - perm,
			    (uint8_t)perm);
	for (uint32_t number = 0; number < 20; number++)
		ask(fake, number, ASK_FLAGS, 26, VHU_IOTLB_MISS, IOVA, 255);
	return peer_reply_u64(fake->main, request, 0);
}

static int garbage_behind(struct fake *fake, const struct message *request)
{
	char bytes[300];

	memset(bytes, 0xee, sizeof(bytes));
	if (fake->back >= 0)
		peer_send_bytes(fake->back, bytes, sizeof(bytes));
	return peer_reply_u64(fake->main, request, 0);
}

static int reply_behind(struct fake *fake, const struct message *request)
{
	ask(fake, VHU_BE_IOTLB_MSG, REPLY_FLAGS, 8, 0, 0, 0);
	return peer_reply_u64(fake->main, request, 0);
}

/* With a request that has none, and with one that is no request of any feature. */
static int fds_behind(struct fake *fake, const struct message *request)
{
	static const uint32_t numbers[] = { VHU_BE_IOTLB_MSG, VHU_BE_VRING_HOST_NOTIFIER_MSG };
	struct message message;

	for (unsigned i = 0; i < ARRAY_SIZE(numbers) && fake->back >= 0; i++) {
		message_init(&message, numbers[i]);
		message.header.flags = ASK_FLAGS;
		message.header.size = i ? sizeof(message.payload.area)
		                        : sizeof(message.payload.iotlb);
		message.payload.iotlb.iova = IOVA;
		message.payload.iotlb.perm = 1;
		message.payload.iotlb.type = VHU_IOTLB_MISS;
		for (message.n_fds = 0; message.n_fds < (i ? 1 : MESSAGE_FDS_MAX); message.n_fds++)
			message.fds[message.n_fds] = fake->main;
		peer_send(fake->back, &message);
	}
	return peer_reply_u64(fake->main, request, 0);
}

static int half_a_miss(struct fake *fake, const struct message *request)
{
	const struct vhu_header header = { VHU_BE_IOTLB_MSG, ASK_FLAGS, 32 };

	if (fake->back >= 0)
		peer_send_bytes(fake->back, &header, sizeof(header));
	return peer_reply_u64(fake->main, request, 0);
}

static int half_a_miss_and_death(struct fake *fake, const struct message *request)
{
	half_a_miss(fake, request);
	if (fake->back >= 0)
		shutdown(fake->back, SHUT_RDWR);
	return 0;
}

/* Never in as much as a time-out, and never to the end. */
static int drip(struct fake *fake, const struct message *request)
{
	const struct vhu_header header = { request->header.request, REPLY_FLAGS, 8 };

	for (unsigned i = 0; i < sizeof(header); i++) {
		if (peer_send_bytes(fake->main, (const char *)&header + i, 1))
			break;
		nanosleep(&(struct timespec){ .tv_nsec = TIMEOUT_MS * 1000000 / 5 }, NULL);
	}
	return 0;
}

/* It can still be told things. */
static int silence_for_ever(struct fake *fake, const struct message *request)
{
	shutdown(fake->main, SHUT_WR);
	return 0;
}

/* It can still say things. */
static int deafness(struct fake *fake, const struct message *request)
{
	peer_reply_u64(fake->main, request, 0);
	shutdown(fake->main, SHUT_RD);
	return 0;
}

/* More than there is room for, and none of the replies is read. */
static int flood(struct fake *fake, const struct message *request)
{
	for (unsigned i = 0; i < 2000; i++)
		miss(fake, i % 3 ? IOVA + i % 8 * 0x1000 : UINT64_MAX, 1);
	return peer_reply_u64(fake->main, request, 0);
}

static int flood_of_notices(struct fake *fake, const struct message *request)
{
	for (unsigned i = 0; i < 2000; i++)
		ask(fake, VHU_BE_CONFIG_CHANGE_MSG, ASK_FLAGS, 0, 0, 0, 0);
	return peer_reply_u64(fake->main, request, 0);
}

static const struct {
	const char *name;
	fake_script *script;
} misbehaviours[] = {
	{ "wrong number", wrong_number },
	{ "unknown number", unknown_number },
	{ "no reply bit", no_reply_bit },
	{ "wrong version", wrong_version },
	{ "unknown flags", unknown_flags },
	{ "empty", empty },
	{ "too short", short_one },
	{ "too long", long_one },
	{ "enormous", enormous },
	{ "all ones", of_ones },
	{ "garbage", garbage },
	{ "with fds", with_fds },
	{ "refusal", refusal },
	{ "silence", silence },
	{ "twice", twice },
	{ "replies to nothing", to_nothing },
	{ "death", death },
	{ "death in the header of a reply", death_in_header },
	{ "death in the payload of a reply", death_in_payload },
	{ "death of the back-channel", death_of_back_channel },
	{ "nonsense on the back-channel", nonsense },
	{ "garbage on the back-channel", garbage_behind },
	{ "a reply on the back-channel", reply_behind },
	{ "fds on the back-channel", fds_behind },
	{ "half a miss", half_a_miss },
	{ "half a miss, and death of the back-channel", half_a_miss_and_death },
	{ "a reply that drips", drip },
	{ "silence for ever", silence_for_ever },
	{ "deafness", deafness },
	{ "a flood of misses", flood },
	{ "a flood of notices", flood_of_notices },
};

static _Atomic unsigned messages; /* of a life */

/* At every message but those that this makes, misses; and replies are read. */
static int chat(struct fake *fake, const struct message *request)
{
	struct message message;

	atomic_fetch_add(&messages, 1);
	if (fake->back < 0 || request->header.request == VHU_FE_IOTLB_MSG)
		return 0;
	miss(fake, IOVA + fake->received % 8 * 0x1000, 3);
	miss(fake, 0, 1);
	while (!peer_recv(fake->back, &message, 0))
		message_close_fds(&message);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t began;
static unsigned worst;

static void begin_call(void)
{
	began = now_ms();
}

/* A call made of several exchanges may wait for each. */
static int end_call(struct fake *fake, int result, unsigned exchanges)
{
	static const int may[] = { 0,           -ENOTCONN, -ETIMEDOUT, -EREMOTEIO, -EPROTO,
		                   -EOPNOTSUPP, -EINVAL,   -E2BIG,     -EISCONN,   -ENOENT,
		                   -EEXIST,     -EBUSY,    -ENOBUFS };
	int64_t took = now_ms() - began;
	bool known = false;

	for (unsigned i = 0; i < ARRAY_SIZE(may); i++)
		known |= result == may[i];
	if (!known)
		fail_msg("an error that may not be: %d", result);
	if (result)
		assert_true(vhu_frontend_error(fake->frontend)[0] != 0 || result == -EEXIST);
	if (took > (int64_t)exchanges * TIMEOUT_MS + SLACK_MS)
		fail_msg("a call took %d ms", (int)took);
	if (took > worst)
		worst = (unsigned)took;
	return result;
}

#define CALL(exchanges, call) (begin_call(), end_call(fake, (call), exchanges))

struct scene {
	struct vhu_iommu *iommu;
	struct vhu_guestmem *mem;
	unsigned n_begun, n_async; /* unmaps that call back, and that have */
};

static void count(void *opaque, int error)
{
	++*(unsigned *)opaque;
}

static void run_a_while(struct fake *fake)
{
	for (unsigned i = 0; i < 3; i++)
		CALL(1, vhu_frontend_run(fake->frontend, 1));
}

static void rings(struct fake *fake, struct scene *scene)
{
	struct vhu_vq_config config = { .num = NUM, .addr = IOVA, .buffer_addr = IOVA };
	const struct vhu_buffer buffer = { IOVA + 0x2000, 16, true };
	struct vhu_vq *vq = NULL;
	uint32_t written;
	void *token;

	config.mem = vhu_guestmem_ptr(scene->mem, 0, 4096);
	if (!CALL(4, vhu_vq_start(fake->frontend, &config, &vq))) {
		vhu_vq_add(vq, &buffer, 1, NULL);
		CALL(1, vhu_vq_kick(vq));
		CALL(1, vhu_vq_wait(vq, 5));
		assert_int_equal(vhu_vq_get(vq, &token, &written), 0);
		CALL(1, vhu_vq_stop(vq));
		if (!CALL(4, vhu_vq_restart(vq)))
			CALL(1, vhu_vq_stop(vq));
	}
	vhu_vq_free(vq);
}

static void config_space(struct fake *fake)
{
	unsigned char bytes[8];
	uint8_t status;

	CALL(1, vhu_frontend_get_config(fake->frontend, 0, bytes, 8));
	CALL(1, vhu_frontend_set_config(fake->frontend, 0, bytes, 8, false));
	CALL(1, vhu_frontend_set_status(fake->frontend, 15));
	CALL(1, vhu_frontend_get_status(fake->frontend, &status));
}

/* The clock is in the front-end, which may be of no use. */
static void await_async(struct fake *fake, struct scene *scene)
{
	const int64_t start = now_ms();

	scene->n_begun++;
	while (scene->n_async < scene->n_begun) {
		assert_true(now_ms() - start < TIMEOUT_MS + SLACK_MS);
		CALL(1, vhu_frontend_run(fake->frontend, 1));
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
}

static void translations(struct fake *fake, struct scene *scene)
{
	const struct vhu_iova_range ranges[] = { { IOVA, 0x1000 }, { IOVA + 0x4000, 0x1000 } };

	CALL(1, vhu_iommu_unmap(scene->iommu, IOVA + 0x1000, 0x1000));
	if (!CALL(1, vhu_iommu_unmap_async(scene->iommu, ranges, 2, count, &scene->n_async)))
		await_async(fake, scene);
	CALL(1, vhu_iommu_unmap_lazy(scene->iommu, IOVA + 0x2000, 0x1000, NULL, NULL));
	CALL(2, vhu_iommu_flush(scene->iommu));
	CALL(1, vhu_iommu_unmap(scene->iommu, IOVA, MAPPED));
}

static void life(struct fake *fake, struct scene *scene)
{
	const struct vhu_region *regions;
	unsigned n;

	CALL(7, vhu_frontend_negotiate(fake->frontend));
	CALL(1, vhu_frontend_set_features(fake->frontend, PLATFORM));
	regions = vhu_guestmem_regions(scene->mem, &n);
	CALL(1, vhu_frontend_add_memory(fake->frontend, regions, n));
	config_space(fake);
	run_a_while(fake);
	rings(fake, scene);
	run_a_while(fake);
	translations(fake, scene);
	CALL(1, vhu_frontend_reset_device(fake->frontend));
	CALL(1, vhu_frontend_remove_memory(fake->frontend, &regions[1]));
}

static void never(void *opaque)
{
	++*(unsigned *)opaque;
}

/* What the first had, or was last believed to have, means nothing to the next. */
static void live_on(struct fake *fake, struct scene *scene)
{
	struct fake_config config = fake->config;
	uint8_t status;
	int error;

	config.script = NULL;
	config.beside = NULL;
	fake_set_timeout(fake, PEER_PATIENCE);
	assert_int_equal(fake_reconnect(fake, &config), 0);
	assert_int_equal(vhu_iommu_exposed(scene->iommu), 0);
	error = vhu_frontend_negotiate(fake->frontend);
	assert_true(error == 0 || error == -EISCONN);
	assert_int_equal(vhu_frontend_set_features(fake->frontend, PLATFORM), 0);
	assert_int_equal(vhu_frontend_get_status(fake->frontend, &status), 0);
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_KICK], 0);
}

/* Messages the back-end got. */
static unsigned live(fake_script *script, unsigned at)
{
	const uint64_t sizes[] = { 0x10000, 0x10000 };
	const struct vhu_iommu_config iommu = { .policy = VHU_IOMMU_PAGE };
	struct fake_config config = fake_full;
	struct scene scene = { 0 };
	struct fake *fake;
	unsigned lost = 0, n;

	atomic_store(&messages, 0);
	assert_int_equal(vhu_iommu_new(&iommu, &scene.iommu), 0);
	assert_int_equal(vhu_guestmem_new(sizes, 2, &scene.mem), 0);
	assert_int_equal(vhu_iommu_map(scene.iommu, IOVA, MAPPED,
	                               (uintptr_t)vhu_guestmem_ptr(scene.mem, 0, MAPPED), 3),
	                 0);
	config.iommu = scene.iommu;
	config.script = script;
	config.script_at = at;
	config.beside = chat;
	config.careless = true;
	config.timeout_ms = script ? TIMEOUT_MS : PEER_PATIENCE;
	config.lost = never;
	config.opaque = &lost;
	fake = fake_new(&config);
	life(fake, &scene);
	assert_true(lost <= 1);
	assert_int_equal(scene.n_async, scene.n_begun);
	if (!script) {
		assert_int_equal(scene.n_begun, 1);
		assert_int_equal(lost, 0);
		assert_int_equal(vhu_iommu_exposed(scene.iommu), 0);
	}
	n = atomic_load(&messages);
	live_on(fake, &scene);
	fake_free(fake);
	vhu_iommu_free(scene.iommu);
	vhu_guestmem_free(scene.mem);
	return n;
}

static void E3_no_misbehaviour_at_any_message_does_harm(void **state)
{
	/* Before the census: a sanitizer starts a thread of its own with the first. */
	unsigned n = live(NULL, 0);
	struct census before = census_take();

	print_message("  %u messages\n", n);
	assert_true(n >= 40);
	for (unsigned i = 0; i < ARRAY_SIZE(misbehaviours); i++) {
		worst = 0;
		for (unsigned at = 1; at <= n; at++)
			live(misbehaviours[i].script, at);
		census_check(before);
		print_message("  %s: %u ms at most\n", misbehaviours[i].name, worst);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E3_no_misbehaviour_at_any_message_does_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
