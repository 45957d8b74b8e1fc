/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory/memtable.h"

#define PAGE     UINT64_C(4096)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int file_new(uint64_t size)
{
	int fd = memfd_create("memtable", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Pages of this process's mappings with @name in their line. */
static uint64_t mapped_pages(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];
	uint64_t n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, name) && sscanf(line, "%lx-%lx", &start, &end) == 2)
			n += (end - start) / PAGE;
	fclose(maps);
	return n;
}

/* The table must be made; one reference. */
static struct memtable *table_of(const struct memtable *old, const struct vhu_memory_region *r,
                                 unsigned n, const int *fds)
{
	struct memory_fault why = { "" };
	struct memtable *table;

	if (memtable_replace(old, r, n, fds, false, &table, &why))
		fail_msg("%s", why.text);
	assert_int_equal(memtable_count(table), n);
	return table;
}

static const struct {
	struct vhu_memory_region r[2]; /* gpa, size, uva, offset */
	unsigned n;
	bool gpa_addresses;
	int err;
	const char *why;
	uint64_t pages;
} tables[] = {
	{ { { 0, 0, 0, 0 } }, 1, false, -EINVAL, "is empty" },
	{ { { UINT64_MAX - 0xffe, 0x1000, 0, 0 } }, 1, false, -EINVAL, "wraps in gpa" },
	{ { { 0, 0x1000, UINT64_MAX - 0xffe, 0 } }, 1, false, -EINVAL, "wraps in uva" },
	{ { { 0, 0x1000, 0, UINT64_MAX - 0xffe } }, 1, false, -EINVAL, "wraps in the file" },
	{ { { 0, UINT64_MAX, 0, 1 } }, 1, false, -EINVAL, "wraps in the file" },
	{ { { 0, 0x1000, 0, 0 }, { 0xfff, 0x1000, 0x10000, 0 } },
	  2,
	  false,
	  -EINVAL,
	  "region 1: gpa 0xfff size 0x1000: overlaps region 0 (0x0) in gpa" },
	{ { { 0x8000, 0x1000, 0, 0 }, { 0, 0x10000, 0x10000, 0 } },
	  2,
	  false,
	  -EINVAL,
	  "overlaps region 0 (0x8000) in gpa" },
	{ { { 0, 0x1000, 0x5000, 0 }, { 0x10000, 0x1000, 0x4001, 0 } },
	  2,
	  false,
	  -EINVAL,
	  "in uva" },
	{ { { 0, 0x1000, 0x5000, 0 }, { 0, 0x1000, 0x5000, 0 } }, 2, false, -EINVAL, "overlaps" },
	{ { { 0, 0x10000, 0, 0x10001 } }, 1, false, -EINVAL, "ends before" },
	{ { { 0, 0x1000, 0, 0x1f000 } }, 1, false, 0, NULL, 1 },
	{ { { 0, 0x1000, 0, 0x1f001 } }, 1, false, -EINVAL, "ends before" },
	{ { { 0x1000, 0x1000, 0x1000, 0 } }, 1, true, 0, NULL, 1 },
	{ { { 0x1000, 0x1000, 0x2000, 0 } }, 1, true, -EINVAL, "is not gpa" },
	/* ends of the space, and touching */
	{ { { UINT64_MAX - 0xfff, 0x1000, UINT64_MAX - 0xfff, 0 } }, 1, false, 0, NULL, 1 },
	{ { { 0, 0x1000, 0x1000, 0 }, { 0x1000, 0x1000, 0, 0x1000 } }, 2, false, 0, NULL, 2 },
	{ { { 0, 0 } }, 0, false, 0, NULL },
};

static void replace_refuses_what_makes_no_sense(void **state)
{
	int fd = file_new(0x20000);
	int fds[2] = { fd, fd };
	struct memtable *empty = memtable_empty();

	for (size_t i = 0; i < COUNT(tables); i++) {
		struct memory_fault why = { "" };
		struct memtable *ret = NULL;

		assert_int_equal(memtable_replace(empty, tables[i].r, tables[i].n, fds,
		                                  tables[i].gpa_addresses, &ret, &why),
		                 tables[i].err);
		assert_int_equal(ret == NULL, tables[i].err != 0);
		if (tables[i].why && !strstr(why.text, tables[i].why))
			fail_msg("\"%s\" does not say \"%s\"", why.text, tables[i].why);
		assert_int_equal(mapped_pages("memfd:memtable"), tables[i].pages);
		memtable_put(ret);
		/* Nobody has to be interested in the reason. */
		ret = NULL;
		assert_int_equal(memtable_replace(empty, tables[i].r, tables[i].n, fds,
		                                  tables[i].gpa_addresses, &ret, NULL),
		                 tables[i].err);
		memtable_put(ret);
	}
	memtable_put(empty);
	close(fd);
}

