/* SPDX-License-Identifier: BSD-3-Clause */
/* Mapping and taking back, with devices that only remember what they were told. */
#include "device.h"

struct faults {
	struct vhu_iommu_fault last;
	unsigned n;
};

static void count_fault(const struct vhu_iommu_fault *fault, void *opaque)
{
	struct faults *faults = opaque;

	faults->last = *fault;
	faults->n++;
}

struct fixture {
	struct vhu_iommu *iommu;
	struct test_device device;
	struct faults faults;
};

static void set_up(struct fixture *f)
{
	const struct vhu_iommu_config config = { .fault = count_fault, .opaque = &f->faults };

	memset(f, 0, sizeof(*f));
	assert_int_equal(vhu_iommu_new(&config, &f->iommu), 0);
	device_attach(&f->device, f->iommu);
}

static void tear_down(struct fixture *f)
{
	assert_true(iommu_check(f->iommu));
	iommu_detach(&f->device.device);
	vhu_iommu_free(f->iommu);
}

static void map(struct fixture *f, uint64_t iova, uint64_t size)
{
	assert_int_equal(vhu_iommu_map(f->iommu, iova, size, 0x7000000 + iova, 3), 0);
}

static void faults_name_device_address_and_permission(void **state)
{
	struct fixture f;

	set_up(&f);
	iommu_report(&f.device.device, 0x1234, 2, false);
	assert_ptr_equal(f.faults.last.device, &f.device);
	assert_int_equal(f.faults.last.iova, 0x1234);
	assert_int_equal(f.faults.last.perm, 2);
	assert_false(f.faults.last.reported);
	iommu_report(&f.device.device, 0x5678, 1, true);
	assert_int_equal(f.faults.n, 2);
	assert_int_equal(f.faults.last.iova, 0x5678);
	assert_true(f.faults.last.reported);
	tear_down(&f);
}

static void E2_what_was_never_given_costs_no_message(void **state)
{
	struct vhu_iommu_stats stats;
	struct fixture f;

	set_up(&f);
	map(&f, 0x1000, 0x1000);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), 0);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), 0);
	assert_int_equal(f.device.n_told, 0);

	/* Of a GiB, pages are given; those between them are not. */
	map(&f, 0, 1 << 30);
	for (uint64_t page = 0; page < 100; page += 2)
		device_take(&f.device, page * 4096);
	for (uint64_t page = 1; page < 100; page += 2)
		assert_int_equal(vhu_iommu_unmap(f.iommu, page * 4096, 4096), 0);
	assert_int_equal(f.device.n_told, 0);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0, 4096), 0);
	device_expect(&f.device, 0, 0, 4095);
	vhu_iommu_stats(f.iommu, &stats);
	assert_int_equal(stats.unmaps, 53);
	assert_int_equal(stats.silent, 52);
	assert_int_equal(stats.invalidations, 1);
	tear_down(&f);
}

static void E2_only_who_was_given_something_is_told(void **state)
{
	struct test_device second;
	struct fixture f;

	set_up(&f);
	device_attach(&second, f.iommu);
	map(&f, 0x1000, 0x10000);
	device_take(&f.device, 0x1000);
	device_take(&second, 0x2000);
	device_take(&second, 0x3000);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), 0);
	assert_int_equal(f.device.n_told, 1);
	assert_int_equal(second.n_told, 0);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x2000, 0x8000), 0);
	assert_int_equal(f.device.n_told, 1);
	device_expect(&second, 0, 0x2000, 0x3fff);
	iommu_detach(&second.device);
	tear_down(&f);
}

