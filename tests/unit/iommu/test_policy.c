/* SPDX-License-Identifier: BSD-3-Clause */
/* What answers a miss, policy by policy. */
#include <stdlib.h>

#include "device.h"

struct map {
	uint64_t iova, size, uva;
	uint8_t perm;
};

struct miss_case {
	const char *name;
	struct map maps[4];
	uint64_t iova, hint;
	uint8_t perm;
	struct iommu_answer answers[3];
	unsigned n;
};

static const struct miss_case page_cases[] = {
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

static const struct miss_case leaf_cases[] = {
	{ "the whole of a mapping, and no more",
	  { { 0x10000, 0x100001, 0x7000000, 3 }, { 0x110001, 0x1000, 0x7100001, 3 } },
	  0x12345,
	  0,
	  1,
	  { { { 0x10000, 0x110000 }, 0x7000000, 3 } },
	  1 },
	{ "less than a page",
	  { { 0x10010, 0x10, 0x5000, 2 } },
	  0x10018,
	  4096,
	  2,
	  { { { 0x10010, 0x1001f }, 0x5000, 2 } },
	  1 },
	{ "the lower half of everything",
	  { { 0, UINT64_MAX, 0, 3 }, { UINT64_MAX, 1, UINT64_MAX, 3 } },
	  5,
	  0,
	  3,
	  { { { 0, UINT64_MAX - 1 }, 0, 3 } },
	  1 },
	{ "read-only", { { 0x10000, 0x1000, 0x1000, 1 } }, 0x10000, 0, 2, { { { 0 } } }, 0 },
};

static const struct miss_case range_cases[] = {
	{ "neighbours that go on, on both sides",
	  { { 0x10000, 0x1000, 0x7000000, 3 },
	    { 0x11000, 0x800, 0x7001000, 3 },
	    { 0x11800, 0x2000, 0x7001800, 3 } },
	  0x11234,
	  0,
	  1,
	  { { { 0x10000, 0x137ff }, 0x7000000, 3 } },
	  1 },
	{ "no neighbour of another permission, place, or across a gap",
	  { { 0x10000, 0x1000, 0x7000000, 1 },
	    { 0x11000, 0x1000, 0x7001000, 3 },
	    { 0x12000, 0x1000, 0x8002000, 3 },
	    { 0x14000, 0x1000, 0x7004000, 3 } },
	  0x11234,
	  0,
	  1,
	  { { { 0x11000, 0x11fff }, 0x7001000, 3 } },
	  1 },
};

static const struct miss_case hint_cases[] = {
	{ "without a hint, the page",
	  { { 0x10000, 0x100000, 0x7000000, 3 } },
	  0x12345,
	  0,
	  1,
	  { { { 0x12000, 0x12fff }, 0x7002000, 3 } },
	  1 },
	{ "the pages of the hint",
	  { { 0x10000, 0x100000, 0x7000000, 3 } },
	  0x12345,
	  0x3000,
	  1,
	  { { { 0x12000, 0x15fff }, 0x7002000, 3 } },
	  1 },
	{ "in pieces where memory is",
	  { { 0x10000, 0x1000, 0x1000, 3 },
	    { 0x11000, 0x1000, 0x9000, 3 },
	    { 0x12000, 0x1000, 0x5000, 3 } },
	  0x10800,
	  0x1801,
	  1,
	  { { { 0x10000, 0x10fff }, 0x1000, 3 },
	    { { 0x11000, 0x11fff }, 0x9000, 3 },
	    { { 0x12000, 0x12fff }, 0x5000, 3 } },
	  3 },
	{ "merged where it goes on",
	  { { 0x10000, 0x1000, 0x1000, 3 }, { 0x11000, 0x1000, 0x2000, 3 } },
	  0x10800,
	  0x1000,
	  1,
	  { { { 0x10000, 0x11fff }, 0x1000, 3 } },
	  1 },
	{ "up to a gap",
	  { { 0x10000, 0x1000, 0x1000, 3 }, { 0x12000, 0x1000, 0x3000, 3 } },
	  0x10800,
	  0x3000,
	  1,
	  { { { 0x10000, 0x10fff }, 0x1000, 3 } },
	  1 },
	{ "beyond the end of the space",
	  { { UINT64_MAX - 0x1fff, 0x2000, 0x1000, 3 } },
	  UINT64_MAX - 0x1000,
	  0x3000,
	  1,
	  { { { UINT64_MAX - 0x1fff, UINT64_MAX }, 0x1000, 3 } },
	  1 },
};

static struct vhu_iommu *iommu_of(enum vhu_iommu_policy policy)
{
	const struct vhu_iommu_config config = { .policy = policy };
	struct vhu_iommu *iommu;

	assert_int_equal(vhu_iommu_new(&config, &iommu), 0);
	return iommu;
}

static void run_case(enum vhu_iommu_policy policy, const struct miss_case *test)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	struct vhu_iommu *iommu = iommu_of(policy);
	struct test_device device;
	unsigned n;

	print_message("  %s\n", test->name);
	device_attach(&device, iommu);
	for (unsigned j = 0; j < ARRAY_SIZE(test->maps) && test->maps[j].size; j++)
		assert_int_equal(vhu_iommu_map(iommu, test->maps[j].iova, test->maps[j].size,
		                               test->maps[j].uva, test->maps[j].perm),
		                 0);
	/* The same twice: that it was given changes no answer. */
	for (unsigned times = 0; times < 2; times++) {
		n = iommu_miss(&device.device, test->iova, test->hint, test->perm, answers);
		assert_int_equal(n, test->n);
		for (unsigned j = 0; j < n; j++) {
			assert_int_equal(answers[j].iova.start, test->answers[j].iova.start);
			assert_int_equal(answers[j].iova.last, test->answers[j].iova.last);
			assert_int_equal(answers[j].uva, test->answers[j].uva);
			assert_int_equal(answers[j].perm, test->answers[j].perm);
		}
	}
	assert_true(iommu_check(iommu));
	iommu_detach(&device.device);
	vhu_iommu_free(iommu);
}

