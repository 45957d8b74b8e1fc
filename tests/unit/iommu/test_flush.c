/* SPDX-License-Identifier: BSD-3-Clause */
/* Unmaps that wait for others, and what ends their waiting. */
#include <poll.h>

#include "device.h"

#define LAZY_MAX 4u

struct fixture {
	struct vhu_iommu *iommu;
	struct test_device device;
	unsigned n_done;
	int error;
};

/* Pages 1 to 100 are mapped, and the device has all of them. */
static void set_up(struct fixture *f, int lazy_ms)
{
	const struct vhu_iommu_config config = { .lazy_max = LAZY_MAX, .lazy_ms = lazy_ms };

	memset(f, 0, sizeof(*f));
	assert_int_equal(vhu_iommu_new(&config, &f->iommu), 0);
	device_attach(&f->device, f->iommu);
	assert_int_equal(vhu_iommu_map(f->iommu, 0x1000, 0x100000, 0, 3), 0);
	for (uint64_t page = 1; page <= 0x100; page++)
		device_take(&f->device, page * 0x1000);
}

static void tear_down(struct fixture *f)
{
	assert_true(iommu_check(f->iommu));
	iommu_detach(&f->device.device);
	vhu_iommu_free(f->iommu);
}

static void count(void *opaque, int error)
{
	struct fixture *f = opaque;

	f->n_done++;
	if (error)
		f->error = error;
}

static int unmap(struct fixture *f, uint64_t page)
{
	return vhu_iommu_unmap_lazy(f->iommu, page * 0x1000, 0x1000, count, f);
}

static void lazy_unmaps_are_flushed_together(void **state)
{
	struct vhu_iommu_stats stats;
	struct fixture f;

	set_up(&f, 100000);
	for (uint64_t page = 1; page < LAZY_MAX; page++)
		assert_int_equal(unmap(&f, page * 2), 0);
	assert_int_equal(f.device.n_told, 0);
	assert_true(device_is_refused(&f.device, 0x2000));
	assert_int_equal(vhu_iommu_map(f.iommu, 0x2000, 1, 0, 3), -EBUSY);
	assert_int_equal(unmap(&f, LAZY_MAX * 2), 0);
	assert_int_equal(f.device.n_told, LAZY_MAX);
	assert_int_equal(f.n_done, 0);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x2000, 1, 0, 3), -EBUSY);
	device_finish(&f.device);
	assert_int_equal(f.n_done, LAZY_MAX);
	assert_int_equal(f.error, 0);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x2000, 1, 0, 3), 0);
	vhu_iommu_stats(f.iommu, &stats);
	assert_int_equal(stats.flushes, 1);
	tear_down(&f);
}

static void neighbours_are_flushed_by_one_message(void **state)
{
	struct fixture f;

	set_up(&f, 100000);
	for (uint64_t page = LAZY_MAX; page > 0; page--)
		assert_int_equal(unmap(&f, page), 0);
	assert_int_equal(f.device.n_told, 1);
	device_expect(&f.device, 0, 0x1000, LAZY_MAX * 0x1000 + 0xfff);
	device_finish(&f.device);
	tear_down(&f);
}

static void what_nobody_holds_waits_for_nothing(void **state)
{
	struct fixture f;

	set_up(&f, 100000);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1000000, 0x1000, 0, 3), 0);
	assert_int_equal(vhu_iommu_unmap_lazy(f.iommu, 0x1000000, 0x1000, count, &f), 0);
	assert_int_equal(f.n_done, 1);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1000000, 0x1000, 0, 3), 0);
	tear_down(&f);
}