static void E2_unmap_invalidates_and_refuses_meanwhile(void **state)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	struct fixture f;

	set_up(&f);
	map(&f, 0x1000, 0x3000);
	device_take(&f.device, 0x1000);
	device_take(&f.device, 0x2000);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1800, 0x1000), 0);
	assert_int_equal(f.device.n_told, 1);
	device_expect(&f.device, 0, 0x1800, 0x27ff);
	assert_int_equal(f.device.answered_while_waiting, 0);
	/* What is left still answers; what is gone may be mapped anew. */
	assert_int_equal(iommu_miss(&f.device.device, 0x1000, 0, 1, answers), 1);
	assert_int_equal(answers[0].iova.last, 0x17ff);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1800, 0x1000, 0, 3), 0);
	tear_down(&f);
}

static void E2_failed_unmap_leaves_the_range_exposed(void **state)
{
	static const int failures[] = { -ENOTCONN, -ETIMEDOUT, -EREMOTEIO };

	for (unsigned i = 0; i < ARRAY_SIZE(failures); i++) {
		struct fixture f;

		set_up(&f);
		f.device.result = failures[i];
		map(&f, 0x1000, 0x1000);
		map(&f, 0x2000, 0x1000);
		device_take(&f.device, 0x1000);

		assert_int_equal(vhu_iommu_unmap(f.iommu, 0, 0x10000), failures[i]);
		assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
		assert_true(device_is_refused(&f.device, 0x1000));
		assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 1, 0, 3), -EEXIST);
		map(&f, 0x2000, 1);

		f.device.result = 0;
		f.device.n_told = 0;
		if (i == 0) {
			assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), 0);
			assert_int_equal(f.device.n_told, 1);
		} else {
			vhu_iommu_forget_exposed(f.iommu);
		}
		assert_int_equal(vhu_iommu_exposed(f.iommu), 0);
		map(&f, 0x1000, 1);
		tear_down(&f);
	}
}

static void E2_every_device_is_asked_whatever_the_first_says(void **state)
{
	struct test_device second;
	struct fixture f;

	set_up(&f);
	device_attach(&second, f.iommu);
	f.device.result = -ENOTCONN;
	f.device.at_once = true;
	map(&f, 0x1000, 0x1000);
	device_take(&f.device, 0x1000);
	device_take(&second, 0x1000);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), -ENOTCONN);
	assert_int_equal(second.n_told, 1);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
	/* The second has let go: it need not be asked again. */
	f.device.result = 0;
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), 0);
	assert_int_equal(second.n_told, 1);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0);
	iommu_detach(&second.device);
	tear_down(&f);
}

static void E2_a_device_that_has_gone_leaves_what_is_exposed(void **state)
{
	struct fixture f;

	set_up(&f);
	map(&f, 0x1000, 0x2000);
	device_take(&f.device, 0x1000);
	f.device.result = -ETIMEDOUT;
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), -ETIMEDOUT);
	iommu_detach(&f.device.device);
	device_attach(&f.device, f.iommu);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
	/* Nobody is there to be asked, and the newcomer has nothing to do with it. */
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), -ENOTCONN);
	assert_int_equal(f.device.n_told, 0);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
	vhu_iommu_forget_exposed(f.iommu);
	map(&f, 0x1000, 0x1000);

	/* One that is known to be dead takes it along. */
	device_take(&f.device, 0x1000);
	f.device.result = -ETIMEDOUT;
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), -ETIMEDOUT);
	iommu_device_died(&f.device.device);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0);
	tear_down(&f);
}

