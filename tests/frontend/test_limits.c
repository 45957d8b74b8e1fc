/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes wrong only with many of something: mappings to be pushed, rings of a
 * device that is replaced, threads that share memory; and what has to end although
 * the back-end has gone.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "support/fake.h"

#define VERSION    VHU_BIT(VIRTIO_F_VERSION_1)
#define PLATFORM   VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)

#define PAGE       UINT64_C(4096)
#define RING_BYTES (16 * PAGE)
#define FAR        (UINT64_C(1) << 32)

#define TIMEOUT_MS 300
/* What a call may take beyond that, on a machine that has other things to do. */
#define SLACK_MS 4000

struct scene {
	struct vhu_iommu *iommu;
	struct fake *fake;
	struct vhu_guestmem *mem;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void map(struct scene *scene, uint64_t iova, uint64_t size)
{
	const uint64_t uva = (uintptr_t)vhu_guestmem_ptr(scene->mem, 0, size);

	assert_int_equal(vhu_iommu_map(scene->iommu, iova, size, uva, VHU_PERM_RW), 0);
}

/* A back-end with an IOMMU, and memory of which the first rings are mapped at 0. */
static void scene_set(struct scene *scene, enum vhu_iommu_policy policy, struct fake_config config)
{
	const struct vhu_iommu_config iommu = { .policy = policy };
	const uint64_t size = 64 * PAGE;
	unsigned n;

	assert_int_equal(vhu_iommu_new(&iommu, &scene->iommu), 0);
	config.iommu = scene->iommu;
	scene->fake = fake_ready(&config, VERSION | PLATFORM);
	assert_int_equal(vhu_guestmem_new(&size, 1, &scene->mem), 0);
	assert_int_equal(vhu_frontend_add_memory(scene->fake->frontend,
	                                         vhu_guestmem_regions(scene->mem, &n), 1),
	                 0);
	map(scene, 0, size);
}

static void scene_strike(struct scene *scene)
{
	fake_free(scene->fake);
	vhu_iommu_free(scene->iommu);
	vhu_guestmem_free(scene->mem);
}

static int start_queue(struct scene *scene, unsigned index, struct vhu_vq **ret)
{
	const struct vhu_vq_config config = {
		.index = index,
		.num = 16,
		.mem = vhu_guestmem_ptr(scene->mem, index * RING_BYTES, RING_BYTES),
		.addr = index * RING_BYTES,
	};

	return vhu_vq_start(scene->fake->frontend, &config, ret);
}

/* Takes everything and replies to nothing any more. */
static int fall_silent(struct fake *fake, const struct message *request)
{
	struct message message;

	while (!peer_recv(fake->main, &message, 4 * PEER_PATIENCE))
		message_close_fds(&message);
	return 0;
}

static void more_pushes_than_are_acknowledged_end_in_time(void **state)
{
	struct fake_config config = fake_full;
	struct vhu_vq *vq = NULL;
	struct scene scene;
	int64_t start;

	config.timeout_ms = TIMEOUT_MS;
	config.request = VHU_FE_IOTLB_MSG;
	config.script = fall_silent;
	scene_set(&scene, VHU_IOMMU_PUSH, config);
	for (uint64_t i = 0; i < 3000; i++)
		map(&scene, FAR + 2 * i * PAGE, PAGE);
	start = now_ms();
	assert_int_equal(start_queue(&scene, 0, &vq), -ETIMEDOUT);
	assert_true(now_ms() - start < TIMEOUT_MS + SLACK_MS);
	assert_non_null(strstr(vhu_frontend_error(scene.fake->frontend), "IOTLB_MSG"));
	scene_strike(&scene);
}

/* The back-end that comes after the first; agrees to everything. */
struct second {
	int fd;
	pthread_t thread;
	unsigned kicks;
	unsigned updates; /* before the first kick */
};

static void second_reply(struct second *second, const struct message *request)
{
	switch (request->header.request) {
	case VHU_FE_GET_FEATURES: peer_reply_u64(second->fd, request, fake_full.features); break;
	case VHU_FE_GET_PROTOCOL_FEATURES:
		peer_reply_u64(second->fd, request, fake_full.protocol_features);
		break;
	case VHU_FE_GET_QUEUE_NUM:
	case VHU_FE_GET_MAX_MEM_SLOTS: peer_reply_u64(second->fd, request, 4); break;
	default:
		if (request->header.flags & VHU_FLAG_NEED_REPLY)
			peer_reply_u64(second->fd, request, 0);
	}
}

static void *second_run(void *opaque)
{
	struct second *second = opaque;
	struct message message;

	while (!peer_recv(second->fd, &message, 4 * PEER_PATIENCE)) {
		second->kicks += message.header.request == VHU_FE_SET_VRING_KICK;
		second->updates += message.header.request == VHU_FE_IOTLB_MSG && !second->kicks;
		second_reply(second, &message);
		message_close_fds(&message);
	}
	return NULL;
}

static void second_start(struct second *second, struct fake *first)
{
	int pair[2];

	*second = (struct second){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	second->fd = pair[0];
	assert_int_equal(pthread_create(&second->thread, NULL, second_run, second), 0);
	assert_int_equal(vhu_frontend_reconnect(first->frontend, pair[1]), 0);
}

/* After that what it has counted is there to be read. */
static void second_end(struct second *second)
{
	shutdown(second->fd, SHUT_RDWR);
	pthread_join(second->thread, NULL);
	fd_close(&second->fd);
}

static void another_back_end_is_told_of_all_before_any_ring_is_kicked(void **state)
{
	for (unsigned rings = 1; rings <= 3; rings++) {
		struct second second;
		struct vhu_vq *vqs[3];
		struct scene scene;

		scene_set(&scene, VHU_IOMMU_PUSH, fake_full);
		map(&scene, FAR, PAGE);
		for (unsigned i = 0; i < rings; i++)
			assert_int_equal(start_queue(&scene, i, &vqs[i]), 0);
		second_start(&second, scene.fake);
		second_end(&second);
		assert_int_equal(second.kicks, rings);
		assert_int_equal(second.updates, 2);
		for (unsigned i = 0; i < rings; i++)
			vhu_vq_free(vqs[i]);
		scene_strike(&scene);
	}
}

static int refuse(struct fake *fake, const struct message *request)
{
	return peer_reply_u64(fake->main, request, 1);
}

static void a_queue_that_could_not_be_started_is_not_handed_over_again(void **state)
{
	static const uint32_t steps[] = { VHU_FE_SET_VRING_KICK, VHU_FE_SET_VRING_ENABLE };

	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		void *ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE,
		                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		const struct vhu_vq_config vq_config = { .num = 16, .mem = ring };
		struct fake_config config = fake_full;
		struct vhu_vq *vq = NULL;
		struct second second;
		struct scene scene;

		config.request = steps[i];
		config.script = refuse;
		scene_set(&scene, VHU_IOMMU_PAGE, config);
		assert_int_equal(vhu_vq_start(scene.fake->frontend, &vq_config, &vq), -EREMOTEIO);
		/* Its memory is the caller's again, who may do what he likes with it. */
		munmap(ring, RING_BYTES);
		second_start(&second, scene.fake);
		second_end(&second);
		assert_int_equal(second.kicks, 0);
		scene_strike(&scene);
	}
}

struct sharer {
	struct vhu_frontend *frontend;
	struct vhu_guestmem *mem;
	struct vhu_region regions[8];
	pthread_t thread;
	int error;
};

/* All regions come and go, four at a time. */
static void *share(void *opaque)
{
	struct sharer *sharer = opaque;
	const struct vhu_region *regions = sharer->regions;
	const unsigned n = ARRAY_SIZE(sharer->regions);

	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < n && !sharer->error; i += 4)
			sharer->error = vhu_frontend_add_memory(sharer->frontend, regions + i, 4);
		for (unsigned i = 0; i < n && !sharer->error; i++)
			sharer->error = vhu_frontend_remove_memory(sharer->frontend, &regions[i]);
	}
	return NULL;
}

