/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may use a file beside whom; and that a disk holds its lock while a queue runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/lock.h"
#include "fake_queue.h"

/* Another open file description, which is what locks belong to. */
static int open_again(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_return_code(fd, errno);
	return fd;
}

static void writers_stand_alone_and_readers_together(void **state)
{
	static const struct {
		bool first_writes, second_writes;
		int error;
	} cases[] = {
		{ true, true, -EAGAIN },
		{ true, false, -EAGAIN },
		{ false, true, -EAGAIN },
		{ false, false, 0 },
	};

	for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		char path[64];
		int file = fake_file(i % 2, 4096, path);
		int first = open_again(path), second = open_again(path);

		assert_int_equal(lock_take(first, cases[i / 2].first_writes), 0);
		assert_int_equal(lock_take(second, cases[i / 2].second_writes), cases[i / 2].error);
		/* Who was refused holds nothing, and who held before holds still. */
		if (cases[i / 2].error)
			assert_int_equal(lock_take(second, true), -EAGAIN);
		lock_release(first);
		assert_int_equal(lock_take(second, cases[i / 2].second_writes), 0);
		close(second);
		assert_int_equal(lock_take(first, true), 0);
		close(first);
		close(file);
	}
}

static bool is_held(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	assert_return_code(fcntl(fd, F_OFD_GETLK, &lock), errno);
	return lock.l_type != F_UNLCK;
}

/* The bytes are a contract with other programs. */
static void the_bytes_are_those_of_qemu(void **state)
{
	static const struct {
		bool writes;
		int bytes[5];
	} cases[] = {
		{ true, { 100, 101, 201, 203, 0 } },
		{ false, { 100, 201, 203, 0 } },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[64];
		int file = fake_file(false, 4096, path);
		int fd = open_again(path);
		const int *next = cases[i].bytes;

		assert_int_equal(lock_take(fd, cases[i].writes), 0);
		for (int byte = 0; byte < 400; byte++) {
			assert_int_equal(is_held(file, byte), byte == *next);
			next += byte == *next;
		}
		lock_release(fd);
		for (int byte = 0; byte < 400; byte++)
			assert_false(is_held(file, byte));
		close(fd);
		close(file);
	}
}

static void a_disk_is_locked_while_a_queue_runs(void **state)
{
	struct storage storage;
	struct storage_fault why;
	struct blk_options options = { &storage, &engine_inline, 2, 512, NULL, true };
	struct vhu_queue first = { .size = 8 }, second = { .size = 8, .index = 1 };
	struct blk *blk;
	char path[64];
	int file = fake_file(false, 65536, path), other = open_again(path);

	assert_int_equal(storage_open(&storage, path, false, false, &why), 0);
	assert_int_equal(blk_new(&options, &blk), 0);
	assert_int_equal(lock_take(other, true), 0);
	assert_int_equal(blk_ops.queue_start(blk, &first), -EBUSY);
	lock_release(other);
	assert_int_equal(blk_ops.queue_start(blk, &first), 0);
	assert_int_equal(blk_ops.queue_start(blk, &second), 0);
	blk_ops.queue_stop(blk, &first);
	assert_int_equal(lock_take(other, true), -EAGAIN);
	blk_ops.queue_stop(blk, &second);
	assert_int_equal(lock_take(other, true), 0);
	assert_int_equal(blk_ops.queue_start(blk, &second), -EBUSY);
	blk_free(blk);
	storage_close(&storage);
	close(other);
	close(file);
}

static void locking_can_be_off(void **state)
{
	struct storage storage;
	struct storage_fault why;
	struct blk_options options = { &storage, &engine_inline, 1, 512, NULL, false };
	struct vhu_queue queue;
	char path[64];
	int file = fake_file(false, 65536, path), other = open_again(path);

	assert_int_equal(storage_open(&storage, path, false, false, &why), 0);
	assert_int_equal(lock_take(other, true), 0);
	fake_start(&queue, &options);
	fake_stop(&queue);
	storage_close(&storage);
	close(other);
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writers_stand_alone_and_readers_together),
		cmocka_unit_test(the_bytes_are_those_of_qemu),
		cmocka_unit_test(a_disk_is_locked_while_a_queue_runs),
		cmocka_unit_test(locking_can_be_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
