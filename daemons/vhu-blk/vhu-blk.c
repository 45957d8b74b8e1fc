/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhu-blk: a file, a block device or memory as the disk of a virtual machine.
 * The program's beginning and end; serve.c is what lies between.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descriptors.h"
#include "options.h"
#include "say.h"
#include "serve.h"

#include "devices/window.h"

static int print_capabilities(void)
{
	puts("{\n  \"type\": \"block\",\n  \"features\": [\"read-only\", \"blk-file\"]\n}");
	return EXIT_FINE;
}

static int open_storage(const struct options *options, struct storage *storage)
{
	struct storage_fault why;
	int error;

	if (options->memory) {
		error = storage_open_memory(storage, options->memory, options->read_only, &why);
		if (error)
			complain("--memory=%" PRIu64 ": %s", options->memory, why.text);
	} else {
		error = storage_open(storage, options->blk_file, options->read_only,
		                     options->direct, &why);
		if (error)
			complain("--blk-file=%s: %s", options->blk_file, why.text);
	}
	return error;
}

/* The block size that was asked for, or the least that works. 0: there is none,
 * after a complaint. */
static unsigned choose_block_size(const struct options *options, const struct storage *storage)
{
	unsigned least = storage->align > BLK_SECTOR ? storage->align : BLK_SECTOR;
	unsigned size = options->block_size ? options->block_size : least;

	if (size < least) {
		complain("--block-size=%u: with --direct this file takes no less than %u; give "
		         "--block-size=%u",
		         size, least, least);
		return 0;
	}
	if (storage->size < size) {
		complain("%s%s: %" PRIu64 " bytes are less than a block of %u; make it larger",
		         options->blk_file ? "--blk-file=" : "--memory",
		         options->blk_file ? options->blk_file : "", storage->size, size);
		return 0;
	}
	if (storage->size % size)
		say(VHU_LOG_WARNING, "the last %" PRIu64 " bytes are no whole block and not shown",
		    storage->size % size);
	return size;
}

static int make_blk(const struct options *options, const struct storage *storage, struct blk **ret)
{
	const char *why;
	struct blk_options blk = {
		.storage = storage,
		.engine = engine_choose(options->engine, storage, &why),
		.num_queues = options->num_queues,
		.block_size = choose_block_size(options, storage),
		.serial = options->serial,
		.locking = options->locking,
		.quick = options->engine == ENGINE_AUTO,
	};
	int error;

	if (!blk.block_size)
		return -EINVAL;
	if (why)
		say(VHU_LOG_WARNING, "%s", why);
	error = blk_new(&blk, ret);
	if (error) {
		complain("the disk can't be made: %s", strerror(-error));
		return error;
	}
	say(VHU_LOG_INFO, "%s: %" PRIu64 " MiB in blocks of %u%s, engine %s",
	    options->blk_file ? options->blk_file : "memory", storage->size >> 20, blk.block_size,
	    storage->read_only ? ", read-only" : "", blk.engine->name);
	return 0;
}

static int open_listener(const struct options *options, struct listener *listener)
{
	return listener_open(listener, &(struct listener_options){
					       .path = options->socket_path,
					       .mode = options->socket_mode,
					       .group = options->socket_group,
					       .fd = options->fd,
					       .fd_name = options->fd_name,
				       });
}

/* What was inherited and is none of ours goes; there must be room for what will come. */
static void set_descriptors(const struct options *options, const struct storage *storage,
                            const struct listener *listener)
{
	const int ours[] = { storage->fd, listener->fd };

	if (options->sandbox)
		descriptors_close_others(ours, 2);
	descriptors_make_room(options->num_queues, options->queue_threads);
}

int main(int argc, char **argv)
{
	struct listener listener = { .fd = -1 };
	struct storage storage = { .fd = -1 };
	struct blk *blk = NULL;
	struct options options;
	int code = EXIT_FAULT;
	int error = descriptors_open_standard();

	if (error) {
		complain("/dev/null: %s; have standard input, output and error open",
		         strerror(-error));
		return EXIT_FAULT;
	}
	atexit(say_check_output);
	if (options_ask_capabilities(argc, argv))
		return print_capabilities();
	if (options_parse(argc, argv, &options))
		return EXIT_USAGE;
	say_start(options.log_level);
	serve_block_signals();
	/* Without it reads take a little longer. Before the library's own handler. */
	(void)window_install();
	if (open_storage(&options, &storage) == 0 && make_blk(&options, &storage, &blk) == 0 &&
	    open_listener(&options, &listener) == 0) {
		set_descriptors(&options, &storage, &listener);
		code = serve(&options, &storage, blk, &listener);
	}
	listener_remove(&listener);
	if (listener.fd >= 0)
		close(listener.fd);
	blk_free(blk);
	storage_close(&storage);
	return code;
}
