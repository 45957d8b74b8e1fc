/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains: what may be appended, which tables may be read, which pages are touched. */
#include "rig.h"

#define LIMIT 8u

/* A short name for pages in the tables below. */
#define P(n) ((uint64_t)(n)*TRANSLATE_PAGE)

static void segments_are_counted_by_direction(void **state)
{
	struct chain chain = { 0 };
	const char *fault = NULL;

	(void)state;
	chain_start(&chain, 3, LIMIT);
	assert_int_equal(chain_add(&chain, 0x1000, 16, false, &fault), 0);
	assert_int_equal(chain_add(&chain, 0x2000, 0, false, &fault), 0);
	assert_int_equal(chain_add(&chain, UINT64_MAX, 1, true, &fault), 0);
	assert_int_equal(chain_add(&chain, 0, UINT32_MAX, true, &fault), 0);
	assert_null(fault);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.n, 4);
	assert_int_equal(chain.n_out, 2);
	assert_int_equal(chain.out_len, 16);
	assert_int_equal(chain.in_len, (uint64_t)UINT32_MAX + 1);
	assert_int_equal(chain.segments[1].perm, PERM_READ);
	assert_int_equal(chain.segments[2].perm, PERM_WRITE);
	assert_int_equal(chain.segments[2].addr, UINT64_MAX);

	chain_start(&chain, 1, LIMIT);
	assert_int_equal(chain.n + chain.n_out + chain.out_len + chain.in_len, 0);
	chain_done(&chain);
}

static void a_readable_segment_after_a_writable_one_is_refused(void **state)
{
	struct chain chain = { 0 };
	const char *fault = NULL;

	(void)state;
	chain_start(&chain, 0, LIMIT);
	assert_int_equal(chain_add(&chain, 0, 0, true, &fault), 0);
	assert_int_equal(chain_add(&chain, 0, 1, false, &fault), -EPROTO);
	assert_string_equal(fault, "a readable descriptor follows a writable one");
	assert_int_equal(chain.n, 1);
	chain_done(&chain);
}

static void a_wrapping_segment_is_refused(void **state)
{
	struct chain chain = { 0 };
	const char *fault = NULL;

	(void)state;
	chain_start(&chain, 0, LIMIT);
	assert_int_equal(chain_add(&chain, UINT64_MAX, 2, true, &fault), -EPROTO);
	assert_string_equal(fault, "a buffer wraps around the address space");
	chain_done(&chain);
}

static void the_number_of_segments_is_bounded(void **state)
{
	static const uint16_t limits[] = { 1, 2, 8, 1024, 4 };

	struct chain chain = { 0 };
	const char *fault = NULL;

	(void)state;
	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		chain_start(&chain, 0, limits[i]);
		for (unsigned n = 0; n < 2u * limits[i]; n++)
			assert_int_equal(chain_add(&chain, n, 1, true, &fault), 0);
		assert_int_equal(chain_add(&chain, 0, 1, true, &fault), -EPROTO);
		assert_string_equal(fault, "a chain is longer than the ring and a table");
		for (unsigned n = 0; n < 2u * limits[i]; n++)
			assert_int_equal(chain.segments[n].addr, n);
	}
	chain_done(&chain);
}

/* A chain that ends in a table of two, the second of which lies at @next. */
static void chain_with_table(struct rig *rig, struct chain *chain, uint16_t next)
{
	const char *fault;

	rig_set_desc(rig, RIG_TABLES, 0, (struct ring_desc){ 0x5000, 10, DESC_NEXT, next });
	rig_set_desc(rig, RIG_TABLES, 1, (struct ring_desc){ 0x6000, 20, DESC_WRITE, 0 });
	chain_start(chain, 0, LIMIT);
	assert_int_equal(chain_add(chain, 0x4000, 5, false, &fault), 0);
	chain->table = (struct segment){ rig_addr(rig, RIG_TABLES), 32, PERM_READ };
}

