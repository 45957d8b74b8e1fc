/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may be done to queues, in any order: stop, start, enable, reset, add, take
 * mappings away and put the back-end away, with the library's own at the other end and
 * misses under way all the time. Each request comes back once, with what it asked for.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "support/rig.h"

#define PLATFORM  VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define EVENT_IDX VHU_BIT(29)
#define INDIRECT  VHU_BIT(28)

#define QUEUES    2u
#define NUM       16u
#define TABLE     4u
#define SLOTS     12u
#define LEN       600u
#define STEPS     5000u

#define RING_GPA  UINT64_C(0x0)
#define RING_SIZE UINT64_C(0x10000)
#define SLOT_GPA  UINT64_C(0x100000)
#define SLOT_SIZE UINT64_C(0x1000)
#define IOVA      UINT64_C(0x40000000)

struct slot {
	bool busy;
	unsigned char fill;
};

struct queue {
	struct vhu_vq *vq;
	struct slot slots[SLOTS];
	bool stopped, disabled;
};

struct scene {
	struct rig *rig;
	int fd; /* the front-end's, by which its back-end may be put away */
	struct vhu_iommu *iommu;
	struct vhu_frontend *frontend;
	uint64_t features;
	struct queue queues[QUEUES];
	unsigned added, back, restarts, resets, deaths;
};

static bool translates(const struct scene *scene)
{
	return scene->features & PLATFORM;
}

/* By which the device knows it: all of memory is in one place of the I/O addresses. */
static uint64_t addr_of(const struct scene *scene, uint64_t gpa)
{
	return translates(scene) ? IOVA + gpa : gpa;
}

static uint64_t slot_gpa(unsigned q, unsigned i)
{
	return SLOT_GPA + (q * SLOTS + i) * SLOT_SIZE;
}

static void map(struct scene *scene, uint64_t gpa, uint64_t size)
{
	const uint64_t uva = (uintptr_t)rig_ptr(scene->rig, gpa, size);
	int error;

	if (!translates(scene))
		return;
	error = vhu_iommu_map(scene->iommu, IOVA + gpa, size, uva, VHU_PERM_RW);
	assert_true(error == 0 || error == -EEXIST);
}

static void start_queue(struct scene *scene, unsigned q)
{
	const struct vhu_vq_config config = {
		.index = q,
		.num = NUM,
		.event_idx = scene->features & EVENT_IDX,
		.table_entries = scene->features & INDIRECT ? TABLE : 0,
		.mem = rig_ptr(scene->rig, RING_GPA + q * RING_SIZE, RING_SIZE),
		.addr = translates(scene)
		                ? IOVA + RING_GPA + q * RING_SIZE
		                : (uintptr_t)rig_ptr(scene->rig, RING_GPA + q * RING_SIZE, 1),
		.buffer_addr = addr_of(scene, RING_GPA + q * RING_SIZE),
	};

	map(scene, RING_GPA + q * RING_SIZE, RING_SIZE);
	assert_int_equal(vhu_vq_start(scene->frontend, &config, &scene->queues[q].vq), 0);
}

static void scene_set(struct scene *scene, const struct rig_config *base, uint64_t features)
{
	struct vhu_frontend_config config = { .name = "orders" };
	struct rig_config rig = *base;
	const struct vhu_region *regions;
	unsigned n;

	memset(scene, 0, sizeof(*scene));
	rig.queues = QUEUES;
	rig.listen = true;
	scene->features = features | VHU_BIT(VIRTIO_F_VERSION_1);
	scene->rig = rig_new(&rig);
	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ .policy = VHU_IOMMU_PAGE },
	                               &scene->iommu),
	                 0);
	config.iommu = scene->iommu;
	scene->fd = scene->rig->main;
	assert_int_equal(vhu_frontend_new(&config, scene->fd, &scene->frontend), 0);
	scene->rig->main = -1;
	assert_int_equal(vhu_frontend_negotiate(scene->frontend), 0);
	assert_int_equal(vhu_frontend_set_features(scene->frontend, scene->features), 0);
	regions = vhu_guestmem_regions(scene->rig->mem, &n);
	assert_int_equal(vhu_frontend_add_memory(scene->frontend, regions, n), 0);
	for (unsigned q = 0; q < QUEUES; q++)
		start_queue(scene, q);
}

static void scene_strike(struct scene *scene)
{
	for (unsigned q = 0; q < QUEUES; q++)
		vhu_vq_free(scene->queues[q].vq);
	vhu_frontend_free(scene->frontend);
	rig_free(scene->rig);
	vhu_iommu_free(scene->iommu);
}

/* What comes back comes back for the first time, and is right. */
static void reap(struct scene *scene, unsigned q, int timeout_ms)
{
	struct queue *queue = &scene->queues[q];
	uint32_t written;
	void *token;
	int result = vhu_vq_wait(queue->vq, timeout_ms);

	assert_true(result >= 0 || result == -ENOTCONN);
	while ((result = vhu_vq_get(queue->vq, &token, &written)) > 0) {
		unsigned i = (unsigned)((struct slot *)token - queue->slots);
		const unsigned char *bytes = rig_ptr(scene->rig, slot_gpa(q, i), SLOT_SIZE);

		assert_true(i < SLOTS && queue->slots[i].busy);
		queue->slots[i].busy = false;
		scene->back++;
		assert_int_equal(bytes[SLOT_SIZE - 1], RIG_OK);
		assert_int_equal(written, LEN + 1);
		for (unsigned at = 0; at < LEN; at++)
			assert_int_equal(bytes[LEN + at], queue->slots[i].fill);
	}
	assert_int_equal(result, 0);
}

