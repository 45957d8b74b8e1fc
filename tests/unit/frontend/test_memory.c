/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory made to be shared, and how it is shared. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "support/fake.h"

#define PAGE UINT64_C(4096)

static void regions_lie_side_by_side(void **state)
{
	const uint64_t sizes[] = { PAGE, 3 * PAGE, PAGE };
	const struct vhu_region *regions;
	struct vhu_guestmem *mem;
	unsigned n;

	assert_int_equal(vhu_guestmem_new(sizes, 3, &mem), 0);
	regions = vhu_guestmem_regions(mem, &n);
	assert_int_equal(n, 3);
	for (unsigned i = 1; i < n; i++) {
		assert_int_equal(regions[i].gpa, regions[i - 1].gpa + regions[i - 1].size);
		assert_int_equal(regions[i].uva, regions[i - 1].uva + regions[i - 1].size);
	}
	assert_int_equal((uintptr_t)vhu_guestmem_ptr(mem, PAGE - 1, 2), regions[0].uva + PAGE - 1);
	memset(vhu_guestmem_ptr(mem, 0, 5 * PAGE), 1, 5 * PAGE);
	assert_null(vhu_guestmem_ptr(mem, 0, 5 * PAGE + 1));
	assert_null(vhu_guestmem_ptr(mem, 5 * PAGE, 1));
	assert_null(vhu_guestmem_ptr(mem, UINT64_MAX, 2));
	vhu_guestmem_free(mem);
}

static void sizes_that_make_no_memory_are_refused(void **state)
{
	static const struct {
		uint64_t sizes[2];
		unsigned n;
	} cases[] = {
		{ { 0 }, 1 },
		{ { 100 }, 1 },
		{ { PAGE }, 0 },
		{ { PAGE, 0 }, 2 },
		{ { PAGE, ~(PAGE - 1) }, 2 },
	};
	struct vhu_guestmem *mem;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(vhu_guestmem_new(cases[i].sizes, cases[i].n, &mem), -EINVAL);
}

struct fixture {
	struct vhu_guestmem *mem;
	const struct vhu_region *regions;
	struct fake *fake;
};

static ino_t inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

/* The fds of a table, looked at before the fake closes them. */
static ino_t table_inodes[MESSAGE_FDS_MAX];

static int look_at_fds(struct fake *fake, const struct message *request)
{
	for (unsigned i = 0; i < MESSAGE_FDS_MAX; i++)
		table_inodes[i] = i < request->n_fds ? inode(request->fds[i]) : 0;
	MUST(!peer_reply_u64(fake->main, request, 0));
	return 0;
}

static void set_up(struct fixture *f, bool slots, uint32_t request, fake_script *script)
{
	const uint64_t sizes[] = { PAGE, 2 * PAGE, 3 * PAGE };
	struct fake_config config = fake_full;
	unsigned n;

	if (!slots)
		config.protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	config.slots = 3;
	config.request = request;
	config.script = script;
	assert_int_equal(vhu_guestmem_new(sizes, 3, &f->mem), 0);
	f->regions = vhu_guestmem_regions(f->mem, &n);
	f->fake = fake_ready(&config, 0);
}

static void tear_down(struct fixture *f)
{
	fake_free(f->fake);
	vhu_guestmem_free(f->mem);
}

static void assert_sent(const struct vhu_memory_region *sent, const struct vhu_region *region)
{
	assert_int_equal(sent->gpa, region->gpa);
	assert_int_equal(sent->size, region->size);
	assert_int_equal(sent->uva, region->uva);
	assert_int_equal(sent->mmap_offset, region->offset);
}

static void without_slots_the_whole_table_is_sent(void **state)
{
	const struct vhu_memory *table;
	struct fixture f;

	set_up(&f, false, VHU_FE_SET_MEM_TABLE, look_at_fds);
	table = &f.fake->last[VHU_FE_SET_MEM_TABLE].payload.memory;
	assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, f.regions, 2), 0);
	assert_int_equal(f.fake->last[VHU_FE_SET_MEM_TABLE].header.size, 8 + 2 * 32);
	assert_int_equal(table->n, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_sent(&table->regions[i], &f.regions[i]);
		assert_int_equal(table_inodes[i], inode(f.regions[i].fd));
	}
	assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, &f.regions[2], 1), 0);
	assert_int_equal(table->n, 3);
	assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, &f.regions[1]), 0);
	assert_int_equal(table->n, 2);
	assert_sent(&table->regions[1], &f.regions[2]);
	assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, &f.regions[1]), -ENOENT);
	assert_int_equal(f.fake->kinds[VHU_FE_ADD_MEM_REG], 0);
	tear_down(&f);
}

