/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a ring: start, map, lose the mapping, move, take and rewind. */
#include "rig.h"

#define NUM 64u

static void start_judges_the_numbers(void **state)
{
	static const struct {
		const char *name;
		struct vring_config config;
		int result;
	} cases[] = {
		{ "all at zero", { .num = 1 }, 0 },
		{ "the largest", { .num = 1024, .desc = 16, .avail = 2, .used = 4 }, 0 },
		{ "no descriptors", { .num = 0 }, -EINVAL },
		{ "no power of two", { .num = 24 }, -EINVAL },
		{ "too many", { .num = 2048 }, -EINVAL },
		{ "far too many", { .num = 32768 }, -EINVAL },
		{ "descriptors misaligned", { .num = 8, .desc = 8 }, -EINVAL },
		{ "available ring misaligned", { .num = 8, .avail = 1 }, -EINVAL },
		{ "used ring misaligned", { .num = 8, .used = 2 }, -EINVAL },
		{ "descriptors at the end", { .num = 8, .desc = -128ull }, 0 },
		{ "descriptors wrap", { .num = 8, .desc = -112ull }, -EINVAL },
		{ "available ring at the end", { .num = 8, .avail = -20ull }, 0 },
		{ "available ring wraps", { .num = 8, .avail = -18ull }, -EINVAL },
		{ "its event wraps", { .num = 8, .avail = -20ull, .event_idx = true }, -EINVAL },
		{ "used ring at the end", { .num = 8, .used = -68ull }, 0 },
		{ "used ring wraps", { .num = 8, .used = -64ull }, -EINVAL },
		{ "its event wraps", { .num = 8, .used = -68ull, .event_idx = true }, -EINVAL },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vring_config good = { .num = cases[i].config.num };
		struct vring ring = { 0 };

		print_message("  %s\n", cases[i].name);
		assert_int_equal(vring_start(&ring, &cases[i].config), cases[i].result);
		if (vring_start(&ring, &good) == 0)
			assert_int_equal(vring_move(&ring, &cases[i].config), cases[i].result);
		vring_done(&ring);
	}
}

static void exactly_the_parts_are_mapped(void **state)
{
	static const struct {
		bool event_idx;
		uint32_t avail, used;
	} cases[] = { { false, 4 + 2 * NUM, 4 + 8 * NUM }, { true, 6 + 2 * NUM, 6 + 8 * NUM } };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;

		rig_init(&rig, RIG_PAGEWISE, true);
		/* All around is unknown. */
		rig_lose(&rig, RIG_DESC + 16 * NUM, 1);
		rig_lose(&rig, RIG_AVAIL + cases[i].avail, 1);
		rig_lose(&rig, RIG_USED + cases[i].used, 1);
		rig_start(&rig, NUM, cases[i].event_idx, false);
		assert_int_equal(rig.ring.desc.len, 16 * NUM);
		assert_int_equal(rig.ring.avail.len, cases[i].avail);
		assert_int_equal(rig.ring.used.len, cases[i].used);
		rig_done(&rig);
	}
}

static bool walk_nothing(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	(void)view, (void)addr, (void)perm;
	ret->after = UINT64_MAX;
	return false;
}

/* One round of misses has to cover a ring (S2): what each part lacks, and how it is needed. */
static void map_returns_the_holes_of_all_parts(void **state)
{
	struct hole *holes;
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	rig.config = rig_config(&rig, NUM, true, false);
	translate_view_attach(&rig.view, walk_nothing, &rig, true);
	assert_int_equal(vring_start(&rig.ring, &rig.config), 0);
	assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), -EAGAIN);
	assert_false(vring_is_mapped(&rig.ring));
	assert_true(vring_check(&rig.ring));
	assert_int_equal(rig.holes.n, 3);
	holes = rig.holes_at;
	assert_int_equal(holes[0].addr, rig.config.desc);
	assert_int_equal(holes[0].len, 16 * NUM);
	assert_int_equal(holes[0].perm, PERM_READ);
	assert_int_equal(holes[1].addr, rig.config.avail);
	assert_int_equal(holes[1].len, 6 + 2 * NUM);
	assert_int_equal(holes[1].perm, PERM_READ);
	assert_int_equal(holes[2].addr, rig.config.used);
	assert_int_equal(holes[2].len, 6 + 8 * NUM);
	assert_int_equal(holes[2].perm, PERM_RW);

	rig.holes.n = 0;
	translate_view_attach(&rig.view, walk_nothing, &rig, false);
	assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), -EFAULT);
	assert_int_equal(rig.holes.n, 3);
	rig_done(&rig);
}

