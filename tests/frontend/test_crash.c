/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Back-ends are killed in mid-I/O, again and again, and others put in their place:
 * each request comes back, once, with what it asked for.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vhu/frontend.h>
#include <vhu/iommu.h>

#include "support/census.h"
#include "support/check.h"
#include "support/peer.h"

#define BIT(n)    (UINT64_C(1) << (n))
#define PLATFORM  BIT(VIRTIO_F_ACCESS_PLATFORM)
#define INDIRECT  BIT(28)
#define EVENT_IDX BIT(29)

#define CRASHES   40u
#define REQUESTS  60u /* between two crashes, about */
#define SLOTS     12u
#define NUM       64u
#define TABLE     4u
#define LEN       700u

#define RING_IOVA UINT64_C(0x10000000)
#define SLOT_IOVA UINT64_C(0x20000000)
#define SLOT_GPA  UINT64_C(0x20000)
#define SLOT_SIZE UINT64_C(0x2000)

extern char **environ;

struct slot {
	bool busy;
	uint32_t number;
};

struct fixture {
	uint64_t features;
	bool listen; /* the front-end does */
	char folder[32], path[64];
	pid_t pid;
	struct vhu_guestmem *mem;
	struct vhu_iommu *iommu;
	struct vhu_frontend *frontend;
	struct vhu_vq *vq;
	struct slot slots[SLOTS];
	uint32_t submitted, completed;
	unsigned lost;
};

static void spawn(struct fixture *f)
{
	char *argv[] = { (char *)(uintptr_t) "echo",
		         (char *)(uintptr_t)(f->listen ? "connect" : "listen"), f->path, NULL };

	assert_int_equal(posix_spawn(&f->pid, getenv("VHU_TEST_ECHO"), NULL, NULL, argv, environ),
	                 0);
}

static void reap(struct fixture *f)
{
	kill(f->pid, SIGKILL);
	assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
	f->pid = 0;
}

static void count(void *opaque)
{
	++((struct fixture *)opaque)->lost;
}

static bool strict(const struct fixture *f)
{
	return f->features & PLATFORM;
}

static void *slot_ptr(const struct fixture *f, unsigned i)
{
	return vhu_guestmem_ptr(f->mem, SLOT_GPA + i * SLOT_SIZE, SLOT_SIZE);
}

static uint64_t slot_addr(const struct fixture *f, unsigned i)
{
	return (strict(f) ? SLOT_IOVA : SLOT_GPA) + i * SLOT_SIZE;
}

static unsigned char pattern(uint32_t number, uint32_t at)
{
	return (unsigned char)((number * 2654435761u + at * 40503u) >> 11);
}

static void start_queue(struct fixture *f)
{
	struct vhu_vq_config config = {
		.num = NUM,
		.event_idx = f->features & EVENT_IDX,
		.table_entries = f->features & INDIRECT ? TABLE : 0,
		.mem = vhu_guestmem_ptr(f->mem, 0, SLOT_GPA),
	};

	config.addr = strict(f) ? RING_IOVA : (uintptr_t)config.mem;
	config.buffer_addr = strict(f) ? RING_IOVA : 0;
	assert_true(vhu_vq_bytes(NUM, TABLE) <= SLOT_GPA);
	if (strict(f))
		assert_int_equal(vhu_iommu_map(f->iommu, RING_IOVA, SLOT_GPA, (uintptr_t)config.mem,
		                               VHU_PERM_RW),
		                 0);
	assert_int_equal(vhu_vq_start(f->frontend, &config, &f->vq), 0);
}

static void set_up(struct fixture *f, uint64_t features, bool listen)
{
	const uint64_t size = SLOT_GPA + SLOTS * SLOT_SIZE;
	struct vhu_frontend_config config = { .timeout_ms = 4 * PEER_PATIENCE, .lost = count };
	const struct vhu_region *regions;
	unsigned n;

	*f = (struct fixture){ .features = features | BIT(VIRTIO_F_VERSION_1), .listen = listen };
	strcpy(f->folder, "/tmp/vhu-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
	assert_int_equal(vhu_guestmem_new(&size, 1, &f->mem), 0);
	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &f->iommu), 0);
	spawn(f);
	config.iommu = f->iommu;
	config.opaque = f;
	assert_int_equal((listen ? vhu_frontend_listen : vhu_frontend_connect)(&config, f->path,
	                                                                       &f->frontend),
	                 0);
	assert_int_equal(vhu_frontend_negotiate(f->frontend), 0);
	assert_int_equal(vhu_frontend_set_features(f->frontend, f->features), 0);
	regions = vhu_guestmem_regions(f->mem, &n);
	assert_int_equal(vhu_frontend_add_memory(f->frontend, regions, n), 0);
	start_queue(f);
}

static void tear_down(struct fixture *f)
{
	vhu_vq_free(f->vq);
	vhu_frontend_free(f->frontend);
	vhu_iommu_free(f->iommu);
	vhu_guestmem_free(f->mem);
	reap(f);
	unlink(f->path);
	assert_int_equal(rmdir(f->folder), 0);
}