static void E2_a_batch_is_one_exchange_of_as_few_messages_as_will_do(void **state)
{
	const struct vhu_iova_range ranges[] = {
		{ 0x8000, 0x1000 }, { 0x1000, 0x1000 }, { 0x2000, 0x1000 },
		{ 0x4000, 0x1000 }, { 0x9000, 0x1000 }, { 0xb000, 0x1000 },
	};
	struct fixture f;

	set_up(&f);
	map(&f, 0x1000, 0x10000);
	for (uint64_t page = 1; page < 16; page++)
		if (page != 3)
			device_take(&f.device, page * 0x1000);
	/* Between 2 and 4 it holds nothing; between 4 and 8, and 9 and 11, it does. */
	assert_int_equal(vhu_iommu_unmap_batch(f.iommu, ranges, ARRAY_SIZE(ranges)), 0);
	assert_int_equal(f.device.n_told, 3);
	device_expect(&f.device, 0, 0x1000, 0x4fff);
	device_expect(&f.device, 1, 0x8000, 0x9fff);
	device_expect(&f.device, 2, 0xb000, 0xbfff);
	assert_int_equal(f.device.n_waited, 1);
	assert_false(device_is_refused(&f.device, 0x5000));
	assert_true(device_is_refused(&f.device, 0x9000));
	assert_int_equal(vhu_iommu_unmap_batch(f.iommu, ranges, 0), 0);
	tear_down(&f);
}

/* What became of an unmap, and whether what it took can be mapped when it says so. */
struct ending {
	unsigned n;
	int error;
	struct vhu_iommu *iommu; /* or NULL */
	int mapped;
};

static void end(void *opaque, int error)
{
	struct ending *ending = opaque;

	ending->n++;
	ending->error = error;
	if (ending->iommu)
		ending->mapped = vhu_iommu_map(ending->iommu, 0x1000, 0x800, 0x7001000, 3);
}

static void E2_an_asynchronous_unmap_calls_back_when_all_have_acknowledged(void **state)
{
	static const int results[] = { 0, -EREMOTEIO };

	for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
		const struct vhu_iova_range range = { 0x1000, 0x2000 };
		struct ending ending = { 0 };
		struct test_device second;
		struct fixture f;

		set_up(&f);
		device_attach(&second, f.iommu);
		map(&f, 0x1000, 0x2000);
		device_take(&f.device, 0x1000);
		device_take(&second, 0x2000);
		assert_int_equal(vhu_iommu_unmap_async(f.iommu, &range, 1, end, &ending), 0);
		assert_int_equal(ending.n, 0);
		assert_true(device_is_refused(&f.device, 0x1000));
		assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 1, 0, 3), -EBUSY);
		assert_int_equal(vhu_iommu_map(f.iommu, 0x2fff, 1, 0, 3), -EBUSY);
		second.result = results[i];
		device_finish(&second);
		assert_int_equal(ending.n, 0);
		assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 1, 0, 3), -EBUSY);
		/* The second page was the second's alone. */
		assert_int_equal(vhu_iommu_map(f.iommu, 0x2000, 0x1000, 0, 3),
		                 results[i] ? -EEXIST : 0);
		ending.iommu = f.iommu;
		device_finish(&f.device);
		assert_int_equal(ending.n, 1);
		assert_int_equal(ending.error, results[i]);
		assert_int_equal(ending.mapped, 0);
		assert_int_equal(vhu_iommu_exposed(f.iommu), results[i] ? 0x1000 : 0);
		map(&f, 0x1800, 0x800);
		iommu_detach(&second.device);
		tear_down(&f);
	}
}

static void E2_an_asynchronous_unmap_of_nothing_calls_back_at_once(void **state)
{
	const struct vhu_iova_range range = { 0x1000, 0x2000 };
	struct ending ending = { 0 };
	struct fixture f;

	set_up(&f);
	map(&f, 0x1000, 0x2000);
	assert_int_equal(vhu_iommu_unmap_async(f.iommu, &range, 1, end, &ending), 0);
	assert_int_equal(ending.n, 1);
	assert_int_equal(vhu_iommu_unmap_async(f.iommu, NULL, 0, end, &ending), 0);
	assert_int_equal(ending.n, 2);
	assert_int_equal(ending.error, 0);
	map(&f, 0x1000, 0x2000);
	f.device.at_once = true;
	device_take(&f.device, 0x1000);
	assert_int_equal(vhu_iommu_unmap_async(f.iommu, &range, 1, end, &ending), 0);
	assert_int_equal(ending.n, 3);
	tear_down(&f);
}

