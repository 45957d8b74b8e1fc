/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who calls a front-end: several threads, callbacks, and whoever waits longest. No
 * back-end holds any of them up for more than the time-out.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "support/fake.h"

#define PLATFORM   VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define NUM        8u
#define RING_BYTES 8192u

#define TIMEOUT_MS 200
/* What a call may take beyond that, on a machine that has other things to do. */
#define SLACK_MS 4000

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static struct vhu_vq *start_queue(struct fake *fake, void *ring, bool run_elsewhere)
{
	const struct vhu_vq_config config = { .num = NUM,
		                              .mem = ring,
		                              .run_elsewhere = run_elsewhere };
	struct vhu_vq *vq;

	assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), 0);
	return vq;
}

struct waiter {
	struct vhu_vq *vq;
	pthread_t thread;
	_Atomic bool over;
	int results[3];
};

static void *wait_again_and_again(void *opaque)
{
	struct waiter *waiter = opaque;

	for (unsigned i = 0; i < ARRAY_SIZE(waiter->results); i++)
		waiter->results[i] = vhu_vq_wait(waiter->vq, -1);
	atomic_store(&waiter->over, true);
	return NULL;
}

/* The news of the end is not used up by who hears it first. */
static void who_waits_for_a_queue_of_the_dead_is_told_each_time(void **state)
{
	void *ring = aligned_alloc(4096, RING_BYTES);

	for (unsigned elsewhere = 0; elsewhere < 2; elsewhere++) {
		struct fake *fake = fake_ready(&fake_full, 0);
		struct waiter waiter = { .vq = start_queue(fake, ring, elsewhere) };

		shutdown(fake->main, SHUT_RDWR);
		assert_int_equal(vhu_frontend_run(fake->frontend, PEER_PATIENCE), -ENOTCONN);
		assert_int_equal(
			pthread_create(&waiter.thread, NULL, wait_again_and_again, &waiter), 0);
		for (int ms = 0; !atomic_load(&waiter.over); ms++) {
			assert_true(ms < PEER_PATIENCE);
			sleep_ms(1);
		}
		pthread_join(waiter.thread, NULL);
		for (unsigned i = 0; i < ARRAY_SIZE(waiter.results); i++)
			assert_int_equal(waiter.results[i], -ENOTCONN);
		vhu_vq_free(waiter.vq);
		fake_free(fake);
	}
	free(ring);
}

struct reentry {
	struct vhu_frontend *frontend;
	struct vhu_vq *vq;
	unsigned calls;
	int waited, at_once, reconnected;
};

static void wait_inside(void *opaque)
{
	struct reentry *reentry = opaque;

	reentry->calls++;
	reentry->waited = vhu_vq_wait(reentry->vq, PEER_PATIENCE);
	reentry->at_once = vhu_vq_wait(reentry->vq, 0);
	reentry->reconnected = vhu_frontend_reconnect(reentry->frontend, -1);
}

static int change_config(struct fake *fake, const struct message *request)
{
	struct message message;

	message_init(&message, VHU_BE_CONFIG_CHANGE_MSG);
	MUST(!peer_send(fake->back, &message));
	return peer_reply_u64(fake->main, request, 0);
}

static void a_callback_may_look_at_a_queue_and_not_wait_for_it(void **state)
{
	void *ring = aligned_alloc(4096, RING_BYTES);
	struct fake_config config = fake_full;
	struct reentry reentry = { 0 };
	struct fake *fake;
	int64_t start;

	config.config_changed = wait_inside;
	config.opaque = &reentry;
	fake = fake_ready(&config, 0);
	reentry.frontend = fake->frontend;
	reentry.vq = start_queue(fake, ring, true);
	fake_set_script(fake, VHU_FE_SET_STATUS, change_config);
	start = now_ms();
	assert_int_equal(vhu_frontend_set_status(fake->frontend, 1), 0);
	while (!reentry.calls && now_ms() - start < PEER_PATIENCE)
		assert_int_equal(vhu_frontend_run(fake->frontend, 10), 0);
	assert_int_equal(reentry.calls, 1);
	assert_int_equal(reentry.waited, -EDEADLK);
	assert_int_equal(reentry.at_once, 0);
	assert_int_equal(reentry.reconnected, -EDEADLK);
	assert_true(now_ms() - start < PEER_PATIENCE);
	vhu_vq_free(reentry.vq);
	fake_free(fake);
	free(ring);
}

