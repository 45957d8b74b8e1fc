/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: memory tables. Memory slots are in cases_slots.c. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "blk.h"
#include "io.h"
#include "suite_backend.h"

#define REPLY_ACK VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)

static struct message open_with_table(struct front *f, unsigned regions)
{
	front_open(f, &(struct front_setup){ .no_memory = true });
	return front_table(f, regions);
}

static void too_few_fds(struct front *f)
{
	struct message message = open_with_table(f, 3);

	message.n_fds = 2;
	expect_refused_and_serves(f, &message);
}

static void too_many_fds(struct front *f)
{
	struct message message = open_with_table(f, 2);

	message.fds[message.n_fds++] = f->ram.regions[2].fd;
	expect_refused_and_serves(f, &message);
}

static void no_fds(struct front *f)
{
	struct message message = open_with_table(f, 3);

	message.n_fds = 0;
	expect_refused_and_serves(f, &message);
}

static void count_beyond_payload(struct front *f)
{
	struct message message = open_with_table(f, 2);

	message.payload.memory.n = 8;
	expect_refused_and_serves(f, &message);
}

static void count_beyond_all(struct front *f)
{
	struct message message = open_with_table(f, 3);

	message.payload.memory.n = UINT32_MAX;
	expect_refused_and_serves(f, &message);
}

static void empty_region(struct front *f)
{
	struct message message = open_with_table(f, 3);

	message.payload.memory.regions[1].size = 0;
	expect_refused_and_serves(f, &message);
}

static void gpa_wraps(struct front *f)
{
	struct message message = open_with_table(f, 3);

	message.payload.memory.regions[1].gpa = UINT64_MAX - 0xfff;
	expect_refused_and_serves(f, &message);
}

static void uva_wraps(struct front *f)
{
	struct message message = open_with_table(f, 3);

	message.payload.memory.regions[1].uva = UINT64_MAX - 0xfff;
	expect_refused_and_serves(f, &message);
}

static void offset_wraps(struct front *f)
{
	struct message message = open_with_table(f, 3);

	message.payload.memory.regions[1].mmap_offset = UINT64_MAX - 0xfff;
	expect_refused_and_serves(f, &message);
}

static void overlapping(struct front *f)
{
	struct message message = open_with_table(f, 3);

	message.payload.memory.regions[1].gpa = f->ram.regions[0].gpa + 0x1000;
	expect_refused_and_serves(f, &message);
}

/* An fd that mmap() does not take; and one that can't be written. */
static void unmappable(struct front *f)
{
	struct message message = open_with_table(f, 3);
	int event = -1, keep;

	if (fd_event(&event))
		trial_error(f->trial, "no eventfd");
	keep = message.fds[1];
	message.fds[1] = event;
	front_try(f, &message);
	close(event);
	message.fds[1] = keep;
	expect_serves_anew(f);
}

static void read_only_memory(struct front *f)
{
	struct message message = open_with_table(f, 3);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->ram.regions[1].fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		trial_error(f->trial, "the memory can't be opened for reading");
	message.fds[1] = fd;
	front_try(f, &message);
	close(fd);
	expect_serves_anew(f);
}

static void table_may_be_replaced(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	front_share(f);
	io_start(f);
	io_expect_works(f);
	io_stop(f);
	front_share(f);
	io_start(f);
	io_expect_works(f);
	expect_canaries(f);
}

static void table_of_a_running_device(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	for (unsigned i = 0; i < 4; i++) {
		io_expect_works(f);
		front_share(f);
	}
	io_expect_works(f);
	expect_canaries(f);
}

/* A page of each region: by gpa, of files that begin somewhere before. */
static void every_region(struct front *f)
{
	struct span out[RAM_REGIONS];

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	for (unsigned i = 0; i < RAM_REGIONS; i++) {
		uint64_t at = ram_take(&f->ram, i, 512);
		const struct ram_region *region = &f->ram.regions[i];

		out[i] = (struct span){ region->gpa + at, region->ptr + at, 512 };
		front_pattern(&out[i], i);
	}
	io_out(f, out, RAM_REGIONS);
	io_expect_done(f);
	io_expect_saw(f, out, RAM_REGIONS);
	expect_canaries(f);
}

/* The last bytes of a region and what would follow them, which belongs to nobody. */
static void beyond_the_end(struct front *f)
{
	const struct ram_region *region;
	struct span in;

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	region = &f->ram.regions[1];
	in = (struct span){ region->gpa + region->size - 256, NULL, 512 };
	io_in(f, &in, 1);
	io_wait(f, FRONT_QUIET);
	expect_canaries(f);
	expect_serves_anew(f);
}

