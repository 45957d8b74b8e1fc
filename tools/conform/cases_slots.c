/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: memory slots, that is regions added and removed one by one. */
#include "io.h"
#include "suite_backend.h"

#define SLOTS      (VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK))
#define SLOTS_MOST 600u
#define FAR        (UINT64_C(1) << 40)

static void open_without(struct front *f)
{
	front_open(f, &(struct front_setup){ .no_memory = true });
}

static void add(struct front *f, unsigned region)
{
	struct message message = front_region(f, VHU_FE_ADD_MEM_REG, region);

	expect_ack(f, &message);
}

static void take_away(struct front *f, unsigned region)
{
	struct message message = front_region(f, VHU_FE_REM_MEM_REG, region);

	expect_ack(f, &message);
}

/* Page @i of the first region's file, far away. */
static struct message small_region(const struct front *f, uint32_t request, unsigned i)
{
	struct message message = front_region(f, request, 0);
	struct vhu_memory_region *region = &message.payload.single.region;

	region->gpa = FAR + i * 2 * RAM_PAGE;
	region->uva = FAR + i * 2 * RAM_PAGE;
	region->size = RAM_PAGE;
	region->mmap_offset = i * RAM_PAGE;
	return message;
}

static void works_with_slots(struct front *f)
{
	open_without(f);
	for (unsigned i = 0; i < RAM_REGIONS; i++)
		add(f, i);
	io_start(f);
	io_expect_works(f);
	expect_canaries(f);
}

static void added_while_running(struct front *f)
{
	struct span out;
	uint64_t at;

	open_without(f);
	add(f, 0);
	io_start(f);
	io_expect_works(f);
	add(f, 2);
	at = ram_take(&f->ram, 2, 512);
	out = (struct span){ f->ram.regions[2].gpa + at, f->ram.regions[2].ptr + at, 512 };
	front_pattern(&out, 5);
	io_out(f, &out, 1);
	io_expect_done(f);
	io_expect_saw(f, &out, 1);
}

static void removed_and_added_again(struct front *f)
{
	open_without(f);
	for (unsigned i = 0; i < 5; i++) {
		add(f, 0);
		add(f, 1);
		take_away(f, 0);
		take_away(f, 1);
	}
	add(f, 0);
	io_start(f);
	io_expect_works(f);
}

static void removed_is_left_alone(struct front *f)
{
	struct span in;
	uint64_t at;

	open_without(f);
	add(f, 0);
	add(f, 1);
	io_start(f);
	io_expect_works(f);
	at = ram_take(&f->ram, 1, 512);
	in = (struct span){ f->ram.regions[1].gpa + at, f->ram.regions[1].ptr + at, 512 };
	front_fill(f, &in, 0x77);
	take_away(f, 1);
	io_in(f, &in, 1);
	io_wait(f, FRONT_QUIET);
	expect_bytes(f, &in, 0x77, "memory that was removed");
	expect_serves_anew(f);
}

/* Where a region is shared already, what comes next of another. */
static struct message add_one(struct front *f, unsigned region, uint32_t request, unsigned other)
{
	open_without(f);
	add(f, region);
	return front_region(f, request, other);
}

static void unknown_is_not_removed(struct front *f)
{
	struct message message = add_one(f, 0, VHU_FE_REM_MEM_REG, 1);

	expect_refused_and_serves(f, &message);
}

/* One field differs from what was added. */
static void nearly_the_same_is_not_removed(struct front *f)
{
	struct message message = add_one(f, 0, VHU_FE_REM_MEM_REG, 0);

	message.payload.single.region.size -= RAM_PAGE;
	expect_refused_and_serves(f, &message);
}

/* By the text the offset is not what tells regions apart. */
static void offset_is_not_compared(struct front *f)
{
	struct message message = add_one(f, 1, VHU_FE_REM_MEM_REG, 1);

	message.payload.single.region.mmap_offset = 0;
	expect_ack(f, &message);
}

static void overlapping(struct front *f)
{
	struct message message = add_one(f, 0, VHU_FE_ADD_MEM_REG, 1);

	message.payload.single.region.gpa = f->ram.regions[0].gpa + RAM_PAGE;
	expect_refused_and_serves(f, &message);
}

static void empty(struct front *f)
{
	struct message message;

	open_without(f);
	message = small_region(f, VHU_FE_ADD_MEM_REG, 0);
	message.payload.single.region.size = 0;
	expect_refused_and_serves(f, &message);
}

static unsigned slots_of(struct front *f)
{
	uint64_t n;

	open_without(f);
	n = front_get_u64(f, VHU_FE_GET_MAX_MEM_SLOTS);
	EXPECT(f, n > 0, "a number of slots: it is 0");
	return (unsigned)(n < SLOTS_MOST ? n : SLOTS_MOST);
}

static void enough_slots(struct front *f)
{
	unsigned n = slots_of(f);

	EXPECT(f, n >= VHU_MEMORY_REGIONS_MAX,
	       "at least as many slots as a memory table has regions: there are %u", n);
}

