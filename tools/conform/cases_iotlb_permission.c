/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: what a translation permits, and a better one later. */
#include "suite_backend.h"
#include "work.h"

#define STORM_MS  500
#define STORM_MAX 12u

static void read_only_is_not_written(struct front *f)
{
	struct span data = work_start_unmapped(f);

	work_map(f, &data, PERM_R);
	work_expect_reads(f, &data, 1);
	front_fill(f, &data, 0x5a);
	work_in(f, &data, 1);
	work_nudge(f);
	work_linger(f, FRONT_QUIET);
	expect_bytes(f, &data, 0x5a, "memory that was granted for reading only");
}

/* Each answer has what was asked for. */
static void upgrade(struct front *f)
{
	struct span data = work_start_unmapped(f);

	work_map(f, &data, PERM_R);
	front_pattern(&data, 9);
	work_expect_reads(f, &data, 1);
	work_map(f, &data, PERM_RW);
	work_expect_writes(f, &data, 1);
	EXPECT(f, front_misses_of(f, data.addr, RAM_PAGE) <= 4,
	       "a miss to read and a miss to write: there are %u",
	       front_misses_of(f, data.addr, RAM_PAGE));
}

static void upgrade_storm(struct front *f)
{
	struct span data = work_start_unmapped(f);
	unsigned from, n;

	work_map(f, &data, PERM_R);
	work_expect_reads(f, &data, 1);
	work_map(f, &data, PERM_RW);
	from = f->n_misses;
	work_in(f, &data, 1);
	work_in_done(f, STORM_MS);
	n = front_misses_of(f, data.addr, RAM_PAGE);
	NOTE(f, "%u misses within %d ms, %u of this page", f->n_misses - from, STORM_MS, n);
	EXPECT(f, n <= STORM_MAX,
	       "no storm of misses of a page that was granted: there are %u within %d ms", n,
	       STORM_MS);
}

static void upgrade_by_way_of_invalidate(struct front *f)
{
	struct span data = work_start_unmapped(f);

	work_map(f, &data, PERM_R);
	front_pattern(&data, 10);
	work_expect_reads(f, &data, 1);
	expect_invalidate(f, data.addr, RAM_PAGE);
	work_map(f, &data, PERM_RW);
	work_expect_writes(f, &data, 1);
}

static void write_only(struct front *f)
{
	struct span data = work_start_unmapped(f);

	work_map(f, &data, PERM_W);
	work_expect_writes(f, &data, 1);
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb-answer.read-only-is-not-written",
		.title = "what was granted for reading is not written",
		.rule = "vhost-user: IOTLB message (permissions)",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = read_only_is_not_written,
	},
	{
		.id = "iotlb-answer.upgrade",
		.title = "what was granted for reading, and is needed for writing, is written once "
			 "that is granted",
		.rule = "vhost-user: IOMMU support (miss events)",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = upgrade,
		.explain = "The page is read, and granted for that; then it is to be "
			   "written, is asked for, and granted for that, with no "
			   "INVALIDATE between, as nothing is taken away. A back-end "
			   "that takes an update of a known page for a repetition never "
			   "sees the new permission.",
	},
	{
		.id = "iotlb-answer.upgrade-ends",
		.title = "and asked for a few times at most",
		.rule = "U2, S4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = upgrade_storm,
	},
	{
		.id = "iotlb-answer.upgrade-with-invalidate",
		.title = "the same with an INVALIDATE between",
		.rule = "vhost-user: IOMMU support (miss events)",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = upgrade_by_way_of_invalidate,
	},
	{
		.id = "iotlb-answer.write-only",
		.title = "what is written needs no permission to read",
		.rule = "virtio 1.2, 2.7.5.1; S4",
		.level = LEVEL_SHOULD,
		.needs = WORK_NEEDS,
		.backend = write_only,
		.explain = "Drivers map what they receive for writing only, and IOMMUs "
			   "know the difference.",
	},
};

const struct conform_area more_iotlb_answer = MORE(cases);
