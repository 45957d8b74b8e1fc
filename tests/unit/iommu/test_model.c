/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU against bytes: what is mapped, and what each of three devices was told
 * of. At no time may a device hold what is neither mapped nor being taken back, and
 * every miss is answered by what is mapped.
 *
 * VHU_TEST_STEPS: how many steps for each policy; 500,000, where they cost little.
 */
#include <stdlib.h>

#include "device.h"

#define SPACE   512u
#define DEVICES 3u
#define LATE_NS 16u

#ifdef THREAD_SANITIZER /* has nothing to find with one thread */
#define STEPS 50000u
#else
#define STEPS 500000u
#endif

/* What a byte stands for; uva plus one, and 0: nothing. */
struct byte {
	uint64_t uva;
	uint8_t perm;
};

/* What a device holds of it, by what it was told. */
struct held {
	uint64_t uva[SPACE];
};

/* An unmap that is under way: what it takes back may still be held. */
struct late {
	bool busy, lazy;
	struct range range;
};

static struct model {
	struct vhu_iommu *iommu;
	struct byte bytes[SPACE];
	struct test_device devices[DEVICES];
	struct held held[DEVICES];
	struct late lates[LATE_NS];
	unsigned told[DEVICES]; /* invalidations that were carried out */
	uint64_t random;
	uint64_t misses, granted;
} * the_model;

static uint32_t below(struct model *model, uint32_t n)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return (uint32_t)((model->random >> 24) % n);
}

static struct range random_range(struct model *model, uint32_t max)
{
	struct range range = { .start = below(model, SPACE) };

	range.last = range.start + below(model, max);
	if (range.last >= SPACE)
		range.last = SPACE - 1;
	return range;
}

/* A device does what it was told before it says so, and in the order it was told. */
static void carry_out(struct model *model, unsigned d)
{
	struct test_device *device = &model->devices[d];

	for (unsigned i = 0; i < device->n_told; i++)
		for (uint64_t at = device->told[i].start; at <= device->told[i].last; at++)
			if (at < SPACE)
				model->held[d].uva[at] = 0;
	device->n_told = 0;
}

static void before_finish(struct test_device *device)
{
	carry_out(the_model, (unsigned)(device - the_model->devices));
}

static void finish_some(struct model *model)
{
	unsigned d = below(model, DEVICES);

	while (model->devices[d].n_tickets)
		device_finish(&model->devices[d]);
}

static void finish_all(struct model *model)
{
	for (unsigned d = 0; d < DEVICES; d++)
		while (model->devices[d].n_tickets)
			device_finish(&model->devices[d]);
}

static bool is_late(const struct model *model, uint64_t at)
{
	for (unsigned i = 0; i < LATE_NS; i++)
		if (model->lates[i].busy && range_has(model->lates[i].range, at))
			return true;
	return false;
}

/* What is held is mapped, or on its way out. */
static void judge(const struct model *model)
{
	for (unsigned d = 0; d < DEVICES; d++)
		for (uint64_t at = 0; at < SPACE; at++)
			if (model->held[d].uva[at] &&
			    model->held[d].uva[at] != model->bytes[at].uva)
				assert_true(is_late(model, at));
}

static void miss(struct model *model)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	uint8_t perm = (uint8_t)(1 + below(model, 3));
	uint64_t iova = below(model, SPACE);
	const struct byte *byte = &model->bytes[iova];
	unsigned d = below(model, DEVICES);
	unsigned n = iommu_miss(&model->devices[d].device, iova, below(model, 200), perm, answers);

	carry_out(model, d);
	model->misses++;
	model->granted += n > 0;
	assert_int_equal(n > 0, byte->uva && (byte->perm & perm) == perm);
	for (unsigned i = 0; i < n; i++)
		for (uint64_t at = answers[i].iova.start; at <= answers[i].iova.last; at++) {
			uint64_t uva = 1 + answers[i].uva + (at - answers[i].iova.start);

			assert_int_equal(model->bytes[at].uva, uva);
			assert_int_equal(model->bytes[at].perm & perm, perm);
			model->held[d].uva[at] = uva;
		}
}

static void map(struct model *model)
{
	struct range range = random_range(model, 40);
	uint64_t uva = 0x1000 + (uint64_t)below(model, 4) * SPACE + range.start;
	uint8_t perm = (uint8_t)(1 + below(model, 3));
	bool taken = false, late = false;
	int result = vhu_iommu_map(model->iommu, range.start, range_size(range), uva, perm);

	for (uint64_t at = range.start; at <= range.last; at++) {
		taken |= model->bytes[at].uva != 0;
		late |= is_late(model, at);
	}
	if (taken)
		assert_true(result == -EEXIST || (late && result == -EBUSY));
	else if (!late)
		assert_int_equal(result, 0);
	for (uint64_t at = range.start; at <= range.last && !result; at++)
		model->bytes[at] = (struct byte){ 1 + uva + (at - range.start), perm };
}