static void run_cases(enum vhu_iommu_policy policy, const struct miss_case *cases, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		run_case(policy, &cases[i]);
}

static void E1_a_miss_is_covered_or_refused(void **state)
{
	print_message(" page\n");
	run_cases(VHU_IOMMU_PAGE, page_cases, ARRAY_SIZE(page_cases));
	print_message(" leaf\n");
	run_cases(VHU_IOMMU_LEAF, leaf_cases, ARRAY_SIZE(leaf_cases));
	print_message(" range\n");
	run_cases(VHU_IOMMU_RANGE, range_cases, ARRAY_SIZE(range_cases));
	print_message(" hint\n");
	run_cases(VHU_IOMMU_HINT, hint_cases, ARRAY_SIZE(hint_cases));
	print_message(" push\n");
	run_cases(VHU_IOMMU_PUSH, leaf_cases, ARRAY_SIZE(leaf_cases));
}

static void E1_no_answer_speaks_of_the_whole_space(void **state)
{
	for (unsigned policy = VHU_IOMMU_LEAF; policy <= VHU_IOMMU_PUSH; policy++) {
		struct vhu_iommu *iommu = iommu_of((enum vhu_iommu_policy)policy);
		struct iommu_answer answers[IOMMU_ANSWERS_MAX];
		struct test_device device;

		device_attach(&device, iommu);
		assert_int_equal(vhu_iommu_map(iommu, 0, UINT64_C(1) << 63, 0, 3), 0);
		assert_int_equal(vhu_iommu_map(iommu, UINT64_C(1) << 63, UINT64_C(1) << 63,
		                               UINT64_C(1) << 63, 3),
		                 0);
		assert_int_equal(iommu_miss(&device.device, UINT64_MAX, UINT64_MAX, 3, answers), 1);
		assert_true(range_size(answers[0].iova) != 0);
		assert_int_equal(answers[0].uva, answers[0].iova.start);
		assert_int_equal(iommu_miss(&device.device, 0, UINT64_MAX, 3, answers) > 0, 1);
		assert_true(range_size(answers[0].iova) != 0);
		iommu_detach(&device.device);
		vhu_iommu_free(iommu);
	}
}

static void E1_answers_to_a_page_in_crumbs_are_bounded(void **state)
{
	struct vhu_iommu *iommu = iommu_of(VHU_IOMMU_HINT);
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	struct test_device device;

	device_attach(&device, iommu);
	for (uint64_t i = 0; i < 4096; i++)
		assert_int_equal(vhu_iommu_map(iommu, i, 1, 0x9000 - i, 3), 0);
	assert_int_equal(iommu_miss(&device.device, 7, 4096, 3, answers), IOMMU_ANSWERS_MAX);
	assert_int_equal(answers[0].iova.start, 7);
	iommu_detach(&device.device);
	vhu_iommu_free(iommu);
}

/* Every byte of what is granted is mapped so, and the address is covered. */
static void check_answers(const struct iommu_answer *answers, unsigned n, uint64_t iova,
                          const uint64_t *oracle, uint64_t space)
{
	assert_true(n <= IOMMU_ANSWERS_MAX);
	assert_int_equal(n > 0, oracle[iova] != 0);
	if (n)
		assert_true(range_has(answers[0].iova, iova));
	for (unsigned i = 0; i < n; i++) {
		assert_true(answers[i].iova.last < space);
		for (uint64_t at = answers[i].iova.start; at <= answers[i].iova.last; at++)
			assert_int_equal(oracle[at],
			                 1 + answers[i].uva + (at - answers[i].iova.start));
	}
}

