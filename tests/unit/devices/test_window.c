/* SPDX-License-Identifier: BSD-3-Clause */
/* What of a file is read by a copy, what is left to others, and what a fault does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "devices/window.h"

#define PAGE  4096u
#define PAGES 256u
#define SIZE  (PAGES * PAGE)

/* Stands in for libc's. */
static int64_t now = 5000000000, step;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	now += step;
	*ret = (struct timespec){ now / 1000000000, now % 1000000000 };
	return 0;
}

static unsigned char content[SIZE], buffer[SIZE];
/* cmocka has one of its own, anew for each test. */
static struct sigaction handler;

/* A file of no name in memory, where holes are told from pages. */
static int make_file(bool full)
{
	int fd = memfd_create("window", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	if (full)
		assert_int_equal(pwrite(fd, content, SIZE, 0), SIZE);
	memset(buffer, 0, SIZE);
	return fd;
}

static uint64_t bytes_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static bool read_one(struct window *window, struct window_seen *seen, uint64_t offset, size_t len)
{
	struct iovec iov = { buffer, len };

	return window_read(window, seen, offset, len, &iov, 1);
}

static int prepare(void **state)
{
	uint64_t x = 88172645463325252ull;

	for (unsigned i = 0; i < SIZE; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		content[i] = (unsigned char)(x >> 56);
	}
	return 0;
}

/* First of all tests. */
static void without_a_handler_there_is_none(void **state)
{
	int fd = make_file(true);

	assert_null(window_open(fd, SIZE));
	signal(SIGBUS, SIG_DFL);
	assert_int_equal(window_install(), 0);
	assert_int_equal(window_install(), 0);
	sigaction(SIGBUS, NULL, &handler);
	close(fd);
}

static void what_is_there_is_read(void **state)
{
	static const struct {
		uint64_t offset;
		size_t len;
	} cases[] = { { 0, 1 },          { 0, PAGE },
		      { 511, 3 * PAGE }, { 15 * PAGE, 2 * PAGE },
		      { PAGE - 1, 2 },   { SIZE - 128 * 1024, 128 * 1024 },
		      { SIZE - 1, 1 } };
	int fd = make_file(true);
	struct window *window = window_open(fd, SIZE);
	struct window_seen *seen = window_seen_new();

	assert_non_null(window);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = cases[i].len, cut = len / 3;
		struct iovec iov[] = { { buffer, cut }, { buffer + SIZE / 2, len - cut } };

		assert_true(window_read(window, seen, cases[i].offset, len, iov, 2));
		assert_memory_equal(buffer, content + cases[i].offset, cut);
		assert_memory_equal(buffer + SIZE / 2, content + cases[i].offset + cut, len - cut);
	}
	/* What was written since is what is read. */
	content[5] ^= 1;
	assert_int_equal(pwrite(fd, content, PAGE, 0), PAGE);
	assert_true(read_one(window, seen, 0, PAGE));
	assert_memory_equal(buffer, content, PAGE);
	window_seen_free(seen);
	window_close(window);
	close(fd);
}

static void what_is_beyond_or_too_long_is_left(void **state)
{
	int fd = make_file(true);
	struct window *window = window_open(fd, SIZE - PAGE);
	struct window_seen *seen = window_seen_new();

	assert_false(read_one(window, seen, SIZE - PAGE, 1));
	assert_false(read_one(window, seen, SIZE - PAGE - 1, 2));
	assert_false(read_one(window, seen, UINT64_MAX, 1));
	assert_false(read_one(window, seen, UINT64_MAX - 1, SIZE));
	assert_false(read_one(window, seen, 0, 128 * 1024 + 1));
	assert_false(read_one(window, seen, 0, 0));
	assert_true(read_one(window, seen, SIZE - PAGE - 1, 1));
	window_seen_free(seen);
	window_close(window);
	close(fd);
}

static void a_hole_stays_a_hole(void **state)
{
	int fd = make_file(false);
	struct window *window = window_open(fd, SIZE);
	struct window_seen *seen = window_seen_new();

	assert_int_equal(pwrite(fd, content, PAGE, 17 * PAGE), PAGE);
	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal(read_one(window, seen, page * PAGE, PAGE), page == 17);
	assert_false(read_one(window, seen, 16 * PAGE, 2 * PAGE));
	assert_int_equal(bytes_of(fd), PAGE);
	window_seen_free(seen);
	window_close(window);
	close(fd);
}