static void assert_before_the_table(const struct chain *chain)
{
	assert_int_equal(chain->n, 1);
	assert_int_equal(chain->n_out, 1);
	assert_int_equal(chain->out_len, 5);
	assert_int_equal(chain->in_len, 0);
	assert_int_equal(chain->table.len, 32);
	assert_false(area_is_mapped(&chain->scratch));
}

static void a_table_is_read_whole_or_not_at_all(void **state)
{
	(void)state;
	for (enum rig_cut cut = 0; cut < RIG_CUTS; cut++) {
		struct chain chain = { 0 };
		const char *fault;
		struct rig rig;

		rig_init(&rig, cut, true);
		chain_with_table(&rig, &chain, 1);
		rig_lose(&rig, RIG_TABLES + 17, 3);
		assert_int_equal(chain_load_table(&chain, &rig.view, &rig.holes, &fault), -EAGAIN);
		assert_before_the_table(&chain);
		assert_int_equal(rig.holes.n, 1);
		assert_int_equal(rig.holes_at[0].addr, rig_addr(&rig, RIG_TABLES + 17));
		assert_int_equal(rig.holes_at[0].len, 3);
		assert_int_equal(rig.holes_at[0].perm, PERM_READ);

		rig_find(&rig);
		assert_int_equal(chain_load_table(&chain, &rig.view, &rig.holes, &fault), 0);
		assert_int_equal(chain.n, 3);
		assert_int_equal(chain.n_out, 2);
		assert_int_equal(chain.out_len, 15);
		assert_int_equal(chain.in_len, 20);
		assert_int_equal(chain.segments[1].addr, 0x5000);
		assert_int_equal(chain.segments[2].addr, 0x6000);
		assert_int_equal(chain.table.len, 0);
		assert_false(area_is_mapped(&chain.scratch));
		chain_done(&chain);
		rig_done(&rig);
	}
}

static void final_holes_of_a_table_are_told_apart(void **state)
{
	struct chain chain = { 0 };
	const char *fault;
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, false);
	chain_with_table(&rig, &chain, 1);
	rig_lose(&rig, RIG_TABLES, 1);
	assert_int_equal(chain_load_table(&chain, &rig.view, &rig.holes, &fault), -EFAULT);
	assert_before_the_table(&chain);
	chain_done(&chain);
	rig_done(&rig);
}

static void a_malformed_table_leaves_the_chain_as_before(void **state)
{
	struct chain chain = { 0 };
	const char *fault = NULL;
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	chain_with_table(&rig, &chain, 2);
	assert_int_equal(chain_load_table(&chain, &rig.view, &rig.holes, &fault), -EPROTO);
	assert_string_equal(fault, "next is outside of the indirect table");
	assert_before_the_table(&chain);
	chain_done(&chain);
	rig_done(&rig);
}

struct pages_case {
	const char *name;
	struct {
		uint64_t addr;
		uint32_t len;
		bool writable;
	} segments[6];
	uint64_t pages;
};

static const struct pages_case pages_cases[] = {
	{ "nothing", { { 0 } }, 0 },
	{ "zero length", { { P(1), 0, true } }, 0 },
	{ "one byte", { { P(1) + 5, 1 } }, 1 },
	{ "a whole page", { { P(1), 4096 } }, 1 },
	{ "a page and a byte", { { P(1), 4097 } }, 2 },
	{ "two bytes on a border", { { P(2) - 1, 2 } }, 2 },
	{ "a page shared", { { P(1), 16 }, { P(1) + 32, 16 }, { P(1) + 8, 2 } }, 1 },
	{ "a page shared by both directions", { { P(1), 16 }, { P(1) + 32, 16, true } }, 2 },
	{ "scattered, met twice",
	  { { P(5), 1 }, { P(2), 1 }, { P(5) + 9, 1 }, { P(2) + 9, 1 } },
	  2 },
	{ "one inside another", { { P(1), 5 * 4096 }, { P(3), 4096 } }, 5 },
	{ "behind a longer one", { { P(1), 5 * 4096 }, { P(2), 1 }, { P(5), 8192 } }, 6 },
	{ "the largest", { { 0, UINT32_MAX }, { 1, UINT32_MAX } }, 1u << 20 },
	{ "the last page", { { P(0) - 1, 1, true }, { P(0) - 4096, 1, true } }, 1 },
};