static void E2_where_it_cannot_begin_nothing_changes(void **state)
{
	static const int errors[] = { -ENOBUFS, -EDEADLK };
	const struct vhu_iova_range ranges[] = { { 0x1000, 1 }, { UINT64_MAX, 2 } };
	struct ending ending = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		struct fixture f;

		set_up(&f);
		map(&f, 0x1000, 0x1000);
		device_take(&f.device, 0x1000);
		f.device.prepare_result = errors[i];
		assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), errors[i]);
		assert_int_equal(vhu_iommu_unmap_async(f.iommu, ranges, 1, end, &ending),
		                 errors[i]);
		assert_int_equal(vhu_iommu_unmap_batch(f.iommu, ranges, 2), -EINVAL);
		assert_false(device_is_refused(&f.device, 0x1000));
		assert_int_equal(f.device.n_told, 0);
		assert_int_equal(ending.n, 0);
		tear_down(&f);
	}
}

static void wrong_arguments_change_nothing(void **state)
{
	const struct vhu_iommu_config config = { .policy = (enum vhu_iommu_policy)9 };
	struct vhu_iommu *none;
	struct fixture f;

	assert_int_equal(vhu_iommu_new(&config, &none), -EINVAL);
	set_up(&f);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 0, 0, 3), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, UINT64_MAX, 2, 0, 3), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, 0, 2, UINT64_MAX, 3), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, 0, 1, 0, 0), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, 0, 1, 0, 4), -EINVAL);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0, 0), -EINVAL);
	assert_int_equal(vhu_iommu_unmap(f.iommu, UINT64_MAX, 2), -EINVAL);
	assert_int_equal(vhu_iommu_unmap_lazy(f.iommu, UINT64_MAX, 2, NULL, NULL), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, UINT64_MAX, 1, 0, 3), 0);
	tear_down(&f);
}

static void there_are_as_many_devices_as_bits(void **state)
{
	struct test_device devices[64];
	struct vhu_iommu *iommu;

	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &iommu), 0);
	assert_int_equal(vhu_iommu_map(iommu, 0x1000, 0x1000, 0, 3), 0);
	for (unsigned i = 0; i < 63; i++) {
		device_attach(&devices[i], iommu);
		device_take(&devices[i], 0x1000);
	}
	devices[63] = (struct test_device){ .device.ops = &device_ops };
	assert_int_equal(iommu_attach(iommu, &devices[63].device), -ENOSPC);
	iommu_detach(&devices[5].device);
	device_attach(&devices[63], iommu);
	assert_int_equal(vhu_iommu_unmap(iommu, 0x1000, 1), 0);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(devices[i].n_told, i != 5 && i != 63);
	for (unsigned i = 0; i < 64; i++)
		iommu_detach(&devices[i].device);
	vhu_iommu_free(iommu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_name_device_address_and_permission),
		cmocka_unit_test(E2_what_was_never_given_costs_no_message),
		cmocka_unit_test(E2_only_who_was_given_something_is_told),
		cmocka_unit_test(E2_unmap_invalidates_and_refuses_meanwhile),
		cmocka_unit_test(E2_failed_unmap_leaves_the_range_exposed),
		cmocka_unit_test(E2_every_device_is_asked_whatever_the_first_says),
		cmocka_unit_test(E2_a_device_that_has_gone_leaves_what_is_exposed),
		cmocka_unit_test(E2_a_batch_is_one_exchange_of_as_few_messages_as_will_do),
		cmocka_unit_test(E2_an_asynchronous_unmap_calls_back_when_all_have_acknowledged),
		cmocka_unit_test(E2_an_asynchronous_unmap_of_nothing_calls_back_at_once),
		cmocka_unit_test(E2_where_it_cannot_begin_nothing_changes),
		cmocka_unit_test(wrong_arguments_change_nothing),
		cmocka_unit_test(there_are_as_many_devices_as_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
