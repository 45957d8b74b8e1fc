/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be a disk, what is said of what can't, and iovecs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/iovec.h"
#include "devices/storage.h"
#include "fake_queue.h"

static void what_is_no_disk_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *path;
		bool read_only;
		int error;
		const char *says;
	} cases[] = {
		{ "/nonexistent/disk", false, -ENOENT, "truncate" },
		{ ".", false, -EISDIR, "regular file" },
		{ ".", true, -EINVAL, "neither" },
		{ "/dev/null", false, -EINVAL, "neither" },
		{ "test-storage-pipe", true, -EINVAL, "neither" },
	};

	unlink("test-storage-pipe");
	assert_return_code(mkfifo("test-storage-pipe", 0600), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct storage_fault why = { "" };
		struct storage storage;

		assert_int_equal(
			storage_open(&storage, cases[i].path, cases[i].read_only, false, &why),
			cases[i].error);
		assert_non_null(strstr(why.text, cases[i].says));
	}
	unlink("test-storage-pipe");
}

static void an_empty_file_is_refused(void **state)
{
	struct storage_fault why;
	struct storage storage;
	char path[64];
	int fd = fake_file(true, 0, path);

	assert_int_equal(storage_open(&storage, path, false, false, &why), -EINVAL);
	assert_non_null(strstr(why.text, "empty"));
	close(fd);
}

static void size_and_place_are_found(void **state)
{
	for (int in_memory = 0; in_memory < 2; in_memory++) {
		struct storage_fault why;
		struct storage storage;
		char path[64];
		int fd = fake_file(in_memory, 12345, path);

		assert_int_equal(storage_open(&storage, path, true, false, &why), 0);
		assert_int_equal(storage.size, 12345);
		assert_int_equal(storage.in_memory, in_memory);
		assert_true(storage.read_only);
		assert_int_equal(storage.align, 1);
		storage_close(&storage);
		assert_int_equal(storage.fd, -1);
		close(fd);
	}
}

static void a_file_that_grows_is_measured_anew(void **state)
{
	static const off_t sizes[] = { 8192, 4096, 12345 };
	struct storage_fault why;
	struct storage storage;
	char path[64];
	int fd = fake_file(false, 4096, path);
	uint64_t size;

	assert_int_equal(storage_open(&storage, path, false, false, &why), 0);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_return_code(ftruncate(fd, sizes[i]), errno);
		assert_int_equal(storage_measure(&storage, &size), 0);
		assert_int_equal(size, sizes[i]);
		assert_int_equal(storage.size, 4096);
	}
	storage_close(&storage);
	assert_int_equal(storage_open_memory(&storage, 8192, false, &why), 0);
	assert_int_equal(storage_measure(&storage, &size), 0);
	assert_int_equal(size, 8192);
	storage_close(&storage);
	close(fd);
}

/* What is said to be enough is enough, for address, length and offset. */
static void direct_alignment_is_what_the_kernel_takes(void **state)
{
	struct storage_fault why;
	struct storage storage;
	char path[64], *data = aligned_alloc(8192, 3 * 8192);
	int fd = fake_file(false, 1 << 20, path);

	if (storage_open(&storage, path, false, true, &why) == 0) {
		unsigned align = storage.align, memory = storage.memory_align;

		assert_true(align >= 1 && align <= 4096 && (align & (align - 1)) == 0);
		assert_true(memory >= 1 && memory <= 4096 && (memory & (memory - 1)) == 0);
		memset(data, 0x3c, 3 * 8192);
		for (unsigned i = 1; i < 4; i++)
			assert_int_equal(
				pwrite(storage.fd, data + i * memory, i * align, i * align),
				i * align);
		storage_close(&storage);
	} else {
		print_message("%s\n", why.text);
	}
	free(data);
	close(fd);
}

static void too_much_memory_is_refused(void **state)
{
	struct storage_fault why;
	struct storage storage;

	assert_int_equal(storage_open_memory(&storage, 1ull << 60, false, &why), -ENOMEM);
	assert_non_null(strstr(why.text, "less"));
}

static void dropping_the_front(void **state)
{
	static char a[4], b[4];
	static const struct {
		uint64_t bytes;
		unsigned n;
		size_t first;
	} cases[] = {
		{ 0, 3, 4 }, { 1, 3, 3 }, { 4, 1, 4 }, { 5, 1, 3 }, { 8, 0, 0 }, { 9, 0, 0 }
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct iovec all[] = { { NULL, 0 }, { a, 4 }, { NULL, 0 }, { b, 4 } };
		struct iovec *iov = all;
		unsigned n = 4;

		iovec_drop_front(&iov, &n, cases[i].bytes);
		assert_int_equal(n, cases[i].n);
		if (n)
			assert_int_equal(iov->iov_len, cases[i].first);
	}
}

static void dropping_the_last_byte(void **state)
{
	char a[2];
	struct iovec iov[] = { { NULL, 0 }, { a, 2 }, { NULL, 0 } };
	unsigned n = 3;

	assert_ptr_equal(iovec_drop_last(iov, &n), a + 1);
	assert_int_equal(n, 2);
	assert_ptr_equal(iovec_drop_last(iov, &n), a);
	assert_null(iovec_drop_last(iov, &n));
}

static void copies_stop_at_the_shorter_side(void **state)
{
	char a[3] = "abc", b[3] = "def", got[8] = "";
	struct iovec iov[] = { { a, 3 }, { NULL, 0 }, { b, 3 } };

	assert_int_equal(iovec_read(iov, 3, got, 4), 4);
	assert_string_equal(got, "abcd");
	assert_int_equal(iovec_read(iov, 3, got, 8), 6);
	assert_int_equal(iovec_write(iov, 3, "12345", 5), 5);
	assert_memory_equal(a, "123", 3);
	assert_memory_equal(b, "45f", 3);
	assert_int_equal(iovec_write(iov, 3, "1234567", 7), 6);
}

static void alignment_is_of_address_and_length(void **state)
{
	struct iovec iov[] = { { (void *)4096, 512 }, { (void *)1024, 1024 } };

	assert_true(iovec_is_aligned(iov, 2, 512, 512));
	assert_false(iovec_is_aligned(iov, 2, 512, 1024));
	assert_false(iovec_is_aligned(iov, 2, 2048, 512));
	assert_true(iovec_is_aligned(iov, 2, 1, 1));
	assert_true(iovec_is_aligned(NULL, 0, 512, 512));
	iov[1].iov_base = (void *)1028;
	assert_false(iovec_is_aligned(iov, 2, 512, 512));
	assert_true(iovec_is_aligned(iov, 2, 4, 512));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_disk_is_refused_with_a_reason),
		cmocka_unit_test(an_empty_file_is_refused),
		cmocka_unit_test(size_and_place_are_found),
		cmocka_unit_test(a_file_that_grows_is_measured_anew),
		cmocka_unit_test(direct_alignment_is_what_the_kernel_takes),
		cmocka_unit_test(too_much_memory_is_refused),
		cmocka_unit_test(dropping_the_front),
		cmocka_unit_test(dropping_the_last_byte),
		cmocka_unit_test(copies_stop_at_the_shorter_side),
		cmocka_unit_test(alignment_is_of_address_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
