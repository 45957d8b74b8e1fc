/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: the device IOTLB at its simplest: miss, hit, invalidate. */
#include "io.h"
#include "suite_backend.h"

static void miss_then_hit(struct front *f)
{
	struct span data;
	unsigned before;

	front_open(f, &(struct front_setup){ .features = FRONT_IOMMU });
	io_start(f);
	data = front_alloc(f, 512);
	front_pattern(&data, 1);
	io_out(f, &data, 1);
	io_expect_done(f);
	EXPECT(f, front_misses_of(f, data.addr, RAM_PAGE) > 0,
	       "a miss of the data's page: the back-end never asked for it");
	before = front_misses_of(f, data.addr, RAM_PAGE);
	io_out(f, &data, 1);
	io_expect_done(f);
	EXPECT_EQUAL(f, front_misses_of(f, data.addr, RAM_PAGE), before,
	             "misses of a page that is known");
}

static void invalidated_is_asked_again(struct front *f)
{
	struct span data;
	unsigned before;

	front_open(f, &(struct front_setup){ .features = FRONT_IOMMU });
	io_start(f);
	data = front_alloc(f, 512);
	io_out(f, &data, 1);
	io_expect_done(f);
	before = front_misses_of(f, data.addr, RAM_PAGE);
	expect_invalidate(f, data.addr, RAM_PAGE);
	io_out(f, &data, 1);
	io_expect_done(f);
	EXPECT(f, front_misses_of(f, data.addr, RAM_PAGE) > before,
	       "a miss of a page that was invalidated: there is none");
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb.miss-then-hit",
		.title = "an unknown page is asked for once, and then known",
		.rule = "vhost-user: IOTLB; S1",
		.level = LEVEL_MUST,
		.needs = { .features = FRONT_IOMMU, .device = DEVICE_IO },
		.backend = miss_then_hit,
	},
	{
		.id = "iotlb.invalidated-is-asked-again",
		.title = "a page that was invalidated is asked for again",
		.rule = "vhost-user: IOTLB; I1",
		.level = LEVEL_MUST,
		.needs = { .features = FRONT_IOMMU, .device = DEVICE_IO },
		.backend = invalidated_is_asked_again,
	},
};

const struct conform_area area_iotlb = AREA("iotlb", "misses, hits and invalidations", cases);