static void replace_refuses_files_that_will_not_do(void **state)
{
	const struct vhu_memory_region r = { 0x1000, 0x1000, 0x1000, 0 };
	struct memtable *empty = memtable_empty(), *ret = NULL;
	int good = file_new(0x1000), pipes[2], read_only;
	struct memory_fault why;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", good);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read_only >= 0);
	assert_int_equal(pipe(pipes), 0);

	const struct {
		int fd, err;
		const char *why;
	} table[] = {
		{ -1, -EINVAL, "no fd" },
		{ 1000000, -EBADF, "fstat" },
		{ read_only, -EACCES, "reading and writing" },
		{ pipes[0], -EACCES, "reading and writing" },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		assert_int_equal(memtable_replace(empty, &r, 1, &table[i].fd, false, &ret, &why),
		                 table[i].err);
		assert_null(ret);
		assert_non_null(strstr(why.text, "region 0: gpa 0x1000 size 0x1000: "));
		assert_non_null(strstr(why.text, table[i].why));
	}
	memtable_put(empty);
	close(good);
	close(read_only);
	close(pipes[0]);
	close(pipes[1]);
}

/* A device has no size of its own to be compared with. */
static void a_device_is_not_judged_by_its_size(void **state)
{
	const struct vhu_memory_region r = { 0x1000, 0x1000, 0x1000, 0 };
	struct memtable *empty = memtable_empty();
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	struct memtable *table;

	assert_true(fd >= 0);
	table = table_of(empty, &r, 1, &fd);
	memtable_region(table, 0).ptr[0] = 1;
	memtable_put(table);
	memtable_put(empty);
	close(fd);
}

static void a_table_has_a_limited_number_of_regions(void **state)
{
	static struct vhu_memory_region r[MEMTABLE_REGIONS_MAX + 1];
	static int fds[MEMTABLE_REGIONS_MAX + 1];
	struct memtable *empty = memtable_empty(), *table, *more = NULL;
	int fd = file_new(0x1000);
	struct memory_fault why;
	char *ptr;
	uint64_t len;

	/* Backwards in uva. */
	for (unsigned i = 0; i <= MEMTABLE_REGIONS_MAX; i++) {
		r[i] = (struct vhu_memory_region){ i * 0x2000, 0x1000, (1000 - i) * 0x1000, 0 };
		fds[i] = fd;
	}
	assert_int_equal(
		memtable_replace(empty, r, MEMTABLE_REGIONS_MAX + 1, fds, false, &more, &why),
		-E2BIG);
	table = table_of(empty, r, MEMTABLE_REGIONS_MAX, fds);
	assert_int_equal(memtable_add(table, &r[MEMTABLE_REGIONS_MAX], fd, false, &more, &why),
	                 -E2BIG);
	for (unsigned i = 0; i < MEMTABLE_REGIONS_MAX; i++) {
		assert_true(memtable_gpa(table, r[i].gpa + 5, &ptr, &len));
		assert_ptr_equal(ptr, memtable_region(table, i).ptr + 5);
		assert_int_equal(len, 0x1000 - 5);
		assert_true(memtable_uva(table, r[i].uva + 0xfff, &ptr, &len));
		assert_ptr_equal(ptr, memtable_region(table, i).ptr + 0xfff);
		assert_int_equal(len, 1);
		assert_false(memtable_gpa(table, r[i].gpa + 0x1000, &ptr, &len));
	}
	memtable_put(table);
	memtable_put(empty);
	close(fd);
	assert_int_equal(mapped_pages("memfd:memtable"), 0);
}

