/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: UPDATEs: unasked, repeated, of what is known, and such that are to be refused. */
#include "suite_backend.h"
#include "work.h"

#define TAINT 0xa5

static void unasked(struct front *f)
{
	struct span data = work_start_page(f);
	unsigned from;

	front_push(f, &data);
	from = f->n_misses;
	front_pattern(&data, 1);
	work_expect_reads(f, &data, 1);
	EXPECT_EQUAL(f, work_pages_missed(f, &data, from), 0,
	             "misses of a page that was told before");
}

/* QEMU tells of used rings before it starts any, and fails the device if that is refused. */
static void before_rings_start(struct front *f)
{
	struct span data;

	work_open(f);
	data = front_alloc(f, WORK_BYTES);
	front_push(f, &data);
	work_start_rings(f, NULL);
	front_pattern(&data, 2);
	work_expect_reads(f, &data, 1);
}

static void repeated(struct front *f)
{
	struct span data = work_start_page(f);

	for (unsigned i = 0; i < 5; i++) {
		front_push(f, &data);
		front_pattern(&data, i);
		work_expect_reads(f, &data, 1);
		work_expect_writes(f, &data, 1);
	}
}

static struct span written_page(struct front *f)
{
	struct span data = work_start_page(f);

	work_expect_writes(f, &data, 1);
	return data;
}

/* The new place is used, and the old one is left as it is. */
static void expect_moved(struct front *f, const struct span *data, const struct span *moved,
                         const char *what)
{
	work_expect_reads(f, moved, 1);
	work_expect_writes(f, moved, 1);
	expect_bytes(f, data, TAINT, what);
}

/* The same addresses with no INVALIDATE between; the newest is what counts. */
static void newest_wins(struct front *f)
{
	struct span data = written_page(f), moved;

	front_pattern(&data, 3);
	moved = work_move(f, &data);
	front_push(f, &moved);
	front_fill(f, &data, TAINT);
	expect_moved(f, &data, &moved, "memory that another UPDATE took the place of");
}

static void newest_wins_in_the_middle(struct front *f)
{
	struct span data, part, moved, last;

	work_start(f);
	data = front_span(f, &(struct span_setup){ .len = 4 * RAM_PAGE, .unmapped = true });
	expect_update(f, data.addr, data.len, front_uva(f, &data, 0), PERM_RW);
	part = (struct span){ data.addr + RAM_PAGE, data.ptr + RAM_PAGE, WORK_BYTES };
	last = (struct span){ data.addr + 2 * RAM_PAGE, data.ptr + 2 * RAM_PAGE, WORK_BYTES };
	front_pattern(&part, 4);
	front_pattern(&last, 5);
	work_expect_reads(f, &part, 1);
	moved = work_move(f, &part);
	front_push(f, &moved);
	front_fill(f, &part, TAINT);
	work_expect_reads(f, &moved, 1);
	work_expect_reads(f, &last, 1);
}

static void no_permission_removes(struct front *f)
{
	struct span data = written_page(f), moved;

	expect_update(f, data.addr, RAM_PAGE, front_uva(f, &data, 0), 0);
	front_pattern(&data, 6);
	moved = work_move(f, &data);
	front_fill(f, &data, TAINT);
	expect_moved(f, &data, &moved, "memory for which there is no permission any more");
}

static void permission_is_taken(struct front *f)
{
	struct span data = written_page(f);
	uint64_t uva;

	uva = front_uva(f, &data, 0);
	expect_update(f, data.addr, RAM_PAGE, uva, PERM_R);
	front_unmap(f, data.addr, RAM_PAGE);
	front_map(f, data.addr, RAM_PAGE, uva, PERM_R);
	front_fill(f, &data, TAINT);
	work_in(f, &data, 1);
	work_nudge(f);
	work_linger(f, FRONT_QUIET);
	expect_bytes(f, &data, TAINT, "memory that may only be read any more");
}