static void fill_slots(struct front *f, unsigned n)
{
	trial_mute(f->trial);
	for (unsigned i = 0; i < n; i++) {
		struct message message = small_region(f, VHU_FE_ADD_MEM_REG, i);

		expect_ack(f, &message);
	}
	trial_unmute(f->trial);
	NOTE(f, "%u regions were added", n);
}

static void all_slots(struct front *f)
{
	fill_slots(f, slots_of(f));
	expect_alive(f);
}

static void beyond_all_slots(struct front *f)
{
	unsigned n = slots_of(f);
	struct message message;

	if (n == SLOTS_MOST)
		trial_skip(f->trial, "there are more slots than are tried");
	fill_slots(f, n);
	message = small_region(f, VHU_FE_ADD_MEM_REG, n);
	expect_refused_and_serves(f, &message);
}

static void removed_is_unmapped(struct front *f)
{
	struct holdings before;

	open_without(f);
	add(f, 0);
	before = subject_holdings(f->subject);
	for (unsigned i = 0; i < 20; i++) {
		add(f, 1);
		take_away(f, 1);
	}
	expect_holds_no_more(f, &before, 2);
}

/* Front-ends exist that send one; the specification wants it closed. */
static void fd_of_a_removal(struct front *f)
{
	struct message message;
	struct holdings before, after;

	open_without(f);
	before = subject_holdings(f->subject);
	for (unsigned i = 0; i < 20; i++) {
		add(f, 0);
		message = front_region(f, VHU_FE_REM_MEM_REG, 0);
		message.fds[message.n_fds++] = f->ram.regions[0].fd;
		if (!front_try(f, &message))
			trial_skip(f->trial, "it is refused, which the specification allows");
	}
	after = subject_holdings(f->subject);
	EXPECT(f, after.fds <= before.fds + 2, "the fd of each removal to be closed: %d are kept",
	       after.fds - before.fds);
}

#define CASE(name, words, number, level_, function, ...)                             \
	{                                                                            \
		.id = "slots." name, .title = words, .rule = "vhost-user: " #number, \
		.level = (level_), .needs = __VA_ARGS__, .backend = (function),      \
	}

static const struct conform_case cases[] = {
	CASE("work", "memory that was added region by region is used", ADD_MEM_REG, LEVEL_MUST,
	     works_with_slots, { .protocol = SLOTS, .device = DEVICE_IO }),
	CASE("added-while-running", "memory may be added while rings run", ADD_MEM_REG, LEVEL_MUST,
	     added_while_running, { .protocol = SLOTS, .device = DEVICE_IO, .echo = true }),
	CASE("removed-and-added-again", "a region that was removed may be added again", REM_MEM_REG,
	     LEVEL_MUST, removed_and_added_again, { .protocol = SLOTS, .device = DEVICE_IO }),
	CASE("removed-is-left-alone", "memory that was removed is not written", REM_MEM_REG,
	     LEVEL_MUST, removed_is_left_alone, { .protocol = SLOTS, .device = DEVICE_IO }),
	CASE("unknown-is-not-removed", "a removal of what was not added is refused", REM_MEM_REG,
	     LEVEL_SHOULD, unknown_is_not_removed, { .protocol = SLOTS }),
	CASE("nearly-the-same-is-not-removed", "a removal of another size is refused", REM_MEM_REG,
	     LEVEL_SHOULD, nearly_the_same_is_not_removed, { .protocol = SLOTS }),
	CASE("offset-is-not-compared", "a removal is not told by its offset", REM_MEM_REG,
	     LEVEL_SHOULD, offset_is_not_compared, { .protocol = SLOTS }),
	CASE("overlapping", "a region that overlaps another is refused", ADD_MEM_REG, LEVEL_SHOULD,
	     overlapping, { .protocol = SLOTS }),
	CASE("empty", "a region of size 0 is refused", ADD_MEM_REG, LEVEL_SHOULD, empty,
	     { .protocol = SLOTS }),
	CASE("enough", "there are as many slots as a memory table has regions", GET_MAX_MEM_SLOTS,
	     LEVEL_SHOULD, enough_slots, { .protocol = SLOTS }),
	CASE("all", "as many regions can be added as were promised", GET_MAX_MEM_SLOTS, LEVEL_MUST,
	     all_slots, { .protocol = SLOTS }),
	CASE("beyond-all", "one region more is refused", GET_MAX_MEM_SLOTS, LEVEL_SHOULD,
	     beyond_all_slots, { .protocol = SLOTS }),
	CASE("removed-is-unmapped", "a region that was removed is unmapped, and its fd closed",
	     REM_MEM_REG, LEVEL_MUST, removed_is_unmapped, { .protocol = SLOTS, .pid = true }),
	CASE("fd-of-a-removal", "an fd that comes with a removal is closed", REM_MEM_REG,
	     LEVEL_MUST, fd_of_a_removal, { .protocol = SLOTS, .pid = true }),
};

const struct conform_area area_slots = AREA("slots", "memory slots", cases);
