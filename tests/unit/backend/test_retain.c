/* SPDX-License-Identifier: BSD-3-Clause */
/* What a chain under assembly keeps while the cache evicts under it (rule F2). */
#include <errno.h>

#include "support/check.h"

#include "backend/retain.h"
#include "iotlb/iotlb.h"

#define PAGE UINT64_C(4096)

static char memory[256 * 4096];

/* A retain over a view of an IOTLB, which the test empties as evictions would. */
struct shelf {
	struct iotlb *tlb;
	struct translate_view below;
	struct retain retain;
};

static int setup(void **state)
{
	static struct shelf shelf;

	shelf.tlb = iotlb_new(1024);
	if (!shelf.tlb || translate_view_init(&shelf.below, 0))
		return -1;
	translate_view_attach(&shelf.below, iotlb_walk, shelf.tlb, true);
	retain_init(&shelf.retain);
	*state = &shelf;
	return 0;
}

static int teardown(void **state)
{
	struct shelf *shelf = *state;

	retain_done(&shelf->retain);
	translate_view_done(&shelf->below);
	iotlb_free(shelf->tlb);
	return 0;
}

static void map(struct shelf *shelf, uint64_t iova, uint64_t len, char *ptr, uint8_t perm)
{
	iotlb_update(shelf->tlb, (struct range){ iova, iova + (len - 1) }, ptr, perm);
}

static void look(struct shelf *shelf, uint64_t iova, uint64_t len, uint8_t perm)
{
	retain_look(&shelf->retain, &shelf->below, iova, len, perm);
}

static void evict_all(struct shelf *shelf)
{
	iotlb_flush(shelf->tlb);
}

/* Translates; the number of holes, and where the first byte is if there are none. */
static unsigned try(struct shelf *shelf, uint64_t iova, uint64_t len, uint8_t perm, char **ret,
                    struct hole *holes)
{
	struct translate_view *view = retain_view(&shelf->retain, &shelf->below);
	struct hole_list list = { .holes = holes, .cap = 8 };
	struct iov_list iov = { 0 };
	int r = translate(view, iova, len, perm, &iov, &list);

	assert_true(r == 0 || r == -EAGAIN);
	*ret = r ? NULL : iov.iov[0].iov_base;
	iov_list_done(&iov);
	return list.n;
}

static void expect_at(struct shelf *shelf, uint64_t iova, uint64_t len, uint8_t perm, char *ptr)
{
	struct hole holes[8];
	char *got;

	assert_int_equal(try(shelf, iova, len, perm, &got, holes), 0);
	assert_ptr_equal(got, ptr);
}

static void expect_hole(struct shelf *shelf, uint64_t iova, uint64_t len, uint8_t perm,
                        struct hole expected)
{
	struct hole holes[8];
	char *got;

	assert_int_equal(try(shelf, iova, len, perm, &got, holes), 1);
	assert_int_equal(holes[0].addr, expected.addr);
	assert_int_equal(holes[0].len, expected.len);
	assert_int_equal(holes[0].perm, perm);
}

static void an_empty_one_is_not_in_the_way(void **state)
{
	struct shelf *shelf = *state;

	assert_ptr_equal(retain_view(&shelf->retain, &shelf->below), &shelf->below);
	look(shelf, 0x5000, PAGE, PERM_READ); /* nothing there: nothing kept */
	assert_ptr_equal(retain_view(&shelf->retain, &shelf->below), &shelf->below);
}

static void F2_what_was_looked_at_outlives_its_entry(void **state)
{
	struct shelf *shelf = *state;

	map(shelf, 0x5000, 2 * PAGE, memory, PERM_RW);
	look(shelf, 0x5800, PAGE, PERM_READ);
	evict_all(shelf);
	expect_at(shelf, 0x5800, PAGE, PERM_READ, memory + 0x800);
	expect_at(shelf, 0x5900, 1, PERM_READ, memory + 0x900);
	/* Only that, and the rest is a hole up to it and from its end on. */
	expect_hole(shelf, 0x5000, PAGE, PERM_READ, (struct hole){ 0x5000, 0x800, 0 });
	expect_hole(shelf, 0x6000, PAGE, PERM_READ, (struct hole){ 0x6800, 0x800, 0 });
}

