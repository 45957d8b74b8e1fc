/* SPDX-License-Identifier: BSD-3-Clause */
/* What is made at once on the worker's own thread, and what is left to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "devices/quick.h"

#define SIZE (1 << 20)

/* Stands in for libc's: each look at the clock takes so long. */
static int64_t now, step;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	now += step;
	*ret = (struct timespec){ now / 1000000000, now % 1000000000 };
	return 0;
}

static char buffer[SIZE];

static int open_file(struct storage *storage)
{
	char path[] = "/tmp/vhu-quick-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	*storage = (struct storage){ .fd = fd, .size = SIZE, .nowait = true };
	return fd;
}

static struct transfer make(enum transfer_op op, struct iovec *iov, uint64_t offset, size_t len)
{
	*iov = (struct iovec){ buffer, len };
	return (struct transfer){ .op = op, .iov = iov, .n_iov = 1, .offset = offset, .left = len };
}

static void whole_pages_are_written_at_once(void **state)
{
	static const struct {
		uint64_t offset;
		size_t len;
		bool durable, done;
	} cases[] = {
		{ 0, 4096, false, true },           { 8192, 128 << 10, false, true },
		{ 512, 4096, false, false },        { 0, 512, false, false },
		{ 4096, 4096 + 512, false, false }, { 0, (128 << 10) + 4096, false, false },
		{ 0, 4096, true, false },
	};
	struct storage storage;
	struct quick quick;
	int fd = open_file(&storage);

	step = 1000;
	quick_init(&quick, &storage);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct iovec iov;
		struct transfer t = make(TRANSFER_WRITE, &iov, cases[i].offset, cases[i].len);
		char byte;

		memset(buffer, (int)i + 1, cases[i].len);
		t.durable = cases[i].durable;
		assert_int_equal(quick_try(&quick, &t), cases[i].done);
		assert_int_equal(t.left, cases[i].done ? 0 : cases[i].len);
		assert_int_equal(pread(fd, &byte, 1, (off_t)cases[i].offset), 1);
		assert_int_equal(byte == (char)(i + 1), cases[i].done);
	}
	close(fd);
}

static void what_is_cached_is_read_at_once(void **state)
{
	struct storage storage;
	struct quick quick;
	struct iovec iov;
	int fd = open_file(&storage);
	struct transfer t = make(TRANSFER_READ, &iov, 512, 1024);

	memset(buffer, 7, SIZE);
	assert_int_equal(pwrite(fd, buffer, SIZE, 0), SIZE);
	memset(buffer, 0, SIZE);
	quick_init(&quick, &storage);
	assert_true(quick_try(&quick, &t));
	assert_int_equal(t.error, 0);
	assert_int_equal(buffer[1023], 7);
	assert_int_equal(buffer[1024], 0);
	close(fd);
}

static void what_is_not_of_the_page_cache_is_left(void **state)
{
	static const enum transfer_op others[] = { TRANSFER_FLUSH, TRANSFER_DISCARD,
		                                   TRANSFER_ZERO };
	struct storage storage;
	struct quick quick;
	struct iovec iov;
	int fd = open_file(&storage);

	quick_init(&quick, &storage);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct transfer t = make(others[i], &iov, 0, 4096);

		assert_false(quick_try(&quick, &t));
	}
	for (unsigned direct = 0; direct < 2; direct++) {
		struct transfer read = make(TRANSFER_READ, &iov, 0, 4096);
		struct transfer write = make(TRANSFER_WRITE, &iov, 0, 4096);

		storage.direct = direct;
		storage.nowait = direct;
		quick_init(&quick, &storage);
		assert_false(quick_try(&quick, &read));
		assert_false(quick_try(&quick, &write));
	}
	close(fd);
}

/* So that what sleeps on the worker's thread is a small part of all time. */
static void after_a_slow_write_others_go_another_way_for_long(void **state)
{
	struct storage storage;
	struct quick quick;
	struct iovec iov;
	int fd = open_file(&storage);
	struct transfer t = make(TRANSFER_WRITE, &iov, 0, 4096);
	int64_t end;

	quick_init(&quick, &storage);
	step = 20 * 1000000;
	assert_true(quick_try(&quick, &t));
	end = now;
	step = 1000;
	while (now < end + 15 * 20 * 1000000) {
		t = make(TRANSFER_WRITE, &iov, 0, 4096);
		assert_false(quick_try(&quick, &t));
		assert_int_equal(t.left, 4096);
		now += 10 * 1000000;
	}
	/* Reads can't sleep. */
	t = make(TRANSFER_READ, &iov, 0, 4096);
	assert_true(quick_try(&quick, &t));
	now += INT64_C(1000000000);
	t = make(TRANSFER_WRITE, &iov, 0, 4096);
	assert_true(quick_try(&quick, &t));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_pages_are_written_at_once),
		cmocka_unit_test(what_is_cached_is_read_at_once),
		cmocka_unit_test(what_is_not_of_the_page_cache_is_left),
		cmocka_unit_test(after_a_slow_write_others_go_another_way_for_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