/* Refused, and what was there before is there still. */
static void expect_update_refused(struct front *f, uint64_t size, uint64_t uva_offset, uint8_t perm)
{
	struct span data = written_page(f);
	uint64_t uva;
	unsigned before;

	uva = front_uva(f, &data, 0);
	EXPECT(f, front_update(f, data.addr, size, uva + uva_offset, perm),
	       "an UPDATE of size 0x%llx, user address 0x%llx, permission %u to be refused: it is "
	       "not",
	       (unsigned long long)size, (unsigned long long)(uva + uva_offset), perm);
	before = f->n_misses;
	work_expect_writes(f, &data, 1);
	EXPECT_EQUAL(f, work_pages_missed(f, &data, before), 0,
	             "misses of what was known before the UPDATE that was refused");
}

static void size_0(struct front *f)
{
	expect_update_refused(f, 0, 0, PERM_RW);
}

static void wraps(struct front *f)
{
	expect_update_refused(f, UINT64_MAX, 0, PERM_RW);
}

static void beyond_the_table(struct front *f)
{
	expect_update_refused(f, RAM_PAGE, UINT64_C(1) << 40, PERM_RW);
}

static void beyond_the_end_of_a_region(struct front *f)
{
	expect_update_refused(f, 32 << 20, 0, PERM_RW);
}

static void unknown_permissions(struct front *f)
{
	expect_update_refused(f, RAM_PAGE, 0, 0xf0 | PERM_RW);
}

/* Whatever was said to it, its use must not kill anybody, nor reach other memory. */
static void use_beyond_the_table(struct front *f)
{
	const struct ram_region *region = &f->ram.regions[0];
	struct span data = { UINT64_C(0x700000000), NULL, WORK_BYTES };

	work_start(f);
	data.ptr = region->ptr + region->size - RAM_PAGE;
	if (front_update(f, data.addr, 4 * RAM_PAGE, region->uva + region->size - RAM_PAGE,
	                 PERM_RW))
		NOTE(f, "it is refused");
	data.addr += 2 * RAM_PAGE;
	work_in(f, &data, 1);
	work_nudge(f);
	work_linger(f, FRONT_QUIET);
	expect_canaries(f);
	expect_alive(f);
}

static void size_0_is_not_there(struct front *f)
{
	struct span data = work_start_page(f);

	if (front_update(f, data.addr, 0, front_uva(f, &data, 0), PERM_RW))
		NOTE(f, "it is refused");
	front_pattern(&data, 7);
	work_expect_reads(f, &data, 1);
	work_expect_writes(f, &data, 1);
}

static void other_types(struct front *f)
{
	static const uint8_t types[] = { 0, VHU_IOTLB_MISS, VHU_IOTLB_ACCESS_FAIL, 5, 6, 255 };

	for (unsigned i = 0; i < sizeof(types); i++) {
		struct message message = msg_invalidate(0, RAM_PAGE);

		work_open(f);
		message.payload.iotlb.type = types[i];
		expect_refused(f, &message);
	}
	expect_serves_anew(f);
}

#define SECOND UINT64_C(0x300000000)

/* Two addresses for the same memory. */
static void aliases(struct front *f)
{
	struct span data = work_start_page(f), alias;

	front_map(f, SECOND, RAM_PAGE, front_uva(f, &data, 0), PERM_RW);
	alias = (struct span){ SECOND, data.ptr, WORK_BYTES };
	work_expect_writes(f, &data, 1);
	work_expect_writes(f, &alias, 1);
	expect_invalidate(f, data.addr, RAM_PAGE);
	front_unmap(f, data.addr, RAM_PAGE);
	front_pattern(&alias, 8);
	work_expect_reads(f, &alias, 1);
}

