/* SPDX-License-Identifier: BSD-3-Clause */
/* The IOMMU with a device that only remembers what it was told. */
#include "iommu/iommu.h"

#include <errno.h>
#include <string.h>

#include "support/check.h"

struct fake_device {
	struct iommu_device device;
	struct range started[8];
	unsigned n_started, n_finished;
	int start_result, finish_result;
	struct vhu_iommu *iommu;
	unsigned answers_while_waiting;
};

static struct fake_device *fake(struct iommu_device *device)
{
	return container_of(device, struct fake_device, device);
}

static int start(struct iommu_device *device, struct range range)
{
	fake(device)->started[fake(device)->n_started++] = range;
	return fake(device)->start_result;
}

/* A miss for what is being taken away comes while its end is awaited. */
static int finish(struct iommu_device *device)
{
	struct fake_device *self = fake(device);
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];

	self->n_finished++;
	self->answers_while_waiting += iommu_miss(self->iommu, device, self->started[0].start, 0, 1,
	                                          answers);
	return self->finish_result;
}

static const struct iommu_device_ops ops = { start, finish };

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
	struct fake_device device;
	struct faults faults;
};

static void set_up(struct fixture *f)
{
	const struct vhu_iommu_config config = { .fault = count_fault, .opaque = &f->faults };

	memset(f, 0, sizeof(*f));
	assert_int_equal(vhu_iommu_new(&config, &f->iommu), 0);
	f->device.device.ops = &ops;
	f->device.device.opaque = f;
	f->device.iommu = f->iommu;
	iommu_attach(f->iommu, &f->device.device);
}

static void tear_down(struct fixture *f)
{
	iommu_detach(&f->device.device);
	vhu_iommu_free(f->iommu);
}

struct map {
	uint64_t iova, size, uva;
	uint8_t perm;
};

struct miss_case {
	const char *name;
	struct map maps[3];
	uint64_t iova, hint;
	uint8_t perm;
	struct iommu_answer answers[3];
	unsigned n;
};

static const struct miss_case miss_cases[] = {
	{ "a page of a large mapping",
	  { { 0x10000, 0x100000, 0x7000000, 3 } },
	  0x12345,
	  0,
	  1,
	  { { { 0x12000, 0x12fff }, 0x7002000, 3 } },
	  1 },
	{ "a hint is not looked at",
	  { { 0x10000, 0x100000, 0x7000000, 3 } },
	  0x12345,
	  0x10000,
	  1,
	  { { { 0x12000, 0x12fff }, 0x7002000, 3 } },
	  1 },
	{ "less than a page",
	  { { 0x10010, 0x10, 0x5000, 2 } },
	  0x10018,
	  0,
	  2,
	  { { { 0x10010, 0x1001f }, 0x5000, 2 } },
	  1 },
	{ "what follows in the page goes along, what goes before does not",
	  { { 0x10000, 0x10, 0x1000, 3 },
	    { 0x10010, 0x10, 0x2000, 3 },
	    { 0x10020, 0xfe0, 0x3000, 3 } },
	  0x10010,
	  0,
	  3,
	  { { { 0x10010, 0x1001f }, 0x2000, 3 }, { { 0x10020, 0x10fff }, 0x3000, 3 } },
	  2 },
	{ "up to a gap",
	  { { 0x10000, 0x10, 0x1000, 3 }, { 0x10011, 0x10, 0x2000, 3 } },
	  0x10000,
	  0,
	  3,
	  { { { 0x10000, 0x1000f }, 0x1000, 3 } },
	  1 },
	{ "up to where the permission ends",
	  { { 0x10000, 0x10, 0x1000, 3 }, { 0x10010, 0x10, 0x2000, 1 } },
	  0x10000,
	  0,
	  2,
	  { { { 0x10000, 0x1000f }, 0x1000, 3 } },
	  1 },
	{ "the last page of the space",
	  { { UINT64_MAX - 0xfff, 0x1000, 0x1000, 3 } },
	  UINT64_MAX,
	  0,
	  1,
	  { { { UINT64_MAX - 0xfff, UINT64_MAX }, 0x1000, 3 } },
	  1 },
	{ "not mapped", { { 0x10000, 0x1000, 0x1000, 3 } }, 0x11000, 0, 1, { { { 0 } } }, 0 },
	{ "no permission", { { 0x10000, 0x1000, 0x1000, 3 } }, 0x10000, 0, 0, { { { 0 } } }, 0 },
	{ "read-only", { { 0x10000, 0x1000, 0x1000, 1 } }, 0x10000, 0, 2, { { { 0 } } }, 0 },
	{ "write-only", { { 0x10000, 0x1000, 0x1000, 2 } }, 0x10000, 0, 3, { { { 0 } } }, 0 },
};