static void with_slots_regions_come_and_go_one_by_one(void **state)
{
	const struct vhu_memory_single *removed;
	struct fixture f;

	set_up(&f, true, VHU_FE_ADD_MEM_REG, look_at_fds);
	removed = &f.fake->last[VHU_FE_REM_MEM_REG].payload.single;
	assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, f.regions, 3), 0);
	assert_int_equal(f.fake->kinds[VHU_FE_ADD_MEM_REG], 3);
	assert_int_equal(table_inodes[0], inode(f.regions[0].fd));
	assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, f.regions, 1), -E2BIG);
	assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, &f.regions[0]), 0);
	assert_sent(&removed->region, &f.regions[0]);
	assert_int_equal(f.fake->last[VHU_FE_REM_MEM_REG].n_fds, 0);
	assert_int_equal(f.fake->kinds[VHU_FE_SET_MEM_TABLE], 0);
	assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, f.regions, 1), 0);
	tear_down(&f);
}

static int refuse(struct fake *fake, const struct message *request)
{
	MUST(!peer_reply_u64(fake->main, request, 1));
	return 0;
}

static void a_refused_region_is_not_shared(void **state)
{
	static const uint32_t requests[] = { VHU_FE_SET_MEM_TABLE, VHU_FE_ADD_MEM_REG };

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		struct fixture f;

		set_up(&f, i == 1, requests[i], refuse);
		assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, f.regions, 1),
		                 -EREMOTEIO);
		assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, f.regions), -ENOENT);
		assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, f.regions, 1), 0);
		tear_down(&f);
	}
}

static const struct {
	const char *name;
	struct vhu_region region; /* its fd is added */
	int result;
} additions[] = {
	{ "empty", { .gpa = 16 * PAGE, .uva = 16 * PAGE }, -EINVAL },
	{ "gpa wraps", { .gpa = -PAGE, .size = PAGE + 1, .uva = PAGE }, -EINVAL },
	{ "uva wraps", { .gpa = 16 * PAGE, .size = PAGE + 1, .uva = -PAGE }, -EINVAL },
	{ "offset wraps", { .gpa = 16 * PAGE, .size = PAGE, .offset = -PAGE }, -EINVAL },
	{ "beyond a file", { .gpa = 16 * PAGE, .size = PAGE, .offset = INT64_MAX }, -EINVAL },
	{ "the same", { .gpa = 0, .size = PAGE, .uva = PAGE }, -EEXIST },
	{ "inside", { .gpa = PAGE + 1, .size = 1, .uva = PAGE }, -EEXIST },
	{ "around", { .gpa = 0, .size = 64 * PAGE, .uva = PAGE }, -EEXIST },
	{ "its last byte", { .gpa = 3 * PAGE - 1, .size = PAGE, .uva = PAGE }, -EEXIST },
	{ "to the end", { .gpa = -PAGE, .size = PAGE, .uva = -PAGE }, 0 },
	{ "unaligned", { .gpa = 9 * PAGE + 1, .size = 77, .uva = 5, .offset = 3 }, 0 },
	{ "between", { .gpa = 3 * PAGE, .size = PAGE, .uva = PAGE }, 0 },
};

/* Two regions are there: pages 0, and 1 and 2. */
static void regions_that_can_not_be_are_refused_here(void **state)
{
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(additions); i++) {
		const bool slots = i % 2;
		struct vhu_region region = additions[i / 2].region;
		const uint32_t request = slots ? VHU_FE_ADD_MEM_REG : VHU_FE_SET_MEM_TABLE;
		const int result = additions[i / 2].result;
		struct fixture f;
		unsigned before;

		set_up(&f, slots, 0, NULL);
		assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, f.regions, 2), 0);
		before = f.fake->kinds[request];
		region.fd = f.regions[0].fd;
		print_message("  %s\n", additions[i / 2].name);
		assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, &region, 1), result);
		assert_int_equal(f.fake->kinds[request] - before, !result);
		if (result)
			assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "memory"));
		assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, &region),
		                 result ? -ENOENT : 0);
		tear_down(&f);
	}
}

static void regions_that_overlap_each_other_are_refused_as_a_whole(void **state)
{
	for (unsigned slots = 0; slots < 2; slots++) {
		struct vhu_region regions[2];
		struct fixture f;

		set_up(&f, slots, 0, NULL);
		for (unsigned i = 0; i < 2; i++)
			regions[i] = f.regions[1];
		regions[1].gpa += PAGE;
		assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, regions, 2), -EEXIST);
		assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, regions), -ENOENT);
		regions[1].gpa += PAGE;
		assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, regions, 2), 0);
		/* A file that is none. */
		regions[0].gpa = 64 * PAGE;
		regions[0].fd = -1;
		assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, regions, 1), -EBADF);
		assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, regions), -ENOENT);
		tear_down(&f);
	}
}