static void submit(struct fixture *f, unsigned i)
{
	const uint64_t addr = slot_addr(f, i);
	const struct vhu_buffer buffers[] = {
		{ addr, LEN, false },
		{ addr + 0x1000, LEN, true },
		{ addr + 0x1800, 1, true },
	};
	unsigned char *ptr = slot_ptr(f, i);

	f->slots[i] = (struct slot){ true, f->submitted++ };
	memset(ptr, 0xee, SLOT_SIZE);
	for (uint32_t at = 0; at < LEN; at++)
		ptr[at] = pattern(f->slots[i].number, at);
	if (strict(f))
		assert_int_equal(vhu_iommu_map(f->iommu, addr, SLOT_SIZE, (uintptr_t)ptr, 3), 0);
	assert_int_equal(vhu_vq_add(f->vq, buffers, 3, &f->slots[i]), 0);
}

/* 0, or the connection is lost, and the request done with all the same. */
static int complete(struct fixture *f, struct slot *slot, uint32_t written)
{
	unsigned i = (unsigned)(slot - f->slots);
	const unsigned char *ptr = slot_ptr(f, i);

	assert_true(slot >= f->slots && i < SLOTS && slot->busy);
	slot->busy = false;
	f->completed++;
	assert_int_equal(written, LEN + 1);
	assert_int_equal(ptr[0x1800], 0);
	for (uint32_t at = 0; at < LEN; at++)
		assert_int_equal(ptr[0x1000 + at], pattern(slot->number, at));
	return strict(f) ? vhu_iommu_unmap(f->iommu, slot_addr(f, i), SLOT_SIZE) : 0;
}

/* Only that it is gone. */
static bool is_fine(int result)
{
	if (result && result != 1)
		assert_int_equal(result, -ENOTCONN);
	return result >= 0;
}

static bool take(struct fixture *f)
{
	uint32_t written;
	void *token;
	int got;

	while ((got = vhu_vq_get(f->vq, &token, &written)) == 1)
		if (!is_fine(complete(f, token, written)))
			return false;
	assert_int_equal(got, 0);
	return true;
}

/* Until the connection is lost, or so many have come back. */
static bool work(struct fixture *f, uint32_t until)
{
	while (f->completed < until) {
		int got;

		for (unsigned i = 0; i < SLOTS; i++)
			if (!f->slots[i].busy && f->submitted < until)
				submit(f, i);
		assert_int_equal(vhu_vq_kick(f->vq), 0);
		got = vhu_vq_wait(f->vq, 4 * PEER_PATIENCE);
		assert_int_not_equal(got, 0);
		if (!is_fine(got) || !take(f))
			return false;
	}
	return true;
}

/* What could not be taken back is free now that the process is dead. */
static void replace(struct fixture *f)
{
	reap(f);
	spawn(f);
	assert_int_equal(vhu_frontend_reconnect(f->frontend, -1), 0);
	assert_int_equal(vhu_iommu_exposed(f->iommu), 0);
	for (unsigned i = 0; i < SLOTS && strict(f); i++)
		if (!f->slots[i].busy)
			assert_int_equal(vhu_iommu_unmap(f->iommu, slot_addr(f, i), SLOT_SIZE), 0);
	take(f);
}

static void run(uint64_t features, bool listen)
{
	struct fixture f;

	print_message("  features %#llx%s\n", (unsigned long long)features,
	              listen ? ", the front-end listens" : "");
	set_up(&f, features, listen);
	srand(1);
	for (unsigned i = 1; i <= CRASHES; i++) {
		assert_true(work(&f, i * REQUESTS - (unsigned)rand() % REQUESTS));
		/* In mid-I/O: some are out when it is killed, and more are added since. */
		for (unsigned j = 0; j < SLOTS; j++)
			if (!f.slots[j].busy)
				submit(&f, j);
		assert_int_equal(vhu_vq_kick(f.vq), 0);
		nanosleep(&(struct timespec){ .tv_nsec = rand() % 1500000 }, NULL);
		kill(f.pid, SIGKILL);
		work(&f, f.submitted);
		while (is_fine(vhu_frontend_run(f.frontend, PEER_PATIENCE)))
			;
		assert_int_equal(f.lost, i);
		replace(&f);
	}
	assert_true(work(&f, f.submitted + REQUESTS));
	assert_int_equal(f.completed, f.submitted);
	assert_int_equal(vhu_vq_stop(f.vq), 0);
	tear_down(&f);
}

static void E5_each_request_comes_back_once_whoever_dies(void **state)
{
	static const uint64_t features[] = { 0, EVENT_IDX | INDIRECT, PLATFORM,
		                             PLATFORM | EVENT_IDX,
		                             PLATFORM | INDIRECT | EVENT_IDX };
	struct census before = census_take();

	if (!getenv("VHU_TEST_ECHO"))
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		run(features[i], i % 2);
	census_check(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E5_each_request_comes_back_once_whoever_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