static void E1_a_miss_is_covered_or_refused(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(miss_cases); i++) {
		const struct miss_case *test = &miss_cases[i];
		struct iommu_answer answers[IOMMU_ANSWERS_MAX];
		struct fixture f;
		unsigned n;

		print_message("  %s\n", test->name);
		set_up(&f);
		for (unsigned j = 0; j < ARRAY_SIZE(test->maps) && test->maps[j].size; j++)
			assert_int_equal(vhu_iommu_map(f.iommu, test->maps[j].iova,
			                               test->maps[j].size, test->maps[j].uva,
			                               test->maps[j].perm),
			                 0);
		n = iommu_miss(f.iommu, &f.device.device, test->iova, test->hint, test->perm,
		               answers);
		assert_int_equal(n, test->n);
		for (unsigned j = 0; j < n; j++) {
			assert_int_equal(answers[j].iova.start, test->answers[j].iova.start);
			assert_int_equal(answers[j].iova.last, test->answers[j].iova.last);
			assert_int_equal(answers[j].uva, test->answers[j].uva);
			assert_int_equal(answers[j].perm, test->answers[j].perm);
		}
		assert_int_equal(f.faults.n, n ? 0 : 1);
		tear_down(&f);
	}
}

static void E1_answers_to_a_page_in_crumbs_are_bounded(void **state)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	struct fixture f;

	set_up(&f);
	for (uint64_t i = 0; i < 4096; i++)
		assert_int_equal(vhu_iommu_map(f.iommu, i, 1, 0x9000 - i, 3), 0);
	assert_int_equal(iommu_miss(f.iommu, &f.device.device, 7, 4096, 3, answers),
	                 IOMMU_ANSWERS_MAX);
	assert_int_equal(answers[0].iova.start, 7);
	tear_down(&f);
}

static void faults_name_device_address_and_permission(void **state)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	struct fixture f;

	set_up(&f);
	assert_int_equal(iommu_miss(f.iommu, &f.device.device, 0x1234, 0, 2, answers), 0);
	assert_ptr_equal(f.faults.last.device, &f);
	assert_int_equal(f.faults.last.iova, 0x1234);
	assert_int_equal(f.faults.last.perm, 2);
	assert_false(f.faults.last.reported);
	iommu_access_failed(f.iommu, &f.device.device, 0x5678, 1);
	assert_int_equal(f.faults.n, 2);
	assert_int_equal(f.faults.last.iova, 0x5678);
	assert_true(f.faults.last.reported);
	tear_down(&f);
}

static void E2_what_was_never_given_costs_no_message(void **state)
{
	struct fixture f;

	set_up(&f);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 0x1000, 0, 3), 0);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), 0);
	assert_int_equal(f.device.n_started, 0);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), 0);
	tear_down(&f);
}

static void E2_unmap_invalidates_and_refuses_meanwhile(void **state)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	struct fixture f;

	set_up(&f);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 0x3000, 0x8000, 3), 0);
	assert_int_equal(iommu_miss(f.iommu, &f.device.device, 0x1000, 0, 1, answers), 1);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1800, 0x1000), 0);
	assert_int_equal(f.device.n_started, 1);
	assert_int_equal(f.device.n_finished, 1);
	assert_int_equal(f.device.started[0].start, 0x1800);
	assert_int_equal(f.device.started[0].last, 0x27ff);
	assert_int_equal(f.device.answers_while_waiting, 0);
	/* What is left still answers; what is gone may be mapped anew. */
	assert_int_equal(iommu_miss(f.iommu, &f.device.device, 0x1000, 0, 1, answers), 1);
	assert_int_equal(answers[0].iova.last, 0x17ff);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1800, 0x1000, 0, 3), 0);
	tear_down(&f);
}