static void one_hole_unmaps_the_whole_ring(void **state)
{
	static const uint32_t offsets[] = { RIG_DESC, RIG_AVAIL, RIG_USED };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct rig rig;

		rig_init(&rig, RIG_ODD, true);
		rig_start(&rig, NUM, false, false);
		rig_lose(&rig, offsets[i] + 2, 1);
		assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), -EAGAIN);
		assert_int_equal(rig.holes.n, 1);
		assert_false(vring_is_mapped(&rig.ring));
		assert_true(vring_check(&rig.ring));
		rig_find(&rig);
		assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
		assert_true(vring_is_mapped(&rig.ring));
		assert_true(vring_check(&rig.ring));
		rig_done(&rig);
	}
}

static void B1_used_index_comes_from_the_ring_at_first_translation(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	for (enum rig_cut cut = 0; cut < RIG_CUTS; cut++) {
		rig_init(&rig, cut, true);
		rig.config = rig_config(&rig, NUM, false, false);
		rig.config.avail_base = 0x1234;
		rig_set_avail(&rig, 0x1235);
		rig_set_head(&rig, 0x1234, 7);
		assert_int_equal(vring_start(&rig.ring, &rig.config), 0);
		/* A ring that can't be translated yet says nothing. */
		rig_lose(&rig, RIG_AVAIL, 1);
		assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), -EAGAIN);
		assert_false(rig.ring.used_known);
		rig_find(&rig);

		rig_set16(&rig, RIG_USED + RING_INDEX_OFFSET, 0xfffe);
		assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
		assert_true(rig.ring.used_known);
		assert_int_equal(rig.ring.next_used, 0xfffe);
		assert_int_equal(rig.ring.published, 0xfffe);
		assert_int_equal(vring_take(&rig.ring, &chain), 1);
		assert_int_equal(chain.head, 7);

		/* Later translations don't look at it again. */
		rig_set16(&rig, RIG_USED + RING_INDEX_OFFSET, 0x5555);
		assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
		vring_put(&rig.ring, 7, 3);
		vring_publish(&rig.ring);
		assert_int_equal(rig_get16(&rig, RIG_USED + RING_INDEX_OFFSET), 0xffff);
		assert_int_equal(rig_get16(&rig, RIG_USED + used_elem_offset(NUM, 0xfffe)), 7);
		assert_int_equal(rig_get16(&rig, RIG_USED + used_elem_offset(NUM, 0xfffe) + 4), 3);

		/* A new start does. */
		assert_int_equal(vring_start(&rig.ring, &rig.config), 0);
		assert_false(rig.ring.used_known || vring_is_mapped(&rig.ring));
		rig_done(&rig);
	}
	chain_done(&chain);
}

static void parts_are_found_by_address(void **state)
{
	static const struct {
		uint32_t first, last;
		unsigned parts;
	} cases[] = {
		{ 0, RIG_DESC - 1, 0 },
		{ 0, RIG_DESC, VRING_PART_DESC },
		{ RIG_DESC + 16 * NUM - 1, RIG_DESC + 16 * NUM, VRING_PART_DESC },
		{ RIG_DESC + 16 * NUM, RIG_AVAIL - 1, 0 },
		{ RIG_AVAIL + 2 * NUM + 5, RIG_USED - 1, VRING_PART_AVAIL },
		{ RIG_AVAIL + 2 * NUM + 6, RIG_USED - 1, 0 },
		{ RIG_AVAIL, RIG_USED, VRING_PART_AVAIL | VRING_PART_USED },
		{ RIG_USED + 8 * NUM + 5, RIG_SIZE, VRING_PART_USED },
		{ RIG_USED + 8 * NUM + 6, RIG_SIZE, 0 },
		{ 0, RIG_SIZE, VRING_PART_DESC | VRING_PART_AVAIL | VRING_PART_USED },
	};
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_BYTES, true);
	rig_start(&rig, NUM, true, false);
	for (unsigned mapped = 0; mapped < 2; mapped++) {
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct range range = { rig_addr(&rig, cases[i].first),
				               rig_addr(&rig, cases[i].last) };

			assert_int_equal(vring_parts_in(&rig.ring, range), cases[i].parts);
		}
		vring_unmap(&rig.ring);
	}
	rig_done(&rig);
}

/* Chains of one writable descriptor each, heads as their indices. */
static void offer(struct rig *rig, uint16_t from, uint16_t to)
{
	for (uint16_t i = from; i != to; i++) {
		uint16_t head = i % NUM;

		rig_set_desc(rig, RIG_DESC, head, (struct ring_desc){ i, 1, DESC_WRITE, 0xffff });
		rig_set_head(rig, i, head);
	}
	rig_set_avail(rig, to);
}