/* Two NUMA nodes: one after the other in uva, apart in gpa and in memory. */
static void lookups_find_memory_and_its_end(void **state)
{
	static const struct {
		bool by_uva;
		uint64_t addr;
		int region; /* -1: none */
		uint64_t offset, len;
	} table[] = {
		{ false, 0, 0, 0, 0x4000 },
		{ false, 0x3fff, 0, 0x3fff, 1 },
		{ false, 0x4000, -1, 0, 0x100000000 - 0x4000 },
		{ false, 0x100000000, 1, 0, 0x8000 },
		{ false, 0x100007fff, 1, 0x7fff, 1 },
		{ false, 0x100008000, -1, 0, UINT64_MAX - 0x100008000 + 1 },
		{ false, UINT64_MAX, -1, 0, 1 },
		{ true, 0, -1, 0, 0x7f0000000000 },
		{ true, 0x7f0000000000, 0, 0, 0x4000 },
		{ true, 0x7f0000003fff, 0, 0x3fff, 1 },
		{ true, 0x7f0000004000, 1, 0, 0x8000 },
		{ true, 0x7f000000c000, -1, 0, UINT64_MAX - 0x7f000000c000 + 1 },
	};
	static const struct vhu_memory_region r[] = {
		{ 0x100000000, 0x8000, 0x7f0000004000, 0x1800 },
		{ 0, 0x4000, 0x7f0000000000, 0 },
	};
	int fds[2] = { file_new(0x20000), file_new(0x4000) };
	struct memtable *empty = memtable_empty();
	struct memtable *t = table_of(empty, r, 2, fds);

	/* In order of gpa, whatever the order of the message. */
	assert_int_equal(memtable_region(t, 0).gpa, 0);
	assert_int_equal(memtable_region(t, 1).gpa, 0x100000000);
	assert_int_equal(memtable_region(t, 1).uva, 0x7f0000004000);
	assert_int_equal(memtable_region(t, 1).size, 0x8000);
	for (size_t i = 0; i < COUNT(table); i++) {
		char *ptr = NULL;
		uint64_t len = 0;
		bool found = table[i].by_uva ? memtable_uva(t, table[i].addr, &ptr, &len)
		                             : memtable_gpa(t, table[i].addr, &ptr, &len);

		assert_int_equal(found, table[i].region >= 0);
		assert_int_equal(len, table[i].len);
		if (found)
			assert_ptr_equal(ptr,
			                 memtable_region(t, table[i].region).ptr + table[i].offset);
	}
	memtable_put(t);
	memtable_put(empty);
	close(fds[0]);
	close(fds[1]);
}

static void an_empty_table_has_nothing(void **state)
{
	struct memtable *empty = memtable_empty();
	char *ptr;
	uint64_t len;

	assert_int_equal(memtable_count(empty), 0);
	assert_false(memtable_gpa(empty, 0, &ptr, &len));
	assert_int_equal(len, UINT64_MAX);
	assert_false(memtable_uva(empty, UINT64_MAX, &ptr, &len));
	assert_int_equal(len, 1);
	assert_ptr_equal(memtable_get(empty), empty);
	memtable_put(empty);
	memtable_put(empty);
	memtable_put(NULL);
}

/* Any offset, also one that is no multiple of a page; the fd may be closed. */
static void memory_is_the_file_at_the_offset(void **state)
{
	static const uint64_t offsets[] = { 0, 1, 0xfff, 0x1000, 0x1800, 0x3001 };

	for (size_t i = 0; i < COUNT(offsets); i++) {
		const struct vhu_memory_region r = { 0x1000, 0x2345, 0x9000, offsets[i] };
		struct memtable *empty = memtable_empty();
		int fd = file_new(0x8000), copy = dup(fd);
		struct memtable *table = table_of(empty, &r, 1, &fd);
		char byte = 0;

		close(fd);
		memtable_region(table, 0).ptr[0] = 'a';
		memtable_region(table, 0).ptr[0x2344] = 'z';
		assert_int_equal(pread(copy, &byte, 1, (off_t)offsets[i]), 1);
		assert_int_equal(byte, 'a');
		assert_int_equal(pread(copy, &byte, 1, (off_t)offsets[i] + 0x2344), 1);
		assert_int_equal(byte, 'z');
		memtable_put(table);
		memtable_put(empty);
		close(copy);
		assert_int_equal(mapped_pages("memfd:memtable"), 0);
	}
}

static void memory_is_not_populated(void **state)
{
	const struct vhu_memory_region r = { 0, UINT64_C(1) << 30, 0, 0 };
	struct memtable *empty = memtable_empty();
	int fd = file_new(UINT64_C(1) << 30);
	struct memtable *table = table_of(empty, &r, 1, &fd);
	struct stat st;

	memtable_region(table, 0).ptr[0x1234567] = 1;
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks <= 4096); /* of 512 bytes: one huge page at the most */
	memtable_put(table);
	memtable_put(empty);
	close(fd);
}

