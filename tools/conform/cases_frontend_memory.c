/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: the memory a front-end shares. */
#include <inttypes.h>

#include "observe.h"
#include "suite_frontend.h"

/* Each region that is shared, with its fd; NULL: it has none. */
static void for_each(struct back *b,
                     void (*judge)(const struct walk *w, const struct vhu_memory_region *region,
                                   const struct seen_fd *fd))
{
	const struct vhu_memory *table;
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w)) {
		table = &w.message.payload.memory;
		if (walk_at(&w, VHU_FE_ADD_MEM_REG))
			judge(&w, &w.message.payload.single.region,
			      w.seen->n_fds ? &w.seen->fds[0] : NULL);
		if (!walk_at(&w, VHU_FE_SET_MEM_TABLE))
			continue;
		for (unsigned i = 0; i < table->n && i < VHU_MEMORY_REGIONS_MAX; i++)
			judge(&w, &table->regions[i], i < w.seen->n_fds ? &w.seen->fds[i] : NULL);
	}
}

static void judge_numbers(const struct walk *w, const struct vhu_memory_region *region,
                          const struct seen_fd *fd)
{
	EXPECT_SEEN(w, region->size, "a region to have a size");
	EXPECT_SEEN(w, region->gpa + region->size - 1 >= region->gpa,
	            "a region not to wrap in guest addresses");
	EXPECT_SEEN(w, region->uva + region->size - 1 >= region->uva,
	            "a region not to wrap in user addresses");
	EXPECT_SEEN(w, region->mmap_offset + region->size >= region->size,
	            "a region not to wrap in its file");
}

static void numbers(struct back *b)
{
	for_each(b, judge_numbers);
}

static void judge_file(const struct walk *w, const struct vhu_memory_region *region,
                       const struct seen_fd *fd)
{
	EXPECT_SEEN(w, fd, "a file descriptor for each region");
	EXPECT_SEEN(w, fd->kind == SEEN_FILE, "a file that can be mapped: it is %s",
	            seen_kind_name(fd->kind));
	EXPECT_SEEN(w, fd->size >= region->mmap_offset + region->size,
	            "a file as long as the region in it: it has 0x%" PRIx64 " bytes, the region "
	            "ends at 0x%" PRIx64,
	            fd->size, region->mmap_offset + region->size);
	EXPECT_SEEN(w, fd->readable && fd->writable, "a file that is open to be read and written");
}

static void files(struct back *b)
{
	for_each(b, judge_file);
}

static bool meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

static void expect_disjoint(const struct walk *w)
{
	const struct vhu_memory_region *all = w->told.regions;

	for (unsigned i = 0; i < w->told.n_regions; i++)
		for (unsigned j = 0; j < i; j++) {
			EXPECT(w->b, !meet(all[i].gpa, all[i].size, all[j].gpa, all[j].size),
			       "regions apart in guest addresses: 0x%" PRIx64 " and 0x%" PRIx64,
			       (uint64_t)all[i].gpa, (uint64_t)all[j].gpa);
			EXPECT(w->b, !meet(all[i].uva, all[i].size, all[j].uva, all[j].size),
			       "regions apart in user addresses: 0x%" PRIx64 " and 0x%" PRIx64,
			       (uint64_t)all[i].uva, (uint64_t)all[j].uva);
		}
}

static void disjoint(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_KICK))
			expect_disjoint(&w);
}

static void before_rings(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_ENABLE) && w.message.payload.state.num)
			EXPECT_SEEN(&w, w.told.has_memory && w.told.n_regions,
			            "memory to be shared before a ring is enabled");
}

static bool is_known(const struct told *told, const struct vhu_memory_region *region)
{
	for (unsigned i = 0; i < told->n_regions; i++)
		if (told->regions[i].gpa == region->gpa && told->regions[i].uva == region->uva &&
		    told->regions[i].size == region->size)
			return true;
	return false;
}

static void slots(struct back *b)
{
	bool asked = false;
	unsigned n = 0;
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w)) {
		asked |= walk_at(&w, VHU_FE_GET_MAX_MEM_SLOTS);
		if (walk_at(&w, VHU_FE_ADD_MEM_REG)) {
			EXPECT_SEEN(&w, w.told.n_regions < 32, "no more regions than the 32 slots");
			EXPECT_SEEN(&w, !is_known(&w.told, &w.message.payload.single.region),
			            "a region to be added once");
			n++;
		}
		if (walk_at(&w, VHU_FE_REM_MEM_REG))
			EXPECT_SEEN(&w, is_known(&w.told, &w.message.payload.single.region),
			            "only regions to be removed that were added");
	}
	if (!n)
		trial_skip(b->trial, "the front-end has added no region by itself");
	EXPECT(b, asked, "GET_MAX_MEM_SLOTS to be asked by who adds regions");
}

static const struct conform_case cases[] = {
	{
		.id = "fe-memory.numbers",
		.title = "regions have a size and do not wrap",
		.rule = "vhost-user: Memory region description",
		.level = LEVEL_MUST,
		.frontend = numbers,
	},
	{
		.id = "fe-memory.files",
		.title = "each region's file can be mapped and is as long as the region",
		.rule = "vhost-user: Memory region description; SET_MEM_TABLE",
		.level = LEVEL_MUST,
		.frontend = files,
		.explain = "A back-end that touches what lies behind the end of the file dies of\n"
			   "SIGBUS.",
	},
	{
		.id = "fe-memory.disjoint",
		.title = "regions overlap neither in guest nor in user addresses",
		.rule = "vhost-user: Memory access",
		.level = LEVEL_MUST,
		.frontend = disjoint,
	},
	{
		.id = "fe-memory.before-rings",
		.title = "memory is shared before a ring is enabled",
		.rule = "vhost-user: Ring states; SET_MEM_TABLE",
		.level = LEVEL_MUST,
		.frontend = before_rings,
	},
	{
		.id = "fe-memory.slots",
		.title = "regions are added and removed as there are slots",
		.rule = "vhost-user: GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG",
		.level = LEVEL_MUST,
		.frontend = slots,
	},
};

const struct conform_area area_fe_memory = AREA("fe-memory", "the memory that is shared", cases);