static void expect(struct rig *rig, struct chain *chain, uint16_t index)
{
	assert_int_equal(vring_take(&rig->ring, chain), 1);
	assert_int_equal(chain->head, index % NUM);
	assert_int_equal(chain->n, 1);
	assert_int_equal(chain->segments[0].addr, index);
	assert_true(vring_check(&rig->ring));
}

static void untaken_chains_come_again_in_order(void **state)
{
	(void)state;
	for (enum rig_cut cut = 0; cut < RIG_CUTS; cut++) {
		struct chain chain = { 0 };
		struct rig rig;

		rig_init(&rig, cut, true);
		rig.config = rig_config(&rig, NUM, true, false);
		rig.config.avail_base = 0xfff0; /* over the end */
		assert_int_equal(vring_start(&rig.ring, &rig.config), 0);
		assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
		offer(&rig, 0xfff0, 0x0030);
		for (uint16_t i = 0xfff0; i != 0x20; i++)
			expect(&rig, &chain, i);
		vring_untake(&rig.ring, 0x24);
		for (uint16_t i = 0xfffc; i != 0x30; i++)
			expect(&rig, &chain, i);
		assert_int_equal(vring_take(&rig.ring, &chain), 0);
		vring_untake(&rig.ring, NUM);
		expect(&rig, &chain, 0xfff0);
		chain_done(&chain);
		rig_done(&rig);
	}
}

/* V1: what the driver changed since is seen, nothing is left of what had been copied. */
static void V1_a_rewound_chain_restarts_from_nothing(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	rig_start(&rig, NUM, false, true);
	offer(&rig, 0, 2);
	expect(&rig, &chain, 0);
	vring_untake(&rig.ring, 1);
	rig_set_desc(&rig, RIG_DESC, 0, (struct ring_desc){ 0x9000, 32, DESC_INDIRECT, 0 });
	offer(&rig, 1, 3);
	assert_int_equal(vring_take(&rig.ring, &chain), 1);
	assert_int_equal(chain.n, 0);
	assert_int_equal(chain.table.addr, 0x9000);
	assert_int_equal(rig.ring.avail_seen, 3);
	expect(&rig, &chain, 1);
	assert_int_equal(chain.table.len, 0);
	chain_done(&chain);
	rig_done(&rig);
}

/* V1: the copy is what counts, whatever the driver writes later. */
static void V1_a_taken_chain_is_a_copy(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	rig_start(&rig, NUM, false, true);
	offer(&rig, 0, 1);
	expect(&rig, &chain, 0);
	rig_set_desc(&rig, RIG_DESC, 0, (struct ring_desc){ 0x9000, 32, DESC_NEXT, 0 });
	assert_int_equal(chain.segments[0].addr, 0);
	assert_int_equal(chain.segments[0].len, 1);
	chain_done(&chain);
	rig_done(&rig);
}

static void the_index_is_read_only_when_used_up(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	rig_start(&rig, NUM, false, false);
	offer(&rig, 0, 2);
	expect(&rig, &chain, 0);
	/* An index no driver may write: it isn't looked at. */
	rig_set_avail(&rig, 0x8000);
	expect(&rig, &chain, 1);
	assert_int_equal(vring_take(&rig.ring, &chain), -EPROTO);
	chain_done(&chain);
	rig_done(&rig);
}

/* Other memory may stand there now: what was known of it is not. */
static void a_lost_mapping_forgets_the_drivers_index(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	rig_start(&rig, NUM, false, false);
	offer(&rig, 0, 4);
	expect(&rig, &chain, 0);
	assert_int_equal(rig.ring.avail_seen, 4);
	vring_unmap(&rig.ring);
	offer(&rig, 1, 2);
	assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
	expect(&rig, &chain, 1);
	assert_int_equal(vring_take(&rig.ring, &chain), 0);
	chain_done(&chain);
	rig_done(&rig);
}

static void a_lost_mapping_keeps_the_indices(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_PAGEWISE, true);
	rig_start(&rig, NUM, false, false);
	offer(&rig, 0, 4);
	expect(&rig, &chain, 0);
	expect(&rig, &chain, 1);
	vring_put(&rig.ring, 0, 0);
	vring_publish(&rig.ring);
	vring_unmap(&rig.ring);
	assert_true(vring_check(&rig.ring));
	assert_false(vring_is_mapped(&rig.ring));
	offer(&rig, 2, 6);
	assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
	for (uint16_t i = 2; i != 6; i++)
		expect(&rig, &chain, i);
	assert_int_equal(vring_take(&rig.ring, &chain), 0);
	vring_put(&rig.ring, 1, 0);
	vring_publish(&rig.ring);
	assert_int_equal(rig_get16(&rig, RIG_USED + RING_INDEX_OFFSET), 2);
	chain_done(&chain);
	rig_done(&rig);
}

