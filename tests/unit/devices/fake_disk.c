/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "devices/window.h"

const struct fake_way fake_ways[N_FAKE_WAYS] = {
	{ &engine_memory, PLACE_MEMORY },
	{ &engine_inline, PLACE_TMPFS },
	{ &engine_inline, PLACE_FILE_CACHED },
	{ &engine_inline, PLACE_FILE_ALIGNED },
	{ &engine_threads, PLACE_TMPFS },
	{ &engine_threads, PLACE_FILE_CACHED },
	{ &engine_threads, PLACE_FILE_DIRECT },
	{ &engine_threads, PLACE_FILE_ALIGNED },
	{ &engine_uring, PLACE_TMPFS },
	{ &engine_uring, PLACE_FILE_CACHED },
	{ &engine_uring, PLACE_FILE_DIRECT },
	{ &engine_uring, PLACE_FILE_ALIGNED },
	{ &engine_threads, PLACE_FILE_CACHED, true },
	{ &engine_uring, PLACE_FILE_CACHED, true },
};

const char *fake_way_name(const struct fake_way *way)
{
	static const char *const places[] = { "memory", "tmpfs", "cached", "direct", "aligned" };
	static char name[64];

	snprintf(name, sizeof(name), "%s on %s%s", way->engine->name, places[way->place],
	         way->quick ? ", quick" : "");
	return name;
}

/* cmocka has a handler of its own, anew for each test. */
static void handle_faults(void)
{
	static struct sigaction handler;

	assert_int_equal(window_install(), 0);
	if (!handler.sa_sigaction)
		sigaction(SIGBUS, NULL, &handler);
	else
		sigaction(SIGBUS, &handler, NULL);
}

static bool open_file(struct fake_disk *disk, const struct fake_way *way, uint64_t size)
{
	bool direct = way->place == PLACE_FILE_DIRECT;
	struct storage_fault why;
	char path[64];

	if (way->quick)
		handle_faults();
	disk->file = fake_file(way->place == PLACE_TMPFS, size, path);
	if (storage_open(&disk->storage, path, false, direct, &why)) {
		print_message("%s\n", why.text);
		assert_true(direct);
		close(disk->file);
		return false;
	}
	assert_int_equal(disk->storage.in_memory, way->place == PLACE_TMPFS);
	if (way->place == PLACE_FILE_ALIGNED)
		disk->storage.align = disk->storage.memory_align = 512;
	return true;
}

bool fake_disk_open(struct fake_disk *disk, const struct fake_way *way, uint64_t size)
{
	struct blk_options options = {
		.storage = &disk->storage,
		.engine = way->engine,
		.num_queues = 1,
		.block_size = 512,
		.quick = way->quick,
	};
	struct storage_fault why;

	disk->file = -1;
	if (way->engine == &engine_uring && engine_uring_probe() != 0) {
		print_message("no io_uring here\n");
		return false;
	}
	if (way->place == PLACE_MEMORY)
		assert_int_equal(storage_open_memory(&disk->storage, size, false, &why), 0);
	else if (!open_file(disk, way, size))
		return false;
	if (disk->storage.align > 512)
		options.block_size = disk->storage.align;
	fake_start(&disk->queue, &options);
	blk_ops.features_set(disk->queue.blk, blk_ops.features(disk->queue.blk));
	return true;
}

void fake_disk_close(struct fake_disk *disk)
{
	fake_stop(&disk->queue);
	storage_close(&disk->storage);
	if (disk->file >= 0)
		close(disk->file);
}
