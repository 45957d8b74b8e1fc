/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues driven through a real back-end: the library's own, with the trivial
 * device of the rig, at the other end.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support/rig.h"
#include "transport/socket.h"

#define PLATFORM  VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define INDIRECT  VHU_BIT(28)
#define EVENT_IDX VHU_BIT(29)

#define RING_GPA  0u
#define RING_IOVA UINT64_C(0x40000000)
#define DATA_GPA  UINT64_C(0x100000)
#define DATA_IOVA UINT64_C(0x80000000)
#define DATA_SIZE 0x10000u

struct fixture {
	struct rig *rig;
	struct vhu_iommu *iommu;
	struct vhu_frontend *frontend;
	struct vhu_vq *vq;
	struct vhu_vq_config config;
	uint64_t features;
};

static struct vhu_vq_config vq_config(const struct fixture *f)
{
	struct vhu_vq_config config = {
		.index = 1,
		.num = 8,
		.event_idx = f->features & EVENT_IDX,
		.table_entries = f->features & INDIRECT ? 4 : 0,
	};
	uint64_t bytes = vhu_vq_bytes(config.num, config.table_entries);

	config.mem = rig_ptr(f->rig, RING_GPA, bytes);
	config.addr = f->features & PLATFORM ? RING_IOVA : (uintptr_t)config.mem;
	config.buffer_addr = f->features & PLATFORM ? RING_IOVA : RING_GPA;
	return config;
}

static void set_up(struct fixture *f, uint64_t features)
{
	struct vhu_frontend_config config = { .name = "test" };
	const struct vhu_region *regions;
	unsigned n;

	memset(f, 0, sizeof(*f));
	f->features = features | VHU_BIT(VIRTIO_F_VERSION_1);
	f->rig = rig_new(&(struct rig_config){ .n_regions = 2 });
	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &f->iommu), 0);
	config.iommu = f->iommu;
	assert_int_equal(vhu_frontend_new(&config, f->rig->main, &f->frontend), 0);
	f->rig->main = -1;
	assert_int_equal(vhu_frontend_negotiate(f->frontend), 0);
	assert_int_equal(vhu_frontend_set_features(f->frontend, f->features), 0);
	regions = vhu_guestmem_regions(f->rig->mem, &n);
	assert_int_equal(vhu_frontend_add_memory(f->frontend, regions, n), 0);
	f->config = vq_config(f);
	if (features & PLATFORM)
		assert_int_equal(vhu_iommu_map(f->iommu, RING_IOVA, vhu_vq_bytes(8, 4),
		                               (uintptr_t)f->config.mem, VHU_PERM_RW),
		                 0);
	assert_int_equal(vhu_vq_start(f->frontend, &f->config, &f->vq), 0);
}

static void tear_down(struct fixture *f)
{
	vhu_vq_free(f->vq);
	vhu_frontend_free(f->frontend);
	rig_free(f->rig);
	vhu_iommu_free(f->iommu);
}

static void map_data(struct fixture *f)
{
	if (f->features & PLATFORM)
		assert_int_equal(vhu_iommu_map(f->iommu, DATA_IOVA, DATA_SIZE,
		                               (uintptr_t)rig_ptr(f->rig, DATA_GPA, DATA_SIZE),
		                               VHU_PERM_RW),
		                 0);
}

static void unmap_data(struct fixture *f)
{
	if (f->features & PLATFORM)
		assert_int_equal(vhu_iommu_unmap(f->iommu, DATA_IOVA, DATA_SIZE), 0);
}

static uint64_t data_addr(const struct fixture *f, uint32_t offset)
{
	return (f->features & PLATFORM ? DATA_IOVA : DATA_GPA) + offset;
}

/* The device writes what it reads; nothing beside it is touched. */
static void echo(struct fixture *f, uint32_t out, uint32_t in, uint32_t len)
{
	const struct vhu_buffer buffers[] = {
		{ data_addr(f, out), len, false },
		{ data_addr(f, in), len, true },
		{ data_addr(f, DATA_SIZE - 1), 1, true },
	};
	unsigned char *data = rig_ptr(f->rig, DATA_GPA, DATA_SIZE);
	uint32_t written;
	void *token;

	memset(data, 0xee, DATA_SIZE);
	for (uint32_t i = 0; i < len; i++)
		data[out + i] = (unsigned char)rand();
	assert_int_equal(vhu_vq_add(f->vq, buffers, 3, data), 0);
	assert_int_equal(vhu_vq_kick(f->vq), 0);
	assert_int_equal(vhu_vq_wait(f->vq, PEER_PATIENCE), 1);
	assert_int_equal(vhu_vq_get(f->vq, &token, &written), 1);
	assert_ptr_equal(token, data);
	assert_int_equal(written, len + 1);
	assert_memory_equal(data + in, data + out, len);
	assert_int_equal(data[in - 1], 0xee);
	assert_int_equal(data[in + len], 0xee);
	assert_int_equal(data[DATA_SIZE - 1], RIG_OK);
	assert_int_equal(vhu_vq_get(f->vq, &token, &written), 0);
}

static const uint64_t all_features[] = {
	0, EVENT_IDX, INDIRECT, PLATFORM, PLATFORM | EVENT_IDX, PLATFORM | EVENT_IDX | INDIRECT,
};

static void requests_reach_the_device_and_come_back(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(all_features); i++) {
		struct fixture f;

		print_message("  features %#llx\n", (unsigned long long)all_features[i]);
		set_up(&f, all_features[i]);
		for (unsigned j = 0; j < 50; j++) {
			map_data(&f);
			echo(&f, 0x100 + (uint32_t)rand() % 0x3000,
			     0x8001 + (uint32_t)rand() % 0x3000, 1 + (uint32_t)rand() % 0x3000);
			unmap_data(&f);
		}
		assert_int_equal(vhu_vq_stop(f.vq), 0);
		tear_down(&f);
	}
}