/* Slots are offered first, and not any more once there are more regions than a table has. */
static void what_slots_were_needed_for_is_no_table(void **state)
{
	const uint64_t size = PAGE;
	struct fake_config config = fake_full;
	const struct vhu_region *region;
	struct vhu_region another;
	struct vhu_guestmem *mem;
	struct fake *fake;
	unsigned n;

	assert_int_equal(vhu_guestmem_new(&size, 1, &mem), 0);
	region = vhu_guestmem_regions(mem, &n);
	config.request = VHU_FE_SET_OWNER;
	config.script = refuse;
	fake = fake_new(&config);
	assert_int_equal(vhu_frontend_negotiate(fake->frontend), -EREMOTEIO);
	for (unsigned i = 0; i < 2 * VHU_MEMORY_REGIONS_MAX; i++) {
		another = *region;
		another.gpa += i * size;
		assert_int_equal(vhu_frontend_add_memory(fake->frontend, &another, 1), 0);
	}
	another.gpa += size;
	fake->config.protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	assert_int_equal(vhu_frontend_negotiate(fake->frontend), 0);
	assert_int_equal(vhu_frontend_remove_memory(fake->frontend, region), -E2BIG);
	assert_int_equal(vhu_frontend_add_memory(fake->frontend, &another, 1), -E2BIG);
	assert_int_equal(fake->kinds[VHU_FE_SET_MEM_TABLE], 0);
	fake_free(fake);
	vhu_guestmem_free(mem);
}

#define SLOTS 509u

/* As many as a back-end can ask for, and what it offers beyond is not believed. */
static void every_slot_is_used(void **state)
{
	static const uint64_t offered[] = { SLOTS, 1000000 };
	const uint64_t size = (SLOTS + 1) * PAGE;
	struct vhu_region regions[SLOTS + 1];
	struct vhu_guestmem *mem;
	unsigned n;

	assert_int_equal(vhu_guestmem_new(&size, 1, &mem), 0);
	for (unsigned i = 0; i <= SLOTS; i++) {
		regions[i] = vhu_guestmem_regions(mem, &n)[0];
		regions[i].size = PAGE;
		regions[i].gpa += i * PAGE;
		regions[i].uva += i * PAGE;
		regions[i].offset += i * PAGE;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(offered); i++) {
		struct fake_config config = fake_full;
		struct fake *fake;

		config.slots = offered[i];
		fake = fake_ready(&config, 0);
		assert_int_equal(vhu_frontend_add_memory(fake->frontend, regions, SLOTS), 0);
		assert_int_equal(fake->kinds[VHU_FE_ADD_MEM_REG], SLOTS);
		assert_int_equal(vhu_frontend_add_memory(fake->frontend, &regions[SLOTS], 1),
		                 -E2BIG);
		assert_int_equal(vhu_frontend_remove_memory(fake->frontend, &regions[7]), 0);
		assert_int_equal(vhu_frontend_add_memory(fake->frontend, &regions[SLOTS], 1), 0);
		fake_free(fake);
	}
	vhu_guestmem_free(mem);
}

/* It replies to nothing but questions, and so is asked one. */
static void removed_memory_is_out_of_use_without_acknowledgements(void **state)
{
	static const uint64_t slots[] = { 0, VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) };
	const uint64_t sizes[] = { PAGE, PAGE };
	const struct vhu_region *regions;
	struct vhu_guestmem *mem;
	unsigned n;

	assert_int_equal(vhu_guestmem_new(sizes, 2, &mem), 0);
	regions = vhu_guestmem_regions(mem, &n);
	for (unsigned i = 0; i < ARRAY_SIZE(slots); i++) {
		struct fake_config config = fake_full;
		struct fake *fake;

		config.protocol_features = slots[i];
		fake = fake_ready(&config, 0);
		assert_int_equal(vhu_frontend_add_memory(fake->frontend, regions, n), 0);
		assert_int_equal(vhu_frontend_remove_memory(fake->frontend, regions), 0);
		assert_int_equal(fake->kinds[VHU_FE_SET_MEM_TABLE], i ? 0 : 2);
		assert_int_equal(fake->kinds[VHU_FE_REM_MEM_REG], i);
		assert_int_equal(fake->kinds[VHU_FE_GET_FEATURES], 2);
		fake_free(fake);
	}
	vhu_guestmem_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_lie_side_by_side),
		cmocka_unit_test(sizes_that_make_no_memory_are_refused),
		cmocka_unit_test(without_slots_the_whole_table_is_sent),
		cmocka_unit_test(with_slots_regions_come_and_go_one_by_one),
		cmocka_unit_test(a_refused_region_is_not_shared),
		cmocka_unit_test(regions_that_can_not_be_are_refused_here),
		cmocka_unit_test(regions_that_overlap_each_other_are_refused_as_a_whole),
		cmocka_unit_test(what_slots_were_needed_for_is_no_table),
		cmocka_unit_test(removed_memory_is_out_of_use_without_acknowledgements),
		cmocka_unit_test(every_slot_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