static void E1_random_tables_are_answered_truly_by_every_policy(void **state)
{
	enum { SPACE = 1 << 15 };

	for (unsigned round = 0; round < 40; round++) {
		struct vhu_iommu *iommu = iommu_of((enum vhu_iommu_policy)(round % 5));
		uint64_t *oracle = calloc(SPACE, sizeof(*oracle)), at = 0;
		struct test_device device;

		srand(round + 1);
		assert_non_null(oracle);
		device_attach(&device, iommu);
		while (at < SPACE) {
			uint64_t size = 1 + (uint64_t)rand() % 6000, uva = at + 0x100000;

			if (size > SPACE - at)
				size = SPACE - at;
			if (rand() % 3 == 0)
				uva += 0x100000;
			if (rand() % 4)
				assert_int_equal(vhu_iommu_map(iommu, at, size, uva, 3), 0);
			else
				uva = UINT64_MAX;
			for (uint64_t i = 0; i < size && uva != UINT64_MAX; i++)
				oracle[at + i] = 1 + uva + i;
			at += size;
		}
		for (unsigned i = 0; i < 300; i++) {
			struct iommu_answer answers[IOMMU_ANSWERS_MAX];
			uint64_t iova = (uint64_t)rand() % SPACE;
			unsigned n = iommu_miss(&device.device, iova, (uint64_t)rand() % 20000, 3,
			                        answers);

			check_answers(answers, n, iova, oracle, SPACE);
			assert_true(iommu_check(iommu));
		}
		iommu_detach(&device.device);
		vhu_iommu_free(iommu);
		free(oracle);
	}
}

static void E1_push_tells_of_a_mapping_when_it_is_made(void **state)
{
	const struct vhu_mapping mappings[] = {
		{ 0x1000, 0x1000, 0x9000, 3 },
		{ 0x2000, 0x800, 0xa000, 1 },
		{ 0x1fff, 1, 0xb000, 1 },
		{ 0x4000, 1, 0xb000, 1 },
	};
	struct vhu_iommu *iommu = iommu_of(VHU_IOMMU_PUSH);
	struct test_device device;
	unsigned n;

	device_attach(&device, iommu);
	assert_int_equal(vhu_iommu_map_batch(iommu, mappings, 4, &n), -EEXIST);
	assert_int_equal(n, 2);
	assert_int_equal(device.n_pushed, 2);
	assert_int_equal(device.pushed[0].start, 0x1000);
	assert_int_equal(device.pushed[1].last, 0x27ff);
	assert_int_equal(vhu_iommu_sync(iommu), 0);
	assert_int_equal(device.n_synced, 1);
	/* It holds what it was told of. */
	assert_int_equal(vhu_iommu_unmap(iommu, 0, 0x10000), 0);
	device_expect(&device, 0, 0x1000, 0x27ff);
	iommu_detach(&device.device);
	vhu_iommu_free(iommu);
}

static void E1_push_leaves_out_none_of_a_large_batch(void **state)
{
	struct vhu_iommu *iommu = iommu_of(VHU_IOMMU_PUSH);
	struct vhu_mapping mappings[200];
	struct test_device device;

	device_attach(&device, iommu);
	for (unsigned i = 0; i < ARRAY_SIZE(mappings); i++)
		mappings[i] = (struct vhu_mapping){ i * 0x2000u, 0x1000, 0x10000, 3 };
	assert_true(ARRAY_SIZE(device.pushed) >= ARRAY_SIZE(mappings));
	for (unsigned n = 0; n <= ARRAY_SIZE(mappings); n += 8) {
		device.n_told = device.n_pushed = 0;
		assert_int_equal(vhu_iommu_map_batch(iommu, mappings, n, NULL), 0);
		assert_int_equal(device.n_pushed, n);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(device.pushed[i].start, mappings[i].iova);
		assert_int_equal(vhu_iommu_unmap(iommu, 0, UINT64_MAX), 0);
	}
	iommu_detach(&device.device);
	vhu_iommu_free(iommu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E1_a_miss_is_covered_or_refused),
		cmocka_unit_test(E1_no_answer_speaks_of_the_whole_space),
		cmocka_unit_test(E1_answers_to_a_page_in_crumbs_are_bounded),
		cmocka_unit_test(E1_random_tables_are_answered_truly_by_every_policy),
		cmocka_unit_test(E1_push_tells_of_a_mapping_when_it_is_made),
		cmocka_unit_test(E1_push_leaves_out_none_of_a_large_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