/* A byte of the reply at a time, for longer than anybody should wait. */
static int drip(struct fake *fake, const struct message *request)
{
	struct vhu_header header = request->header;

	header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	header.size = 8;
	for (unsigned i = 0; i < sizeof(header); i++) {
		if (peer_send_bytes(fake->main, (char *)&header + i, 1))
			return 0;
		sleep_ms(TIMEOUT_MS / 4);
	}
	return 0;
}

static void a_reply_that_drips_is_not_waited_for(void **state)
{
	struct fake_config config = fake_full;
	struct fake *fake;
	int64_t start;

	config.timeout_ms = TIMEOUT_MS;
	config.careless = true;
	fake = fake_ready(&config, 0);
	fake_set_script(fake, VHU_FE_SET_STATUS, drip);
	start = now_ms();
	assert_int_equal(vhu_frontend_set_status(fake->frontend, 1), -ETIMEDOUT);
	assert_true(now_ms() - start >= TIMEOUT_MS);
	assert_true(now_ms() - start < 2 * TIMEOUT_MS);
	fake_free(fake);
}

/*
 * Misses for nothing, one after the other, for as long as it takes: every reply is
 * read, and every UPDATE acknowledged, but what the caller waits for.
 */
static int flood_and_owe(struct fake *fake, const struct message *request)
{
	const int64_t start = now_ms();
	struct message message;

	while (now_ms() - start < 8 * TIMEOUT_MS) {
		if (fake_send_miss(fake, UINT64_C(1) << 40, 1))
			break;
		while (!peer_recv(fake->back, &message, 0))
			message_close_fds(&message);
	}
	return 0;
}

struct pumper {
	struct vhu_frontend *frontend;
	pthread_t thread;
};

static void *pump(void *opaque)
{
	struct pumper *pumper = opaque;

	while (!vhu_frontend_run(pumper->frontend, -1))
		;
	return NULL;
}

/* Longer than it takes to ask again. */
static void look_into_it(const struct vhu_iommu_fault *fault, void *opaque)
{
	sleep_ms(1);
}

static void E3_a_flood_holds_nobody_up_who_is_owed_a_reply(void **state)
{
	for (unsigned threads = 0; threads < 4; threads += 3) {
		const struct vhu_iommu_config iommu = { .fault = look_into_it };
		struct fake_config config = fake_full;
		struct pumper pumpers[3];
		struct fake *fake;
		int64_t start;

		assert_int_equal(vhu_iommu_new(&iommu, &config.iommu), 0);
		config.timeout_ms = TIMEOUT_MS;
		config.careless = true;
		fake = fake_ready(&config, PLATFORM);
		fake_set_script(fake, VHU_FE_SET_STATUS, flood_and_owe);
		for (unsigned i = 0; i < threads; i++) {
			pumpers[i].frontend = fake->frontend;
			assert_int_equal(
				pthread_create(&pumpers[i].thread, NULL, pump, &pumpers[i]), 0);
		}
		start = now_ms();
		assert_int_equal(vhu_frontend_set_status(fake->frontend, 1), -ETIMEDOUT);
		print_message("  %u ms beside %u others\n", (unsigned)(now_ms() - start), threads);
		assert_true(now_ms() - start < 5 * TIMEOUT_MS);
		shutdown(fake->main, SHUT_RDWR);
		for (unsigned i = 0; i < threads; i++)
			pthread_join(pumpers[i].thread, NULL);
		fake_free(fake);
		vhu_iommu_free(config.iommu);
	}
}

struct sharing {
	struct vhu_frontend *frontend;
	const struct vhu_region *regions;
	pthread_t thread;
	_Atomic bool inside, over;
	int result, other;
	int64_t took;
};

/* A callback in the middle of a change, which waits for somebody who wants to make another. */
static void wait_for_the_other(void *opaque)
{
	struct sharing *sharing = opaque;

	atomic_store(&sharing->inside, true);
	for (int ms = 0; ms < PEER_PATIENCE && !atomic_load(&sharing->over); ms++)
		sleep_ms(1);
}