/* Several may be on their way; each is acknowledged, in order. */
static void pipelined(struct front *f)
{
	struct span data[16];

	work_start(f);
	for (unsigned i = 0; i < 16; i++) {
		struct message message;

		data[i] = front_alloc(f, WORK_BYTES);
		message = msg_update(data[i].addr, RAM_PAGE, front_uva(f, &data[i], 0), PERM_RW);
		message.header.flags |= VHU_FLAG_NEED_REPLY;
		front_send(f, &message);
	}
	for (unsigned i = 0; i < 16; i++)
		EXPECT_EQUAL(f, expect_reply_u64(f, VHU_FE_IOTLB_MSG), 0, "reply to UPDATE");
	for (unsigned i = 0; i < 16; i++)
		work_expect_reads(f, &data[i], 1);
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb-update.unasked",
		.title = "what was told before is not asked for",
		.rule = "U5",
		.level = LEVEL_SHOULD,
		.needs = WORK_NEEDS,
		.backend = unasked,
		.explain = "Front-ends are not expected to tell what nobody asked for, "
			   "and do it.",
	},
	{
		.id = "iotlb-update.before-rings-start",
		.title = "an update before any ring is started is accepted",
		.rule = "U5",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = before_rings_start,
		.explain = "QEMU tells of the used rings then, and fails the device if "
			   "it is refused.",
	},
	{
		.id = "iotlb-update.repeated",
		.title = "repetitions are harmless",
		.rule = "vhost-user: IOMMU support (update events); U2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = repeated,
	},
	{
		.id = "iotlb-update.newest-wins",
		.title = "an update of known addresses takes the place of what was known",
		.rule = "U2",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = newest_wins,
		.explain = "A back-end that takes the second for a repetition of the "
			   "first goes on using the old memory.",
	},
	{
		.id = "iotlb-update.newest-wins-in-the-middle",
		.title = "and only where it says so",
		.rule = "U2",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = newest_wins_in_the_middle,
	},
	{
		.id = "iotlb-update.no-permission-removes",
		.title = "permission 0 takes a translation away",
		.rule = "U4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = no_permission_removes,
	},
	{
		.id = "iotlb-update.permission-is-taken",
		.title = "an update with less permission takes away the rest",
		.rule = "U2, U4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = permission_is_taken,
	},
	{
		.id = "iotlb-update.size-0",
		.title = "size 0 is refused",
		.rule = "U1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = size_0,
	},
	{
		.id = "iotlb-update.size-0-is-not-there",
		.title = "a page of which size 0 was told is asked for, and used",
		.rule = "vhost-user: IOMMU support (update events); U1",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = size_0_is_not_there,
		.explain = "Whether it is refused or ignored: an entry of no bytes must "
			   "not hide those that come later.",
	},
	{
		.id = "iotlb-update.wraps",
		.title = "a range that wraps is refused",
		.rule = "U1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = wraps,
	},
	{
		.id = "iotlb-update.beyond-the-table",
		.title = "a user address in no region is refused",
		.rule = "vhost-user: IOMMU support (update events); U1",
		.level = LEVEL_SHOULD,
		.needs = WORK_NEEDS,
		.backend = beyond_the_table,
		.explain = "Addresses must be within the regions that were shared.",
	},
	{
		.id = "iotlb-update.beyond-a-region",
		.title = "a range that goes beyond its region is refused",
		.rule = "vhost-user: IOMMU support (update events); U1",
		.level = LEVEL_SHOULD,
		.needs = WORK_NEEDS,
		.backend = beyond_the_end_of_a_region,
	},
	{
		.id = "iotlb-update.use-beyond-a-region",
		.title = "what goes beyond its region is not used there",
		.rule = "vhost-user: IOMMU support (update events)",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = use_beyond_the_table,
		.explain = "Accepted or refused: the access must neither reach what lies "
			   "behind the region in its file nor kill the back-end.",
	},
	{
		.id = "iotlb-update.unknown-permissions",
		.title = "unknown permission bits are refused",
		.rule = "U4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = unknown_permissions,
	},
	{
		.id = "iotlb-update.other-types",
		.title = "types that do not belong here are refused",
		.rule = "vhost-user: IOTLB message; U4",
		.level = LEVEL_SHOULD,
		.needs = { .features = FRONT_IOMMU },
		.backend = other_types,
	},
	{
		.id = "iotlb-update.aliases",
		.title = "two addresses of the same memory are two translations",
		.rule = "vhost-user: IOMMU support (update events)",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = aliases,
	},
	{
		.id = "iotlb-update.pipelined",
		.title = "sixteen updates on their way are acknowledged in order",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = pipelined,
	},
};

const struct conform_area area_iotlb_update = AREA("iotlb-update",
                                                   "what an UPDATE may say, and does", cases);
