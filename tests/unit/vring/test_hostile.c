/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver may not write into a ring, each by its name, and what it just may. */
#include "rig.h"

#define NUM 8u

enum { N = DESC_NEXT, W = DESC_WRITE, I = DESC_INDIRECT };

#define TABLE UINT64_MAX /* stands for the table's address */

struct hostile_case {
	const char *fault; /* NULL: legal */
	const char *name;
	uint16_t avail; /* index; 0 stands for 1 */
	uint16_t head;
	bool plain; /* indirect not negotiated */
	struct ring_desc desc[NUM];
	struct ring_desc table[NUM];
	unsigned n; /* segments, if legal */
};

static const struct hostile_case cases[] = {
	{ "the available index jumps by more than the ring's size", "by one", .avail = NUM + 1 },
	{ "the available index jumps by more than the ring's size", "back", .avail = UINT16_MAX },
	{ NULL, "a full ring", .avail = NUM, .n = 1 },
	{ "an available head is outside of the ring", "by one", .head = NUM },
	{ "an available head is outside of the ring", "far", .head = UINT16_MAX },
	{ NULL, "the last head", .head = NUM - 1, .n = 1 },
	{ "next is outside of the ring", "by one", .desc = { { 1, 1, N, NUM } } },
	{ "next is outside of the ring", "far", .desc = { { 1, 1, N, UINT16_MAX } } },
	{ NULL, "next without its flag", .desc = { { 1, 1, 0, UINT16_MAX } }, .n = 1 },
	{ "a loop in the descriptor table", "of one", .desc = { { 1, 1, N, 0 } } },
	{ "a loop in the descriptor table", "of two", .desc = { { 1, 1, N, 1 }, { 1, 1, N, 0 } } },
	{ "a loop in the descriptor table", "of all",
	  .desc = { { 1, 1, N, 1 },
	            { 1, 1, N, 2 },
	            { 1, 1, N, 3 },
	            { 1, 1, N, 4 },
	            { 1, 1, N, 5 },
	            { 1, 1, N, 6 },
	            { 1, 1, N, 7 },
	            { 1, 1, N, 0 } } },
	{ NULL, "as long as the ring",
	  .desc = { { 1, 1, N, 1 },
	            { 1, 1, N, 2 },
	            { 1, 1, N, 3 },
	            { 1, 1, N, 4 },
	            { 1, 1, N, 5 },
	            { 1, 1, N, 6 },
	            { 1, 1, N, 7 },
	            { 1, 1, W, 0 } },
	  .n = NUM },
	{ "a readable descriptor follows a writable one", "at once",
	  .desc = { { 1, 1, N | W, 1 }, { 1, 1, 0, 0 } } },
	{ "a buffer wraps around the address space", "by one",
	  .desc = { { UINT64_MAX, 2, 0, 0 } } },
	{ NULL, "a buffer ends with the address space", .desc = { { UINT64_MAX, 1, W, 0 } },
	  .n = 1 },
	{ NULL, "empty buffers", .desc = { { 0, 0, N, 1 }, { UINT64_MAX, 0, W, 0 } }, .n = 2 },
	{ NULL, "unknown flags", .desc = { { 1, 1, 0xfff8, 0 } }, .n = 1 },

	{ "an indirect descriptor, which was not negotiated", "first", .plain = true,
	  .desc = { { TABLE, 16, I, 0 } } },
	{ "an indirect descriptor has a next one", "in the ring",
	  .desc = { { TABLE, 16, I | N, 1 }, { 1, 1, 0, 0 } } },
	{ "an indirect table is empty", "at once", .desc = { { TABLE, 0, I, 0 } } },
	{ "an indirect table is no multiple of 16 bytes long", "less than one",
	  .desc = { { TABLE, 15, I, 0 } } },
	{ "an indirect table is no multiple of 16 bytes long", "more than one",
	  .desc = { { TABLE, 24, I, 0 } } },
	{ "an indirect table is longer than the ring", "by one",
	  .desc = { { TABLE, 16 * (NUM + 1), I, 0 } } },
	{ "an indirect table is longer than the ring", "by as much as can be",
	  .desc = { { TABLE, 0xfffffff0, I, 0 } } },
	{ "an indirect table wraps around the address space", "by one entry",
	  .desc = { { -16ull, 32, I, 0 } } },
	{ "an indirect descriptor within an indirect table", "at its begin",
	  .desc = { { TABLE, 32, I, 0 } }, .table = { { TABLE, 16, I, 0 } } },
	{ "an indirect descriptor within an indirect table", "at its end",
	  .desc = { { TABLE, 32, I, 0 } }, .table = { { 1, 1, N, 1 }, { TABLE, 16, I, 0 } } },
	{ "next is outside of the indirect table", "by one", .desc = { { TABLE, 32, I, 0 } },
	  .table = { { 1, 1, N, 2 }, { 1, 1, 0, 0 }, { 1, 1, 0, 0 } } },
	{ "next is outside of the indirect table", "far", .desc = { { TABLE, 16 * NUM, I, 0 } },
	  .table = { { 1, 1, N, UINT16_MAX } } },
	{ "a loop in an indirect table", "of one", .desc = { { TABLE, 16, I, 0 } },
	  .table = { { 1, 1, N, 0 } } },
	{ "a loop in an indirect table", "of two", .desc = { { TABLE, 16 * NUM, I, 0 } },
	  .table = { { 1, 1, N, 1 }, { 1, 1, N, 0 } } },
	{ "a readable descriptor follows a writable one", "across the table's begin",
	  .desc = { { 1, 1, N | W, 1 }, { TABLE, 16, I, 0 } }, .table = { { 1, 1, 0, 0 } } },
	{ "a buffer wraps around the address space", "in a table", .desc = { { TABLE, 16, I, 0 } },
	  .table = { { -1ull, 2, 0, 0 } } },
	{ NULL, "a table, written to as it says (2.7.5.3.2)", .desc = { { TABLE, 16, I | W, 0 } },
	  .table = { { 1, 1, 0, 0 } }, .n = 1 },
	{ NULL, "a table behind plain descriptors",
	  .desc = { { 1, 1, N, 4 }, [4] = { TABLE, 32, I | W, 0 } },
	  .table = { { 1, 1, N, 1 }, { 1, 1, W, 0 } }, .n = 3 },
	{ NULL, "a table out of order and longer than used", .desc = { { TABLE, 16 * NUM, I, 0 } },
	  .table = { { 1, 1, N, 5 }, [2] = { 1, 1, W, 1 }, [5] = { 1, 1, N, 2 } }, .n = 3 },
	{ NULL, "the longest chain there is",
	  .desc = { { 1, 1, N, 1 },
	            { 1, 1, N, 2 },
	            { 1, 1, N, 3 },
	            { 1, 1, N, 4 },
	            { 1, 1, N, 5 },
	            { 1, 1, N, 6 },
	            { 1, 1, N, 7 },
	            { TABLE, 128, I, 0 } },
	  .table = { { 1, 1, N, 1 },
	             { 1, 1, N, 2 },
	             { 1, 1, N, 3 },
	             { 1, 1, N, 4 },
	             { 1, 1, N, 5 },
	             { 1, 1, N, 6 },
	             { 1, 1, N, 7 },
	             { 1, 1, W, 0 } },
	  .n = 2 * NUM - 1 },
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static void write_table(struct rig *rig, uint32_t offset, const struct ring_desc *desc)
{
	for (unsigned i = 0; i < NUM; i++) {
		struct ring_desc d = desc[i];

		if (d.addr == TABLE && d.flags & DESC_INDIRECT)
			d.addr = rig_addr(rig, RIG_TABLES);
		rig_set_desc(rig, offset, i, d);
	}
}

static void write_case(struct rig *rig, const struct hostile_case *c)
{
	rig->config = rig_config(rig, NUM, false, !c->plain);
	write_table(rig, RIG_DESC, c->desc);
	write_table(rig, RIG_TABLES, c->table);
	rig_set_avail(rig, c->avail ? c->avail : 1);
	rig_set_head(rig, 0, c->head);
}

/* As a queue does. */
static int take_whole(struct rig *rig, struct chain *chain)
{
	const char *fault;
	int rc = vring_take(&rig->ring, chain);

	if (rc != 1 || !chain->table.len)
		return rc;
	rc = chain_load_table(chain, &rig->view, &rig->holes, &fault);
	if (rc == -EPROTO)
		return vring_break(&rig->ring, fault);
	return rc ? rc : 1;
}

static void judge(struct rig *rig, const struct hostile_case *c)
{
	struct chain chain = { 0 };
	int rc;

	write_case(rig, c);
	rig_start(rig, NUM, false, !c->plain);
	rc = take_whole(rig, &chain);
	if (c->fault) {
		assert_int_equal(rc, -EPROTO);
		assert_string_equal(rig->ring.fault, c->fault);
		assert_int_equal(vring_take(&rig->ring, &chain), -EPROTO);
		assert_false(vring_arm(&rig->ring));
	} else {
		assert_null(rig->ring.fault);
		assert_int_equal(rc, 1);
		assert_int_equal(chain.n, c->n);
		assert_int_equal(chain.head, c->head);
	}
	assert_true(vring_check(&rig->ring));
	chain_done(&chain);
}

static void each_fault_has_its_reason(void **state)
{
	(void)state;
	for (enum rig_cut cut = 0; cut < RIG_CUTS; cut++) {
		struct rig rig;

		rig_init(&rig, cut, true);
		for (unsigned i = 0; i < CASES; i++) {
			print_message("  %s: %s: %s\n", rig_cut_names[cut],
			              cases[i].fault ? cases[i].fault : "legal", cases[i].name);
			judge(&rig, &cases[i]);
		}
		rig_done(&rig);
	}
}

/* Else a driver that never rests could have a batch put more than a used ring holds. */
static void chains_under_way_are_bounded_by_the_ring(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	rig_start(&rig, NUM, false, false);
	rig_set_avail(&rig, NUM);
	for (unsigned i = 0; i < NUM; i++)
		assert_int_equal(vring_take(&rig.ring, &chain), 1);
	assert_int_equal(vring_take(&rig.ring, &chain), 0);
	vring_put(&rig.ring, 0, 0);
	vring_put(&rig.ring, 1, 0);
	vring_publish(&rig.ring);
	vring_untake(&rig.ring, 2);
	rig_set_avail(&rig, NUM + 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vring_take(&rig.ring, &chain), 1);
	/* Put, but nobody has been shown. */
	vring_put(&rig.ring, 2, 0);
	rig_set_avail(&rig, NUM + 3);
	assert_int_equal(vring_take(&rig.ring, &chain), -EPROTO);
	assert_string_equal(rig.ring.fault,
	                    "more chains are under way than the ring has descriptors");
	chain_done(&chain);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fault_has_its_reason),
		cmocka_unit_test(chains_under_way_are_bounded_by_the_ring),
	};

	return cmocka_run_group_tests_name("vring/hostile", tests, NULL, NULL);
}