static void huge_pages_are_mapped_whole(void **state)
{
	const struct vhu_memory_region r = { 0x1000, 0x3000, 0x9000, 0x5000 };
	struct memtable *empty = memtable_empty(), *table;
	int fd = memfd_create("hugetable", MFD_CLOEXEC | MFD_HUGETLB);
	struct memory_fault why = { "" };
	int err;

	if (fd < 0 || ftruncate(fd, 2 << 20)) {
		print_message("skip: no hugetlbfs here (%m)\n");
		skip();
	}
	err = memtable_replace(empty, &r, 1, &fd, false, &table, &why);
	if (err == -ENOMEM) {
		print_message("skip: no huge pages here\n");
		skip();
	}
	assert_int_equal(err, 0);
	assert_int_equal(mapped_pages("hugetable"), 512);
	assert_int_equal((uintptr_t)memtable_region(table, 0).ptr % (2 << 20), 0x5000);
	memtable_put(table);
	assert_int_equal(mapped_pages("hugetable"), 0);
	memtable_put(empty);
	close(fd);
}

/* What keeps the mapping: equal numbers and the same file, by whatever fd. */
static void F1_unchanged_regions_keep_their_mapping(void **state)
{
	static const struct vhu_memory_region before = { 0x1000, 0x2000, 0x9000, 0x1000 };
	static const struct {
		struct vhu_memory_region r;
		bool other_file;
		bool kept;
	} table[] = {
		{ { 0x1000, 0x2000, 0x9000, 0x1000 }, false, true },
		{ { 0x1000, 0x2000, 0x9000, 0x1000 }, true, false },
		{ { 0x2000, 0x2000, 0x9000, 0x1000 }, false, false },
		{ { 0x1000, 0x1000, 0x9000, 0x1000 }, false, false },
		{ { 0x1000, 0x2000, 0xa000, 0x1000 }, false, false },
		{ { 0x1000, 0x2000, 0x9000, 0x2000 }, false, false },
	};
	int fd = file_new(0x8000), same = dup(fd), other = file_new(0x8000);
	struct memtable *empty = memtable_empty();

	for (size_t i = 0; i < COUNT(table); i++) {
		struct vhu_memory_region after[2] = { { 0x100000, 0x1000, 0x100000, 0 },
			                              table[i].r };
		int fds[2] = { other, table[i].other_file ? other : same };
		struct memtable *old = table_of(empty, &before, 1, &fd);
		struct memtable *new = table_of(old, after, 2, fds);
		char *ptr = memtable_region(old, 0).ptr;

		assert_int_equal(memtable_shares(new, old, 0), table[i].kept);
		assert_int_equal(memtable_region(new, 0).ptr == ptr, table[i].kept);
		assert_int_equal(mapped_pages("memfd:memtable"),
		                 3 + (table[i].kept ? 0 : table[i].r.size / PAGE));
		/* The new table does not need the old one. */
		memtable_put(old);
		memtable_region(new, 0).ptr[0] = 1;
		memtable_put(new);
		assert_int_equal(mapped_pages("memfd:memtable"), 0);
	}
	memtable_put(empty);
	close(fd);
	close(same);
	close(other);
}

/* A front-end that has made its file smaller is refused even if nothing else changed. */
static void F1_an_unchanged_region_is_checked_again(void **state)
{
	static const struct vhu_memory_region r = { 0x1000, 0x2000, 0x9000, 0 };
	struct memtable *empty = memtable_empty(), *table, *again;
	int fd = file_new(0x2000);
	struct memory_fault why;

	table = table_of(empty, &r, 1, &fd);
	assert_int_equal(ftruncate(fd, 0x1000), 0);
	assert_int_equal(memtable_replace(table, &r, 1, &fd, false, &again, &why), -EINVAL);
	memtable_put(table);
	memtable_put(empty);
	close(fd);
}