static void a_queue_starts_again_after_a_stop(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(all_features); i++) {
		struct fixture f;

		set_up(&f, all_features[i]);
		map_data(&f);
		for (unsigned j = 0; j < 3; j++) {
			echo(&f, 0x10, 0x9000, 100);
			assert_int_equal(vhu_vq_stop(f.vq), 0);
			vhu_vq_free(f.vq);
			f.vq = NULL;
			assert_int_equal(vhu_vq_start(f.frontend, &f.config, &f.vq), 0);
		}
		echo(&f, 0x10, 0x9000, 100);
		tear_down(&f);
	}
}

static void what_is_unmapped_is_refused_and_the_queue_goes_on(void **state)
{
	struct fixture f;
	struct vhu_frontend_stats stats;
	const struct vhu_buffer buffers[] = {
		{ DATA_IOVA, 16, false },
		{ DATA_IOVA + DATA_SIZE, 1, true },
	};
	unsigned char *status;
	uint32_t written;
	void *token;

	set_up(&f, PLATFORM);
	map_data(&f);
	echo(&f, 0x10, 0x9000, 100);
	unmap_data(&f);
	status = rig_ptr(f.rig, DATA_GPA + DATA_SIZE, 1);
	assert_int_equal(vhu_iommu_map(f.iommu, DATA_IOVA + DATA_SIZE, 1, (uintptr_t)status, 2), 0);
	assert_int_equal(vhu_vq_add(f.vq, buffers, 2, NULL), 0);
	assert_int_equal(vhu_vq_kick(f.vq), 0);
	assert_int_equal(vhu_vq_wait(f.vq, PEER_PATIENCE), 1);
	assert_int_equal(vhu_vq_get(f.vq, &token, &written), 1);
	assert_int_equal(*status, RIG_REFUSED);
	assert_int_equal(rig_refused(f.rig), 1);
	vhu_frontend_stats(f.frontend, &stats);
	assert_int_equal(stats.refused, 1);
	map_data(&f);
	echo(&f, 0x10, 0x9000, 100);
	tear_down(&f);
}

static _Atomic bool released;

static void *release_later(void *rig)
{
	nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000000 }, NULL);
	atomic_store(&released, true);
	rig_release(rig);
	return NULL;
}

static void E2_unmap_waits_for_a_request_under_way(void **state)
{
	const struct vhu_buffer buffers[] = { { DATA_IOVA, 64, true } };
	struct fixture f;
	unsigned char *data;
	pthread_t thread;

	atomic_store(&released, false);
	set_up(&f, PLATFORM);
	map_data(&f);
	rig_hold(f.rig);
	assert_int_equal(vhu_vq_add(f.vq, buffers, 1, NULL), 0);
	assert_int_equal(vhu_vq_kick(f.vq), 0);
	while (!rig_submitted(f.rig))
		assert_int_equal(vhu_frontend_run(f.frontend, 10), 0);
	assert_int_equal(pthread_create(&thread, NULL, release_later, f.rig), 0);
	unmap_data(&f);
	assert_true(atomic_load(&released));
	/* What the device wrote, it wrote before. */
	data = rig_ptr(f.rig, DATA_GPA, 64);
	assert_int_equal(data[0], RIG_FILL);
	pthread_join(thread, NULL);
	tear_down(&f);
}

static void *run_frontend(void *frontend)
{
	while (!vhu_frontend_run(frontend, -1))
		;
	return NULL;
}

static void who_waits_while_another_runs_the_front_end_is_told_of_its_end(void **state)
{
	struct fixture f;
	pthread_t thread;

	set_up(&f, 0);
	assert_int_equal(vhu_vq_stop(f.vq), 0);
	vhu_vq_free(f.vq);
	f.config.run_elsewhere = true;
	assert_int_equal(vhu_vq_start(f.frontend, &f.config, &f.vq), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_frontend, f.frontend), 0);
	echo(&f, 0x10, 0x9000, 100);
	rig_stop(f.rig);
	assert_int_equal(vhu_vq_wait(f.vq, PEER_PATIENCE), -ENOTCONN);
	pthread_join(thread, NULL);
	tear_down(&f);
}

static void connect_finds_a_listener_or_says_no_in_time(void **state)
{
	struct vhu_frontend_config config = { .timeout_ms = 200 };
	struct vhu_frontend *frontend;
	struct socket_fault why;
	char folder[] = "/tmp/vhu-test-XXXXXX", path[64];
	int listener, fd;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	assert_true(vhu_frontend_connect(&config, path, &frontend) < 0);
	assert_int_equal(socket_listen(path, &listener, &why), 0);
	assert_int_equal(vhu_frontend_connect(&config, path, &frontend), 0);
	assert_int_equal(vhu_frontend_negotiate(frontend), -ETIMEDOUT);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(vhu_frontend_run(frontend, PEER_PATIENCE), -ENOTCONN);
	vhu_frontend_free(frontend);
	assert_int_equal(vhu_frontend_new(&config, listener, &frontend), -EINVAL);
	close(listener);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_reach_the_device_and_come_back),
		cmocka_unit_test(a_queue_starts_again_after_a_stop),
		cmocka_unit_test(what_is_unmapped_is_refused_and_the_queue_goes_on),
		cmocka_unit_test(E2_unmap_waits_for_a_request_under_way),
		cmocka_unit_test(who_waits_while_another_runs_the_front_end_is_told_of_its_end),
		cmocka_unit_test(connect_finds_a_listener_or_says_no_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