static void pages_are_counted_once_for_each_permission(void **state)
{
	struct chain chain = { 0 };
	const char *fault;

	(void)state;
	for (unsigned i = 0; i < sizeof(pages_cases) / sizeof(pages_cases[0]); i++) {
		const struct pages_case *c = &pages_cases[i];

		print_message("  %s\n", c->name);
		chain_start(&chain, 0, LIMIT);
		for (unsigned s = 0; s < 6; s++)
			if (c->segments[s].addr || c->segments[s].len)
				assert_int_equal(chain_add(&chain, c->segments[s].addr,
				                           c->segments[s].len,
				                           c->segments[s].writable, &fault),
				                 0);
		assert_int_equal(chain_pages(&chain), c->pages);
	}
	chain_done(&chain);
}

/* The same, against a map of all pages. */
static void pages_of_random_chains_are_counted(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	struct chain chain = { 0 };
	const char *fault;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		bool touched[2][80] = { { false } };
		/* As short as most chains are, and long ones. */
		unsigned n = rig_random(&seed, round % 2 ? 200 : 9);
		unsigned n_out = rig_random(&seed, n + 1);
		unsigned pages = 1 + rig_random(&seed, 64), want = 0;

		chain_start(&chain, 0, 256);
		for (unsigned i = 0; i < n; i++) {
			uint64_t addr = rig_random(&seed, pages * TRANSLATE_PAGE);
			uint32_t len = rig_random(&seed, rig_random(&seed, 8) ? 4096 : 40000);

			assert_int_equal(chain_add(&chain, addr, len, i >= n_out, &fault), 0);
			for (uint64_t p = addr / 4096; len && p <= (addr + len - 1) / 4096; p++)
				touched[i >= n_out][p] = true;
		}
		for (unsigned p = 0; p < 80; p++)
			want += touched[0][p] + touched[1][p];
		assert_int_equal(chain_pages(&chain), want);
	}
	chain_done(&chain);
}

static void overlap_is_by_byte(void **state)
{
	static const struct {
		struct range range;
		bool meets;
	} cases[] = {
		{ { 0, 0xfff }, false },       { { 0, 0x1000 }, true },
		{ { 0x100f, 0x100f }, true },  { { 0x1010, 0x1fff }, false },
		{ { 0x2000, 0x2000 }, false }, { { 0x2fff, 0x3000 }, true },
		{ { 0x301f, 0x3020 }, true },  { { 0x3020, UINT64_MAX }, false },
		{ { 0x2000, 0x2fff }, false }, { { 0, UINT64_MAX }, true },
		{ { 0x1800, 0x2fff }, false },
	};
	struct chain chain = { 0 };
	const char *fault;

	(void)state;
	chain_start(&chain, 0, LIMIT);
	assert_int_equal(chain_add(&chain, 0x1000, 0x10, false, &fault), 0);
	assert_int_equal(chain_add(&chain, 0x2000, 0, true, &fault), 0);
	chain.table = (struct segment){ 0x3000, 0x20, PERM_READ };
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(chain_overlaps(&chain, cases[i].range), cases[i].meets);
	chain_done(&chain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_counted_by_direction),
		cmocka_unit_test(a_readable_segment_after_a_writable_one_is_refused),
		cmocka_unit_test(a_wrapping_segment_is_refused),
		cmocka_unit_test(the_number_of_segments_is_bounded),
		cmocka_unit_test(a_table_is_read_whole_or_not_at_all),
		cmocka_unit_test(final_holes_of_a_table_are_told_apart),
		cmocka_unit_test(a_malformed_table_leaves_the_chain_as_before),
		cmocka_unit_test(pages_are_counted_once_for_each_permission),
		cmocka_unit_test(pages_of_random_chains_are_counted),
		cmocka_unit_test(overlap_is_by_byte),
	};

	return cmocka_run_group_tests_name("vring/chain", tests, NULL, NULL);
}