static void *share_another(void *opaque)
{
	struct sharing *sharing = opaque;
	const int64_t start = now_ms();

	while (!atomic_load(&sharing->inside) && now_ms() - start < PEER_PATIENCE)
		sleep_ms(1);
	sharing->other = vhu_frontend_add_memory(sharing->frontend, &sharing->regions[1], 1);
	sharing->took = now_ms() - start;
	atomic_store(&sharing->over, true);
	return NULL;
}

static int change_config_and_dawdle(struct fake *fake, const struct message *request)
{
	struct message message;

	message_init(&message, VHU_BE_CONFIG_CHANGE_MSG);
	MUST(!peer_send(fake->back, &message));
	sleep_ms(TIMEOUT_MS / 2);
	return peer_reply_u64(fake->main, request, 0);
}

static void a_change_of_memory_holds_up_another_no_longer_than_the_time_out(void **state)
{
	const uint64_t sizes[] = { 4096, 4096 };
	struct fake_config config = fake_full;
	struct sharing sharing = { 0 };
	struct vhu_guestmem *mem;
	struct fake *fake;
	unsigned n;

	assert_int_equal(vhu_guestmem_new(sizes, 2, &mem), 0);
	sharing.regions = vhu_guestmem_regions(mem, &n);
	config.timeout_ms = TIMEOUT_MS;
	config.config_changed = wait_for_the_other;
	config.opaque = &sharing;
	fake = fake_ready(&config, 0);
	sharing.frontend = fake->frontend;
	fake_set_script(fake, VHU_FE_ADD_MEM_REG, change_config_and_dawdle);
	assert_int_equal(pthread_create(&sharing.thread, NULL, share_another, &sharing), 0);
	sharing.result = vhu_frontend_add_memory(fake->frontend, &sharing.regions[0], 1);
	pthread_join(sharing.thread, NULL);
	assert_int_equal(sharing.other, -ETIMEDOUT);
	assert_true(sharing.took < PEER_PATIENCE);
	/* It took its time in the callback; what it waited for may have come too late. */
	assert_true(sharing.result == 0 || sharing.result == -ETIMEDOUT);
	assert_int_equal(vhu_frontend_add_memory(fake->frontend, &sharing.regions[1], 1), 0);
	fake_free(fake);
	vhu_guestmem_free(mem);
}

static void count(void *opaque)
{
	++*(unsigned *)opaque;
}

static int never_reply(struct fake *fake, const struct message *request)
{
	return 0;
}

static void *share_one(void *opaque)
{
	struct sharing *sharing = opaque;

	sharing->result = vhu_frontend_add_memory(sharing->frontend, &sharing->regions[0], 1);
	return NULL;
}

/* Whoever waits for the one that is left has nothing to wait for. */
static void who_changes_memory_holds_up_no_reconnection(void **state)
{
	const uint64_t size = 4096;
	struct fake_config config = fake_full;
	struct sharing sharing = { 0 };
	struct vhu_guestmem *mem;
	struct fake *fake;
	int64_t start;
	unsigned n, lost = 0;
	int pair[2];

	assert_int_equal(vhu_guestmem_new(&size, 1, &mem), 0);
	sharing.regions = vhu_guestmem_regions(mem, &n);
	config.timeout_ms = 2 * PEER_PATIENCE;
	config.request = VHU_FE_ADD_MEM_REG;
	config.script = never_reply;
	config.lost = count;
	config.opaque = &lost;
	fake = fake_ready(&config, 0);
	sharing.frontend = fake->frontend;
	assert_int_equal(pthread_create(&sharing.thread, NULL, share_one, &sharing), 0);
	while (!atomic_load(&fake->scripted))
		sleep_ms(1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	shutdown(pair[0], SHUT_RDWR);
	start = now_ms();
	assert_int_equal(vhu_frontend_reconnect(fake->frontend, pair[1]), -ENOTCONN);
	assert_true(now_ms() - start < PEER_PATIENCE);
	pthread_join(sharing.thread, NULL);
	assert_int_equal(sharing.result, -ENOTCONN);
	assert_int_equal(lost, 0);
	fd_close(&pair[0]);
	fake_free(fake);
	vhu_guestmem_free(mem);
}

struct outcome {
	unsigned calls;
	int error;
};

static void on_done(void *opaque, int error)
{
	struct outcome *outcome = opaque;

	outcome->calls++;
	outcome->error = error;
}

static int take_an_update(struct fake *fake, const struct message *request)
{
	struct message update;

	MUST(!fake_send_miss(fake, 0x1000, 1));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x1000, &update));
	MUST(!peer_reply_u64(fake->main, request, 0));
	return peer_reply_u64(fake->main, &update, 0);
}