static void M1_moving_keeps_the_indices(void **state)
{
	struct chain chain = { 0 };
	struct vring_config there;
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_ODD, true);
	rig_start(&rig, NUM, false, false);
	offer(&rig, 0, 3);
	expect(&rig, &chain, 0);
	there = rig.config;
	there.num = 2 * NUM;
	assert_int_equal(vring_move(&rig.ring, &there), -EINVAL);
	assert_true(vring_is_mapped(&rig.ring));
	there.num = NUM;
	there.avail_base = 77;
	there.desc += 0x20000;
	there.avail += 0x20000;
	there.used += 0x20000;
	memcpy(rig.mem + 0x20000, rig.mem, 0x10000);
	memset(rig.mem, 0xff, 0x10000);
	assert_int_equal(vring_move(&rig.ring, &there), 0);
	assert_false(vring_is_mapped(&rig.ring));
	assert_int_equal(vring_parts_in(&rig.ring, (struct range){ there.used, there.used }),
	                 VRING_PART_USED);
	assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
	expect(&rig, &chain, 1);
	expect(&rig, &chain, 2);
	vring_put(&rig.ring, 1, 0);
	vring_publish(&rig.ring);
	assert_int_equal(rig_get16(&rig, 0x20000 + RIG_USED + RING_INDEX_OFFSET), 1);
	chain_done(&chain);
	rig_done(&rig);
}

static void nothing_is_shown_before_it_is_published(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_BYTES, true);
	rig_start(&rig, NUM, false, false);
	offer(&rig, 0, 2);
	expect(&rig, &chain, 0);
	expect(&rig, &chain, 1);
	vring_put(&rig.ring, 5, 0x01020304);
	vring_put(&rig.ring, 6, 9);
	assert_int_equal(rig_get16(&rig, RIG_USED + RING_INDEX_OFFSET), 0);
	vring_publish(&rig.ring);
	assert_int_equal(rig_get16(&rig, RIG_USED + RING_INDEX_OFFSET), 2);
	assert_memory_equal(rig.mem + RIG_USED + 4, "\5\0\0\0\4\3\2\1\6\0\0\0\t\0\0\0", 16);
	chain_done(&chain);
	rig_done(&rig);
}

static void the_first_break_stays(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	rig_start(&rig, NUM, false, false);
	offer(&rig, 0, 2);
	expect(&rig, &chain, 0);
	assert_int_equal(vring_break(&rig.ring, "first"), -EPROTO);
	assert_int_equal(vring_break(&rig.ring, "second"), -EPROTO);
	assert_string_equal(rig.ring.fault, "first");
	assert_int_equal(vring_take(&rig.ring, &chain), -EPROTO);
	/* What was issued before is still completed. */
	vring_put(&rig.ring, 0, 1);
	vring_publish(&rig.ring);
	assert_int_equal(rig_get16(&rig, RIG_USED + RING_INDEX_OFFSET), 1);
	assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
	assert_true(rig.ring.broken);
	assert_int_equal(vring_start(&rig.ring, &rig.config), 0);
	assert_false(rig.ring.broken);
	assert_null(rig.ring.fault);
	chain_done(&chain);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_judges_the_numbers),
		cmocka_unit_test(exactly_the_parts_are_mapped),
		cmocka_unit_test(map_returns_the_holes_of_all_parts),
		cmocka_unit_test(one_hole_unmaps_the_whole_ring),
		cmocka_unit_test(B1_used_index_comes_from_the_ring_at_first_translation),
		cmocka_unit_test(parts_are_found_by_address),
		cmocka_unit_test(untaken_chains_come_again_in_order),
		cmocka_unit_test(V1_a_rewound_chain_restarts_from_nothing),
		cmocka_unit_test(V1_a_taken_chain_is_a_copy),
		cmocka_unit_test(the_index_is_read_only_when_used_up),
		cmocka_unit_test(a_lost_mapping_forgets_the_drivers_index),
		cmocka_unit_test(a_lost_mapping_keeps_the_indices),
		cmocka_unit_test(M1_moving_keeps_the_indices),
		cmocka_unit_test(nothing_is_shown_before_it_is_published),
		cmocka_unit_test(the_first_break_stays),
	};

	return cmocka_run_group_tests_name("vring/vring", tests, NULL, NULL);
}