static void a_page_that_was_given_back_is_not_filled(void **state)
{
	int fd = make_file(true);
	struct window *window = window_open(fd, SIZE);
	struct window_seen *seen = window_seen_new();

	assert_true(read_one(window, seen, 3 * PAGE, PAGE));
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, PAGE),
	                 0);
	window_forget(window);
	assert_false(read_one(window, seen, 3 * PAGE, PAGE));
	assert_true(read_one(window, seen, 4 * PAGE, PAGE));
	assert_int_equal(bytes_of(fd), SIZE - PAGE);
	window_seen_free(seen);
	window_close(window);
	close(fd);
}

static void what_was_seen_is_believed_for_a_second_or_two(void **state)
{
	int fd = make_file(false);
	struct window *window = window_open(fd, SIZE);
	struct window_seen *seen = window_seen_new();

	assert_false(read_one(window, seen, 0, PAGE));
	assert_int_equal(pwrite(fd, content, PAGE, 0), PAGE);
	now += 2500000000;
	assert_true(read_one(window, seen, 0, PAGE));
	window_seen_free(seen);
	window_close(window);
	close(fd);
}

static void after_a_slow_copy_there_is_none_for_long(void **state)
{
	int fd = make_file(true);
	struct window *window = window_open(fd, SIZE);
	struct window_seen *seen = window_seen_new();

	step = 100000000;
	assert_true(read_one(window, seen, 0, PAGE));
	step = 0;
	for (unsigned i = 0; i < 9; i++, now += 100000000)
		assert_false(read_one(window, seen, 0, PAGE));
	now += 2000000000;
	assert_true(read_one(window, seen, 0, PAGE));
	window_seen_free(seen);
	window_close(window);
	close(fd);
}

static void a_shorter_file_ends_the_window_alone(void **state)
{
	int fd = make_file(true), other = make_file(true);
	struct window *window = window_open(fd, SIZE), *fine = window_open(other, SIZE);
	struct window_seen *seen = window_seen_new(), *fine_seen = window_seen_new();

	sigaction(SIGBUS, &handler, NULL);
	assert_true(read_one(window, seen, 64 * PAGE, 4 * PAGE));
	assert_true(read_one(fine, fine_seen, 64 * PAGE, PAGE));
	assert_int_equal(ftruncate(fd, 66 * PAGE), 0);
	assert_false(read_one(window, seen, 64 * PAGE, 4 * PAGE));
	assert_false(read_one(window, seen, 0, PAGE));
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_false(read_one(window, seen, 64 * PAGE, PAGE));
	assert_true(read_one(fine, fine_seen, 64 * PAGE, PAGE));
	assert_memory_equal(buffer, content + 64 * PAGE, PAGE);
	window_seen_free(seen);
	window_seen_free(fine_seen);
	window_close(window);
	window_close(fine);
	close(fd);
	close(other);
}

static void a_fault_elsewhere_is_none_of_ours(void **state)
{
	int fd = make_file(true), status;
	volatile char *elsewhere = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	struct window *window = window_open(fd, SIZE);
	pid_t pid;

	assert_int_equal(ftruncate(fd, 0), 0);
	pid = fork();
	if (!pid) {
		sigaction(SIGBUS, &handler, NULL);
		(void)elsewhere[0];
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* A sanitizer's own handler ends it in another way. */
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
	munmap((void *)(uintptr_t)elsewhere, SIZE);
	window_close(window);
	close(fd);
}

static void who_is_not_told_what_is_there_has_none(void **state)
{
	char path[] = "/tmp/vhu-window-XXXXXX";
	int fd = mkstemp(path), reader = open(path, O_RDONLY | O_CLOEXEC);
	struct window *window;

	assert_int_equal(ftruncate(fd, SIZE), 0);
	/* The owner is told whatever he has opened it for. */
	window = window_open(reader, SIZE);
	assert_non_null(window);
	window_close(window);
	if (fchown(fd, geteuid() + 1, (gid_t)-1) == 0)
		assert_null(window_open(reader, SIZE));
	window = window_open(fd, SIZE);
	assert_non_null(window);
	window_close(window);
	assert_null(window_open(fd, UINT64_C(1) << 40));
	assert_null(window_open(fd, 0));
	close(reader);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_handler_there_is_none),
		cmocka_unit_test(what_is_there_is_read),
		cmocka_unit_test(what_is_beyond_or_too_long_is_left),
		cmocka_unit_test(a_hole_stays_a_hole),
		cmocka_unit_test(a_page_that_was_given_back_is_not_filled),
		cmocka_unit_test(what_was_seen_is_believed_for_a_second_or_two),
		cmocka_unit_test(after_a_slow_copy_there_is_none_for_long),
		cmocka_unit_test(a_shorter_file_ends_the_window_alone),
		cmocka_unit_test(a_fault_elsewhere_is_none_of_ours),
		cmocka_unit_test(who_is_not_told_what_is_there_has_none),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