static void add(struct scene *scene, unsigned q)
{
	struct queue *queue = &scene->queues[q];
	const unsigned i = (unsigned)rand() % SLOTS;
	const uint64_t addr = addr_of(scene, slot_gpa(q, i));
	unsigned char *bytes = rig_ptr(scene->rig, slot_gpa(q, i), SLOT_SIZE);
	const struct vhu_buffer buffers[] = {
		{ addr, LEN, false },
		{ addr + LEN, LEN, true },
		{ addr + SLOT_SIZE - 1, 1, true },
	};
	int error;

	if (queue->slots[i].busy)
		return;
	memset(bytes, 0xee, SLOT_SIZE);
	queue->slots[i].fill = (unsigned char)rand();
	memset(bytes, queue->slots[i].fill, LEN);
	map(scene, slot_gpa(q, i), SLOT_SIZE);
	error = vhu_vq_add(queue->vq, buffers, 3, &queue->slots[i]);
	assert_true(error == 0 || error == -ENOSPC);
	queue->slots[i].busy = !error;
	scene->added += !error;
	if (rand() % 2)
		assert_int_equal(vhu_vq_kick(queue->vq), 0);
}

static void stop(struct scene *scene, unsigned q)
{
	struct queue *queue = &scene->queues[q];

	if (!queue->stopped)
		assert_int_equal(vhu_vq_stop(queue->vq), 0);
	queue->stopped = true;
}

static void go_on(struct scene *scene, unsigned q)
{
	struct queue *queue = &scene->queues[q];

	if (!queue->stopped)
		return;
	assert_int_equal(vhu_vq_restart(queue->vq), 0);
	queue->stopped = queue->disabled = false;
	scene->restarts++;
}

static void enable(struct scene *scene, unsigned q)
{
	struct queue *queue = &scene->queues[q];

	queue->disabled = rand() % 2;
	assert_int_equal(vhu_frontend_vring_enable(scene->frontend, q, !queue->disabled), 0);
}

/* With all that was not completed: it is there when the rings go on. */
static void reset(struct scene *scene)
{
	for (unsigned q = 0; q < QUEUES; q++)
		stop(scene, q);
	assert_int_equal(vhu_frontend_reset_device(scene->frontend), 0);
	if (rand() % 2)
		assert_int_equal(vhu_frontend_set_features(scene->frontend, scene->features), 0);
	scene->resets++;
}

/* The session dies, and with it what it had of requests; the process is another to us. */
static void die(struct scene *scene)
{
	const unsigned sessions = rig_sessions(scene->rig);

	shutdown(scene->fd, SHUT_RDWR);
	rig_wait_sessions(scene->rig, sessions + 1);
	scene->fd = rig_connect(scene->rig);
	assert_int_equal(vhu_frontend_reconnect(scene->frontend, scene->fd), 0);
	scene->deaths++;
}

/* What is not used by any request may go at any time. */
static void unmap_idle(struct scene *scene, unsigned q)
{
	const unsigned i = (unsigned)rand() % SLOTS;

	if (translates(scene) && !scene->queues[q].slots[i].busy)
		assert_int_equal(vhu_iommu_unmap(scene->iommu, IOVA + slot_gpa(q, i), SLOT_SIZE),
		                 0);
}

/* The device keeps requests until it is let go on, or has to stop; so they come back in any order.
 */
static void hold(struct scene *scene)
{
	if (rand() % 2) {
		rig_release(scene->rig);
		return;
	}
	rig_at_drain(scene->rig, RIG_DRAIN_COMPLETE);
	rig_hold(scene->rig);
}

static void step(struct scene *scene)
{
	const unsigned q = (unsigned)rand() % QUEUES, what = (unsigned)rand() % 100;

	if (what < 50)
		add(scene, q);
	else if (what < 70)
		reap(scene, q, rand() % 2);
	else if (what < 78)
		unmap_idle(scene, q);
	else if (what < 81)
		stop(scene, q);
	else if (what < 90)
		go_on(scene, q);
	else if (what < 94)
		enable(scene, q);
	else if (what < 97)
		hold(scene);
	else if (what < 98)
		reset(scene);
	else
		die(scene);
}

static bool is_busy(const struct queue *queue)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (queue->slots[i].busy)
			return true;
	return false;
}

static void finish(struct scene *scene)
{
	rig_release(scene->rig);
	for (unsigned q = 0; q < QUEUES; q++) {
		struct queue *queue = &scene->queues[q];

		go_on(scene, q);
		assert_int_equal(vhu_frontend_vring_enable(scene->frontend, q, true), 0);
		assert_int_equal(vhu_vq_kick(queue->vq), 0);
		for (unsigned times = 0; is_busy(queue); times++) {
			assert_true(times < 10 * SLOTS);
			reap(scene, q, PEER_PATIENCE / 10);
		}
	}
	assert_int_equal(scene->back, scene->added);
}

static void play(const struct rig_config *config)
{
	static const uint64_t features[] = { 0, PLATFORM, PLATFORM | EVENT_IDX,
		                             PLATFORM | EVENT_IDX | INDIRECT };

	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		struct scene scene;

		scene_set(&scene, config, features[i]);
		for (unsigned n = 0; n < STEPS; n++)
			step(&scene);
		finish(&scene);
		print_message("  %u requests, %u restarts, %u resets, %u deaths\n", scene.added,
		              scene.restarts, scene.resets, scene.deaths);
		scene_strike(&scene);
	}
}

static void E5_requests_come_back_once_in_whatever_order(void **state)
{
	srand(1);
	play(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { RIG_TEST_BOTH(
		E5_requests_come_back_once_in_whatever_order) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