/* A push is told at once. */
static void take_pushes(struct model *model)
{
	for (unsigned d = 0; d < DEVICES; d++) {
		struct test_device *device = &model->devices[d];

		carry_out(model, d);
		for (unsigned i = 0; i < device->n_pushed; i++)
			for (uint64_t at = device->pushed[i].start; at <= device->pushed[i].last;
			     at++)
				model->held[d].uva[at] = model->bytes[at].uva;
		device->n_pushed = 0;
	}
}

static void clear(struct model *model, struct range range)
{
	for (uint64_t at = range.start; at <= range.last; at++)
		model->bytes[at] = (struct byte){ 0 };
}

/* What has been waited for is out of every hand. */
static void expect_gone(struct model *model, struct range range)
{
	for (unsigned d = 0; d < DEVICES; d++)
		for (uint64_t at = range.start; at <= range.last; at++)
			assert_int_equal(model->held[d].uva[at], 0);
}

static void unmap_batch(struct model *model)
{
	struct vhu_iova_range ranges[3];
	struct range taken[3];

	for (unsigned i = 0; i < 3; i++) {
		taken[i] = random_range(model, 20);
		ranges[i] = (struct vhu_iova_range){ taken[i].start, range_size(taken[i]) };
	}
	assert_int_equal(vhu_iommu_unmap_batch(model->iommu, ranges, 3), 0);
	for (unsigned i = 0; i < 3; i++) {
		expect_gone(model, taken[i]);
		clear(model, taken[i]);
	}
}

static void done(void *opaque, int error)
{
	struct late *late = opaque;

	assert_int_equal(error, 0);
	late->busy = false;
}

static void unmap_late(struct model *model, bool lazy)
{
	struct range range = random_range(model, 30);
	const struct vhu_iova_range vhu = { range.start, range_size(range) };
	unsigned i = 0;
	int result;

	while (i < LATE_NS && model->lates[i].busy)
		i++;
	for (unsigned d = 0; d < DEVICES; d++)
		if (model->devices[d].n_tickets >= 4)
			return;
	if (i == LATE_NS)
		return;
	model->lates[i] = (struct late){ true, lazy, range };
	if (lazy)
		result = vhu_iommu_unmap_lazy(model->iommu, vhu.iova, vhu.size, done,
		                              &model->lates[i]);
	else
		result = vhu_iommu_unmap_async(model->iommu, &vhu, 1, done, &model->lates[i]);
	assert_int_equal(result, 0);
	clear(model, range);
}

static void step(struct model *model)
{
	struct range range;

	switch (below(model, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		map(model);
		take_pushes(model);
		break;
	case 4:
		range = random_range(model, 40);
		assert_int_equal(vhu_iommu_unmap(model->iommu, range.start, range_size(range)), 0);
		expect_gone(model, range);
		clear(model, range);
		break;
	case 5: unmap_batch(model); break;
	case 6: unmap_late(model, false); break;
	case 7: unmap_late(model, true); break;
	case 8: finish_some(model); break;
	case 9:
		if (below(model, 8) == 0)
			assert_int_equal(vhu_iommu_flush(model->iommu), 0);
		break;
	default: miss(model); break;
	}
}

static void run(enum vhu_iommu_policy policy, unsigned steps)
{
	const struct vhu_iommu_config config = { .policy = policy,
		                                 .lazy_max = 4,
		                                 .lazy_ms = 100000 };
	struct model *model = calloc(1, sizeof(*model));
	struct vhu_iommu_stats stats;

	assert_non_null(model);
	the_model = model;
	model->random = 88172645463325252u + policy;
	assert_int_equal(vhu_iommu_new(&config, &model->iommu), 0);
	for (unsigned d = 0; d < DEVICES; d++)
		device_attach(&model->devices[d], model->iommu);
	for (unsigned d = 0; d < DEVICES; d++)
		model->devices[d].about_to_finish = before_finish;
	for (unsigned i = 0; i < steps; i++) {
		step(model);
		if (i % 16 == 0)
			judge(model);
		if (i % 256 == 0)
			assert_true(iommu_check(model->iommu));
	}
	assert_int_equal(vhu_iommu_flush(model->iommu), 0);
	finish_all(model);
	assert_int_equal(vhu_iommu_unmap(model->iommu, 0, SPACE), 0);
	expect_gone(model, (struct range){ 0, SPACE - 1 });
	vhu_iommu_stats(model->iommu, &stats);
	assert_int_equal(stats.mappings, 0);
	print_message("  %llu of %llu misses granted\n", (unsigned long long)model->granted,
	              (unsigned long long)model->misses);
	assert_true(model->granted > model->misses / 10 && model->granted < model->misses);
	assert_true(stats.silent > 0 && stats.silent < stats.unmaps);
	for (unsigned d = 0; d < DEVICES; d++)
		iommu_detach(&model->devices[d].device);
	vhu_iommu_free(model->iommu);
	free(model);
}

static void E1_devices_hold_what_is_mapped_and_nothing_else(void **state)
{
	const char *text = getenv("VHU_TEST_STEPS");
	unsigned steps = text ? (unsigned)atol(text) : STEPS;

	for (unsigned policy = VHU_IOMMU_PAGE; policy <= VHU_IOMMU_PUSH; policy++)
		run((enum vhu_iommu_policy)policy, steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E1_devices_hold_what_is_mapped_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