static void F2_pieces_are_kept_as_they_come(void **state)
{
	struct shelf *shelf = *state;

	/* One entry at a time, as with a cache of one, more than fit at first. */
	for (unsigned i = 0; i < 200; i++) {
		evict_all(shelf);
		map(shelf, i * PAGE, PAGE, memory + (200 - i) * PAGE, PERM_RW);
		look(shelf, 0x10, 200 * PAGE - 0x10, PERM_WRITE);
	}
	evict_all(shelf);
	for (unsigned i = 1; i < 200; i++)
		expect_at(shelf, i * PAGE, PAGE, PERM_WRITE, memory + (200 - i) * PAGE);
	expect_at(shelf, 0x10, 200 * PAGE - 0x10, PERM_WRITE, memory + 200 * PAGE + 0x10);
}

static void what_is_below_comes_first(void **state)
{
	struct shelf *shelf = *state;

	map(shelf, 0x5000, PAGE, memory, PERM_READ);
	look(shelf, 0x5000, PAGE, PERM_READ);
	map(shelf, 0x5000, PAGE, memory + PAGE, PERM_READ);
	expect_at(shelf, 0x5000, PAGE, PERM_READ, memory + PAGE);
}

static void a_kept_piece_gives_no_more_than_it_allows(void **state)
{
	struct shelf *shelf = *state;

	map(shelf, 0x5000, PAGE, memory, PERM_READ);
	map(shelf, 0x6000, PAGE, memory + PAGE, PERM_RW);
	look(shelf, 0x5000, 2 * PAGE, PERM_READ);
	evict_all(shelf);
	expect_at(shelf, 0x6000, 16, PERM_WRITE, memory + PAGE);
	expect_hole(shelf, 0x5000, 16, PERM_WRITE, (struct hole){ 0x5000, 16, 0 });
	/* For writing the kept page behind it is where the hole ends. */
	expect_hole(shelf, 0x5000, 2 * PAGE, PERM_WRITE, (struct hole){ 0x5000, PAGE, 0 });
}

static void what_is_kept_is_not_kept_again(void **state)
{
	struct shelf *shelf = *state;

	map(shelf, 0x5000, PAGE, memory, PERM_RW);
	for (unsigned i = 0; i < 100; i++)
		look(shelf, 0x5000, PAGE, PERM_READ);
	assert_int_equal(shelf->retain.n, 1);
}

static void I2_a_shootdown_drops_what_it_touches_and_no_more(void **state)
{
	static const struct {
		struct range range;
		bool gone[3];
	} cases[] = {
		{ { 0x5fff, 0x5fff }, { true, false, false } },
		{ { 0x6000, 0x6000 }, { false, true, false } },
		{ { 0x5fff, 0x6000 }, { true, true, false } },
		{ { 0x4000, 0x4fff }, { false, false, false } },
		{ { 0x8000, UINT64_MAX }, { false, false, false } },
		{ { 0, UINT64_MAX }, { true, true, true } },
	};
	struct shelf *shelf = *state;
	struct hole holes[8];
	char *got;

	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
		for (unsigned i = 0; i < 3; i++)
			map(shelf, 0x5000 + i * PAGE, PAGE, memory + 2 * i * PAGE, PERM_RW);
		look(shelf, 0x5000, 3 * PAGE, PERM_WRITE);
		evict_all(shelf);
		retain_forget(&shelf->retain, cases[c].range);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(
				try(shelf, 0x5000 + i * PAGE, PAGE, PERM_READ, &got, holes),
				cases[c].gone[i]);
		retain_clear(&shelf->retain);
	}
	expect_hole(shelf, 0x5000, 3 * PAGE, PERM_READ, (struct hole){ 0x5000, 3 * PAGE, 0 });
}

static void the_last_byte_of_the_space_can_be_kept(void **state)
{
	struct shelf *shelf = *state;

	map(shelf, UINT64_MAX - PAGE + 1, PAGE, memory, PERM_RW);
	look(shelf, UINT64_MAX - 15, 16, PERM_READ);
	evict_all(shelf);
	expect_at(shelf, UINT64_MAX, 1, PERM_READ, memory + PAGE - 1);
}

#define SHELF(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHELF(an_empty_one_is_not_in_the_way),
		SHELF(F2_what_was_looked_at_outlives_its_entry),
		SHELF(F2_pieces_are_kept_as_they_come),
		SHELF(what_is_below_comes_first),
		SHELF(a_kept_piece_gives_no_more_than_it_allows),
		SHELF(what_is_kept_is_not_kept_again),
		SHELF(I2_a_shootdown_drops_what_it_touches_and_no_more),
		SHELF(the_last_byte_of_the_space_can_be_kept),
	};

	return cmocka_run_group_tests_name("retain", tests, NULL, NULL);
}