static void threads_may_share_memory_at_the_same_time(void **state)
{
	const uint64_t sizes[8] = { PAGE, PAGE, PAGE, PAGE, PAGE, PAGE, PAGE, PAGE };
	struct fake *fake = fake_ready(&fake_full, VERSION);
	struct sharer sharers[2] = { 0 };
	const struct vhu_region *regions;
	unsigned n;

	for (unsigned i = 0; i < 2; i++) {
		sharers[i].frontend = fake->frontend;
		assert_int_equal(vhu_guestmem_new(sizes, 8, &sharers[i].mem), 0);
		regions = vhu_guestmem_regions(sharers[i].mem, &n);
		for (unsigned j = 0; j < n; j++) {
			sharers[i].regions[j] = regions[j];
			sharers[i].regions[j].gpa += i * FAR;
		}
		assert_int_equal(pthread_create(&sharers[i].thread, NULL, share, &sharers[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(sharers[i].thread, NULL);
	fake_free(fake);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(sharers[i].error, 0);
		vhu_guestmem_free(sharers[i].mem);
	}
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

/* Two ranges with nothing between them go together; these are the ends of the space. */
static void no_invalidation_has_a_size_that_wraps(void **state)
{
	static const struct vhu_iova_range ends[] = { { 0, PAGE }, { -PAGE, PAGE } };
	struct vhu_frontend_stats stats = { 0 };
	struct scene scene;

	scene_set(&scene, VHU_IOMMU_LEAF, fake_full);
	map(&scene, -PAGE, PAGE);
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++)
		assert_int_equal(fake_send_miss(scene.fake, ends[i].iova, VHU_PERM_READ), 0);
	for (int ms = 0; stats.updates < ARRAY_SIZE(ends); ms += 10) {
		assert_true(ms < PEER_PATIENCE);
		assert_int_equal(vhu_frontend_run(scene.fake->frontend, 10), 0);
		vhu_frontend_stats(scene.fake->frontend, &stats);
	}
	assert_int_equal(vhu_iommu_unmap_batch(scene.iommu, ends, ARRAY_SIZE(ends)), 0);
	vhu_frontend_stats(scene.fake->frontend, &stats);
	assert_int_equal(stats.invalidations, 2);
	assert_int_not_equal(scene.fake->last[VHU_FE_IOTLB_MSG].payload.iotlb.size, 0);
	scene_strike(&scene);
}

static void lazy_unmaps_end_without_a_back_end(void **state)
{
	struct fake_config config = fake_full;
	struct outcome outcome = { 0 };
	struct vhu_frontend_stats stats = { 0 };
	struct vhu_frontend *frontend;
	struct scene scene;

	/* It may be about to acknowledge when it goes. */
	config.careless = true;
	scene_set(&scene, VHU_IOMMU_PAGE, config);
	frontend = scene.fake->frontend;
	assert_int_equal(fake_send_miss(scene.fake, 0, VHU_PERM_READ), 0);
	for (int ms = 0; !stats.updates; ms += 10) {
		assert_true(ms < PEER_PATIENCE);
		assert_int_equal(vhu_frontend_run(frontend, 10), 0);
		vhu_frontend_stats(frontend, &stats);
	}
	assert_int_equal(vhu_iommu_unmap_lazy(scene.iommu, 0, PAGE, on_done, &outcome), 0);
	assert_int_equal(outcome.calls, 0);
	shutdown(scene.fake->main, SHUT_RDWR);
	for (int ms = 0; !outcome.calls; ms += 10) {
		assert_true(ms < PEER_PATIENCE);
		vhu_frontend_run(frontend, 10);
		nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000000 }, NULL);
	}
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.error, -ENOTCONN);
	assert_int_equal(vhu_iommu_exposed(scene.iommu), PAGE);
	scene_strike(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_pushes_than_are_acknowledged_end_in_time),
		cmocka_unit_test(another_back_end_is_told_of_all_before_any_ring_is_kicked),
		cmocka_unit_test(a_queue_that_could_not_be_started_is_not_handed_over_again),
		cmocka_unit_test(threads_may_share_memory_at_the_same_time),
		cmocka_unit_test(no_invalidation_has_a_size_that_wraps),
		cmocka_unit_test(lazy_unmaps_end_without_a_back_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