/* Of a range some is held, the rest is free at once, and may be used again. */
static void a_flush_leaves_alone_what_has_come_since(void **state)
{
	struct fixture f;

	set_up(&f, 100000);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x200000, 0x3000, 0, 3), 0);
	device_take(&f.device, 0x200000);
	device_take(&f.device, 0x202000);
	assert_int_equal(vhu_iommu_unmap_lazy(f.iommu, 0x200000, 0x3000, count, &f), 0);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x201000, 0x1000, 0x5000, 3), 0);
	device_take(&f.device, 0x201000);
	assert_int_equal(vhu_iommu_flush(f.iommu), 0);
	assert_int_equal(f.n_done, 1);
	assert_false(device_is_refused(&f.device, 0x201000));
	assert_int_equal(vhu_iommu_map(f.iommu, 0x200000, 0x1000, 0, 3), 0);
	/* And it is still known to be held. */
	f.device.n_told = 0;
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x201000, 0x1000), 0);
	device_expect(&f.device, 0, 0x201000, 0x201fff);
	tear_down(&f);
}

static void flush_waits_for_all_there_is(void **state)
{
	static const int results[] = { 0, -ETIMEDOUT };

	for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
		struct fixture f;

		set_up(&f, 100000);
		f.device.result = results[i];
		assert_int_equal(unmap(&f, 1), 0);
		assert_int_equal(unmap(&f, 7), 0);
		assert_int_equal(vhu_iommu_flush(f.iommu), results[i]);
		assert_int_equal(f.n_done, 2);
		assert_int_equal(f.error, results[i]);
		assert_int_equal(f.device.n_synced, 1);
		assert_int_equal(vhu_iommu_exposed(f.iommu), results[i] ? 0x2000 : 0);
		assert_int_equal(vhu_iommu_flush(f.iommu), 0);
		tear_down(&f);
	}
}

static void time_flushes_what_is_left(void **state)
{
	struct fixture f;
	struct pollfd poller;

	set_up(&f, 20);
	f.device.at_once = true;
	poller = (struct pollfd){ .fd = iommu_timer_fd(f.iommu), .events = POLLIN };
	assert_int_equal(poll(&poller, 1, 50), 0);
	assert_int_equal(unmap(&f, 1), 0);
	assert_int_equal(poll(&poller, 1, 5000), 1);
	assert_int_equal(f.n_done, 0);
	iommu_timer_expired(f.iommu);
	assert_int_equal(f.n_done, 1);
	assert_int_equal(poll(&poller, 1, 50), 0);
	tear_down(&f);
}

/* The queue is full, and can't be emptied: the next is told, and nothing is lost. */
static void a_jammed_device_holds_lazy_unmaps_up(void **state)
{
	struct fixture f;

	set_up(&f, 100000);
	f.device.prepare_result = -ENOBUFS;
	for (uint64_t page = 1; page <= LAZY_MAX; page++)
		assert_int_equal(unmap(&f, page), 0);
	assert_int_equal(unmap(&f, LAZY_MAX + 1), -ENOBUFS);
	assert_false(device_is_refused(&f.device, (LAZY_MAX + 1) * 0x1000));
	assert_int_equal(vhu_iommu_flush(f.iommu), -ENOBUFS);
	assert_int_equal(f.n_done, 0);
	f.device.prepare_result = 0;
	assert_int_equal(vhu_iommu_flush(f.iommu), 0);
	assert_int_equal(f.n_done, LAZY_MAX);
	assert_int_equal(f.error, 0);
	tear_down(&f);
}

static void what_was_not_flushed_is_told_in_the_end(void **state)
{
	struct fixture f;

	set_up(&f, 100000);
	assert_int_equal(unmap(&f, 1), 0);
	tear_down(&f);
	assert_int_equal(f.n_done, 1);
	assert_int_equal(f.error, -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lazy_unmaps_are_flushed_together),
		cmocka_unit_test(neighbours_are_flushed_by_one_message),
		cmocka_unit_test(what_nobody_holds_waits_for_nothing),
		cmocka_unit_test(a_flush_leaves_alone_what_has_come_since),
		cmocka_unit_test(flush_waits_for_all_there_is),
		cmocka_unit_test(time_flushes_what_is_left),
		cmocka_unit_test(a_jammed_device_holds_lazy_unmaps_up),
		cmocka_unit_test(what_was_not_flushed_is_told_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