static void what_is_under_way_calls_back_before_all_is_freed(void **state)
{
	struct fake_config config = fake_full;
	const struct vhu_iova_range range = { 0x1000, 0x1000 };
	struct outcome outcome = { 0 };
	struct fake *fake;

	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &config.iommu), 0);
	assert_int_equal(vhu_iommu_map(config.iommu, 0x1000, 0x1000, 0x7000000, 3), 0);
	config.careless = true;
	fake = fake_ready(&config, PLATFORM);
	fake_set_script(fake, VHU_FE_SET_STATUS, take_an_update);
	assert_int_equal(vhu_frontend_set_status(fake->frontend, 1), 0);
	fake_set_script(fake, VHU_FE_IOTLB_MSG, never_reply);
	assert_int_equal(vhu_iommu_unmap_async(config.iommu, &range, 1, on_done, &outcome), 0);
	assert_int_equal(outcome.calls, 0);
	fake_free(fake);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.error, -ENOTCONN);
	vhu_iommu_free(config.iommu);
}

/* Reads nothing any more, until it is let go. */
static _Atomic bool released;

static int read_nothing(struct fake *fake, const struct message *request)
{
	while (!atomic_load(&released))
		sleep_ms(1);
	return 0;
}

static void what_a_back_end_does_not_read_is_bounded(void **state)
{
	struct fake_config config = fake_full;
	unsigned timed_out = 0, refused = 0;
	struct fake *fake;
	uint8_t status;

	config.careless = true;
	fake = fake_ready(&config, 0);
	atomic_store(&released, false);
	fake_set_script(fake, VHU_FE_SET_STATUS, read_nothing);
	fake_set_timeout(fake, 1);
	for (unsigned i = 0; i < 2000; i++) {
		int result = vhu_frontend_set_status(fake->frontend, 1);

		assert_true(result == -ETIMEDOUT || result == -ENOBUFS);
		timed_out += result == -ETIMEDOUT;
		refused += result == -ENOBUFS;
	}
	assert_true(timed_out > 100 && refused > 100);
	assert_non_null(strstr(vhu_frontend_error(fake->frontend), "SET_STATUS"));
	fake_set_timeout(fake, PEER_PATIENCE);
	atomic_store(&released, true);
	assert_int_equal(fake_reconnect(fake, &config), 0);
	assert_int_equal(vhu_frontend_get_status(fake->frontend, &status), 0);
	fake_free(fake);
}

struct mourner {
	struct vhu_vq *vq;
	unsigned calls;
};

static void free_the_queue(void *opaque)
{
	struct mourner *mourner = opaque;

	vhu_vq_free(mourner->vq);
	mourner->calls++;
}

static void a_queue_may_be_freed_when_its_back_end_is_lost(void **state)
{
	void *ring = aligned_alloc(4096, RING_BYTES);
	struct fake_config config = fake_full;
	struct mourner mourner = { 0 };
	struct fake *fake;

	config.lost = free_the_queue;
	config.opaque = &mourner;
	fake = fake_ready(&config, 0);
	mourner.vq = start_queue(fake, ring, false);
	shutdown(fake->main, SHUT_RDWR);
	assert_int_equal(vhu_frontend_run(fake->frontend, PEER_PATIENCE), -ENOTCONN);
	assert_int_equal(mourner.calls, 1);
	assert_int_equal(fake_reconnect(fake, &config), 0);
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_KICK], 0);
	fake_free(fake);
	free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_for_a_queue_of_the_dead_is_told_each_time),
		cmocka_unit_test(a_callback_may_look_at_a_queue_and_not_wait_for_it),
		cmocka_unit_test(a_reply_that_drips_is_not_waited_for),
		cmocka_unit_test(E3_a_flood_holds_nobody_up_who_is_owed_a_reply),
		cmocka_unit_test(a_change_of_memory_holds_up_another_no_longer_than_the_time_out),
		cmocka_unit_test(who_changes_memory_holds_up_no_reconnection),
		cmocka_unit_test(what_is_under_way_calls_back_before_all_is_freed),
		cmocka_unit_test(what_a_back_end_does_not_read_is_bounded),
		cmocka_unit_test(a_queue_may_be_freed_when_its_back_end_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