static void slots_are_added_and_removed(void **state)
{
	static const struct vhu_memory_region a = { 0x1000, 0x1000, 0x9000, 0 };
	static const struct vhu_memory_region b = { 0x4000, 0x1000, 0x4000, 0x1000 };
	static const struct vhu_memory_region b_moved = { 0x4000, 0x1000, 0x4000, 0 };
	static const struct vhu_memory_region not_b[] = {
		{ 0x4000, 0x1000, 0x5000, 0x1000 },
		{ 0x4000, 0x2000, 0x4000, 0x1000 },
		{ 0x4800, 0x1000, 0x4000, 0x1000 },
		{ 0, 0x1000, 0, 0 },
	};
	struct memtable *empty = memtable_empty(), *one, *two, *less = NULL;
	struct memory_fault why;
	int fd = file_new(0x2000);

	assert_int_equal(memtable_add(empty, &a, fd, false, &one, &why), 0);
	assert_int_equal(memtable_add(one, &b, fd, false, &two, &why), 0);
	assert_int_equal(memtable_count(two), 2);
	assert_true(memtable_shares(two, one, 0));
	/* Adjacent in the file, and yet mappings of their own. */
	assert_int_equal(mapped_pages("memfd:memtable"), 2);

	assert_int_equal(memtable_add(two, &b, fd, false, &less, &why), -EINVAL);
	assert_non_null(strstr(why.text, "region 2: gpa 0x4000 size 0x1000: overlaps region 1"));
	for (size_t i = 0; i < COUNT(not_b); i++)
		assert_int_equal(memtable_remove(two, &not_b[i], &less, &why), -ENOENT);
	assert_null(less);
	/* The offset is not looked at. */
	assert_int_equal(memtable_remove(two, &b_moved, &less, &why), 0);
	assert_int_equal(memtable_count(less), 1);
	assert_true(memtable_shares(less, two, 0));
	assert_false(memtable_shares(less, two, 1));
	memtable_put(two);
	assert_int_equal(mapped_pages("memfd:memtable"), 1);
	memtable_put(one);
	memtable_put(less);
	memtable_put(empty);
	assert_int_equal(mapped_pages("memfd:memtable"), 0);
	close(fd);
}

static void views_walk_the_table(void **state)
{
	static const struct vhu_memory_region r[] = {
		{ 0x1000, 0x1800, 0x9000, 0 },
		{ 0x4000, 0x1000, 0xa800, 0x2000 },
	};
	struct memtable *empty = memtable_empty();
	int fd = file_new(0x8000);
	struct memtable *table = table_of(empty, r, 2, (int[]){ fd, fd });
	struct hole hole[2];
	struct hole_list holes = { hole, 0, 2, false };
	struct iov_list iov = { 0 };
	struct translate_view view;

	assert_int_equal(translate_view_init(&view, 16), 0);
	translate_view_attach(&view, memtable_walk_gpa, table, false);
	assert_int_equal(translate(&view, 0x1000, 0x1800, 3, &iov, &holes), 0);
	assert_ptr_equal(iov.iov[0].iov_base, memtable_region(table, 0).ptr);
	assert_int_equal(translate(&view, 0x2000, 0x2001, 3, &iov, &holes), -EFAULT);
	assert_int_equal(holes.n, 1);
	assert_int_equal(hole[0].addr, 0x2800);
	assert_int_equal(hole[0].len, 0x1800);

	/* By uva the two follow each other, as two pieces or, by chance, as one. */
	translate_view_attach(&view, memtable_walk_uva, table, false);
	iov.n = 0;
	assert_int_equal(translate(&view, 0x9000, 0x2800, 3, &iov, &holes), 0);
	assert_ptr_equal(iov.iov[0].iov_base, memtable_region(table, 0).ptr);
	if (iov.n == 2)
		assert_ptr_equal(iov.iov[1].iov_base, memtable_region(table, 1).ptr);
	assert_int_equal(translate(&view, 0xb800, 1, 3, &iov, &holes), -EFAULT);

	iov_list_done(&iov);
	translate_view_done(&view);
	memtable_put(table);
	memtable_put(empty);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replace_refuses_what_makes_no_sense),
		cmocka_unit_test(replace_refuses_files_that_will_not_do),
		cmocka_unit_test(a_device_is_not_judged_by_its_size),
		cmocka_unit_test(a_table_has_a_limited_number_of_regions),
		cmocka_unit_test(lookups_find_memory_and_its_end),
		cmocka_unit_test(an_empty_table_has_nothing),
		cmocka_unit_test(memory_is_the_file_at_the_offset),
		cmocka_unit_test(memory_is_not_populated),
		cmocka_unit_test(huge_pages_are_mapped_whole),
		cmocka_unit_test(F1_unchanged_regions_keep_their_mapping),
		cmocka_unit_test(F1_an_unchanged_region_is_checked_again),
		cmocka_unit_test(slots_are_added_and_removed),
		cmocka_unit_test(views_walk_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