struct failure {
	int start, finish, result;
};

static void E2_failed_unmap_leaves_the_range_exposed(void **state)
{
	static const struct failure failures[] = {
		{ -ENOTCONN, 0, -ENOTCONN },
		{ 0, -ETIMEDOUT, -ETIMEDOUT },
		{ 0, -EREMOTEIO, -EREMOTEIO },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(failures); i++) {
		struct iommu_answer answers[IOMMU_ANSWERS_MAX];
		struct fixture f;

		set_up(&f);
		f.device.start_result = failures[i].start;
		f.device.finish_result = failures[i].finish;
		assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 0x1000, 0, 3), 0);
		assert_int_equal(vhu_iommu_map(f.iommu, 0x2000, 0x1000, 0, 3), 0);
		assert_int_equal(iommu_miss(f.iommu, &f.device.device, 0x1000, 0, 1, answers), 1);

		assert_int_equal(vhu_iommu_unmap(f.iommu, 0, 0x10000), failures[i].result);
		assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
		assert_int_equal(iommu_miss(f.iommu, &f.device.device, 0x1000, 0, 1, answers), 0);
		assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 1, 0, 3), -EEXIST);
		assert_int_equal(vhu_iommu_map(f.iommu, 0x2000, 1, 0, 3), 0);

		f.device.start_result = f.device.finish_result = 0;
		f.device.n_started = 0;
		if (i == 0) {
			assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), 0);
			assert_int_equal(f.device.n_started, 1);
		} else {
			vhu_iommu_forget_exposed(f.iommu);
		}
		assert_int_equal(vhu_iommu_exposed(f.iommu), 0);
		assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 1, 0, 3), 0);
		tear_down(&f);
	}
}

static void E2_every_device_is_asked_whatever_the_first_says(void **state)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	struct fake_device second = { .device.ops = &ops };
	struct fixture f;

	set_up(&f);
	second.iommu = f.iommu;
	iommu_attach(f.iommu, &second.device);
	f.device.start_result = -ENOTCONN;
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 0x1000, 0, 3), 0);
	assert_int_equal(iommu_miss(f.iommu, &second.device, 0x1000, 0, 1, answers), 1);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x1000), -ENOTCONN);
	assert_int_equal(second.n_finished, 1);
	assert_int_equal(f.device.n_finished, 0);
	iommu_detach(&second.device);
	tear_down(&f);
}

static void wrong_arguments_change_nothing(void **state)
{
	struct fixture f;

	set_up(&f);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 0, 0, 3), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, UINT64_MAX, 2, 0, 3), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, 0, 2, UINT64_MAX, 3), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, 0, 1, 0, 0), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, 0, 1, 0, 4), -EINVAL);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0, 0), -EINVAL);
	assert_int_equal(vhu_iommu_unmap(f.iommu, UINT64_MAX, 2), -EINVAL);
	assert_int_equal(vhu_iommu_map(f.iommu, UINT64_MAX, 1, 0, 3), 0);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E1_a_miss_is_covered_or_refused),
		cmocka_unit_test(E1_answers_to_a_page_in_crumbs_are_bounded),
		cmocka_unit_test(faults_name_device_address_and_permission),
		cmocka_unit_test(E2_what_was_never_given_costs_no_message),
		cmocka_unit_test(E2_unmap_invalidates_and_refuses_meanwhile),
		cmocka_unit_test(E2_failed_unmap_leaves_the_range_exposed),
		cmocka_unit_test(E2_every_device_is_asked_whatever_the_first_says),
		cmocka_unit_test(wrong_arguments_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