/* The file is shorter than the table says: there is nothing behind the addresses. */
static void beyond_the_file(struct front *f)
{
	struct message message = open_with_table(f, 3);
	struct span in;

	message.payload.memory.regions[1].size = f->ram.regions[1].file_size + (1 << 20);
	if (front_try(f, &message)) {
		NOTE(f, "a disk reads into memory that does not exist");
		io_start(f);
		in = (struct span){ f->ram.regions[1].gpa + f->ram.regions[1].file_size + 65536,
			            NULL, 512 };
		io_in(f, &in, 1);
		io_wait(f, FRONT_QUIET);
	}
	expect_serves_anew(f);
}

static void mappings_do_not_grow(struct front *f)
{
	struct holdings before = { 0 };

	front_open(f, &(struct front_setup){ 0 });
	for (unsigned i = 0; i < 30; i++) {
		if (i == 5)
			before = subject_holdings(f->subject);
		front_share(f);
	}
	expect_holds_no_more(f, &before, 3);
}

#define REFUSES(name, words, level_, function)                                        \
	{                                                                             \
		.id = "memory." name, .title = "a memory table " words " is refused", \
		.rule = "vhost-user: SET_MEM_TABLE", .level = (level_),               \
		.needs.protocol = REPLY_ACK, .backend = (function),                   \
	}

static const struct conform_case cases[] = {
	REFUSES("too-few-fds", "with fewer fds than regions", LEVEL_MUST, too_few_fds),
	REFUSES("too-many-fds", "with more fds than regions", LEVEL_SHOULD, too_many_fds),
	REFUSES("no-fds", "without fds", LEVEL_MUST, no_fds),
	REFUSES("count-beyond-payload", "that counts more regions than it holds", LEVEL_SHOULD,
	        count_beyond_payload),
	REFUSES("count-beyond-all", "of 2^32 - 1 regions", LEVEL_SHOULD, count_beyond_all),
	REFUSES("empty-region", "with a region of size 0", LEVEL_SHOULD, empty_region),
	REFUSES("gpa-wraps", "with a region that wraps around in gpa", LEVEL_SHOULD, gpa_wraps),
	REFUSES("uva-wraps", "with a region that wraps around in uva", LEVEL_SHOULD, uva_wraps),
	REFUSES("offset-wraps", "with an offset that wraps around", LEVEL_SHOULD, offset_wraps),
	REFUSES("overlapping", "with regions that overlap in gpa", LEVEL_SHOULD, overlapping),
	{
		.id = "memory.unmappable",
		.title = "the back-end outlives memory that can't be mapped",
		.rule = "vhost-user: SET_MEM_TABLE",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = unmappable,
	},
	{
		.id = "memory.read-only",
		.title = "the back-end outlives memory that can't be written",
		.rule = "vhost-user: SET_MEM_TABLE",
		.level = LEVEL_MUST,
		.needs.protocol = REPLY_ACK,
		.backend = read_only_memory,
	},
	{
		.id = "memory.table-may-be-replaced",
		.title = "a memory table takes the place of the one before",
		.rule = "vhost-user: SET_MEM_TABLE",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = table_may_be_replaced,
	},
	{
		.id = "memory.table-of-a-running-device",
		.title = "a memory table may come while rings run",
		.rule = "vhost-user: SET_MEM_TABLE; F1",
		.level = LEVEL_SHOULD,
		.needs = { .device = DEVICE_IO, .protocol = REPLY_ACK },
		.backend = table_of_a_running_device,
		.explain = "Memory is added to a machine that runs. What stays the same has to go\n"
			   "on working while it is mapped anew.",
	},
	{
		.id = "memory.every-region",
		.title = "memory is reached in every region, at its offset in its file",
		.rule = "vhost-user: Memory region description",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .echo = true },
		.backend = every_region,
	},
	{
		.id = "memory.beyond-the-end",
		.title = "nothing is written beyond the end of a region",
		.rule = "vhost-user: Memory region description",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = beyond_the_end,
	},
	{
		.id = "memory.mappings-do-not-grow",
		.title = "a memory table that is replaced leaves no mappings and fds behind",
		.rule = "vhost-user: SET_MEM_TABLE",
		.level = LEVEL_MUST,
		.needs = { .pid = true, .protocol = REPLY_ACK },
		.backend = mappings_do_not_grow,
	},
	{
		.id = "memory.beyond-the-file",
		.title = "the back-end outlives a region that is longer than its file",
		.rule = "vhost-user: Memory region description",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_BLK, .protocol = REPLY_ACK },
		.backend = beyond_the_file,
		.explain =
			"An access raises SIGBUS, which by default ends the process, and with it\n"
			"the service of all other front-ends.",
	},
};

const struct conform_area area_memory = AREA("memory", "memory tables", cases);
