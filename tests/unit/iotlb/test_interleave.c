/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One entry and one slot of the hash, read in every order of steps that a writer
 * beside the reader can bring about: what is read was there at one moment.
 */
#include "interleave.h"

#include "iotlb/entry.c"
#undef KEEP
#include "iotlb/pagehash_slot.c"

#include "iotlb/pagehash.c"

#define ENTRIES    16384u
#define PAGE       UINT64_C(4096)
#define ROWS_LEAST 8u
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))

struct desk {
	struct arena arena;
	struct entry_pool pool;
	struct pagehash hash;
	uint64_t ways, found;
};

static struct desk desk;

static int start(void **state)
{
	memset(&script, 0, sizeof(script));
	memset(&desk, 0, sizeof(desk));
	assert_int_equal(arena_init(&desk.arena,
	                            entry_pool_size(ENTRIES) + pagehash_size(ENTRIES, ROWS_LEAST)),
	                 0);
	entry_pool_init(&desk.pool, &desk.arena, ENTRIES);
	pagehash_init(&desk.hash, &desk.arena, &desk.pool, ROWS_LEAST);
	return 0;
}

static int end(void **state)
{
	arena_done(&desk.arena);
	return 0;
}

/* No two of them are alike in anything. */
static const struct translation told[] = {
	{ { 0x1000, 0x1fff }, 0x10000, 1 }, { { 0x2000, 0x2aaa }, 0x20000, 2 },
	{ { 0x3000, 0x3bbb }, 0x30000, 3 }, { { 0, 0 }, 0, 0 },
	{ { 0x5000, 0x5ddd }, 0x50000, 1 },
};

static bool alike(const struct translation *a, const struct translation *b)
{
	return a->perm == b->perm &&
	       (!a->perm || (a->delta == b->delta && a->range.start == b->range.start &&
	                     a->range.last == b->range.last));
}

/* No change is under way when the reader begins, and none begins while it reads. */
static bool is_undisturbed(void)
{
	for (unsigned i = 0; i <= script.n_changes; i++)
		if (script.from == script.end[i] && script.at == script.end[i])
			return true;
	return false;
}

static void read_entry(void)
{
	bool right = false, good;
	struct translation t;

	reader_begin(script.turn[0].to);
	good = entry_read(&desk.pool.entries[1], &t);
	reader_end();
	assert_true(script.loads <= script.n_turns);
	assert_true(good || !is_undisturbed());
	for (unsigned i = 0; i <= script.n_changes; i++)
		right |= was_so(i) && alike(&told[i], &t);
	assert_true(right || !good);
	desk.ways++;
	desk.found += good;
}

static void U2_an_entry_is_read_as_it_was_at_one_moment(void **state)
{
	assert_int_equal(entry_take(&desk.pool, &told[0]), 1);
	script_begin();
	for (unsigned i = 1; i < COUNT(told); i++) {
		if (!told[i].perm)
			entry_give(&desk.pool, 1);
		else if (told[i - 1].perm)
			entry_set(&desk.pool, 1, &told[i]);
		else
			assert_int_equal(entry_take(&desk.pool, &told[i]), 1);
		script_mark();
	}
	script_end();
	all_ways(5, read_entry);
	assert_true(desk.found > 0 && desk.found < desk.ways);
}

/* Pages that want the same place of the same row; of two tags, and of two places of one tag. */
#define PAGE_A UINT64_C(5)
#define PAGE_B (PAGE_A + (UINT64_C(1) << 14))
#define PAGE_C (PAGE_A + 64)

static const struct {
	uint64_t page, to; /* 0: the last one goes */
} told_pages[] = {
	{ PAGE_A, 0x100 }, { 0, 0 }, { PAGE_B, 0x200 }, { 0, 0 }, { PAGE_C, 0x300 },
};

static struct {
	struct pagehash_row *row;
	unsigned place;
	uint32_t tag;
	uint32_t tag_at[STORES_MAX]; /* of that place, after so many stores */
	uint64_t value_at[STORES_MAX];
} watch;

static void read_slot(void)
{
	bool right = false, always = true;
	uint64_t value;

	reader_begin(script.turn[0].to);
	value = pagehash_slot(watch.row, watch.place, watch.tag);
	reader_end();
	assert_true(script.loads <= script.n_turns);
	for (unsigned at = script.from; at <= script.at; at++) {
		bool so = watch.tag_at[at] == watch.tag && watch.value_at[at];

		right |= so && watch.value_at[at] == value;
		always &= so && at == script.from;
	}
	assert_true(value ? right : !always);
	desk.ways++;
	desk.found += value != 0;
}

/* What a page's slot says, by its tag; whoever sees the place sees that or nothing. */
static bool place_is_sound(uint32_t tag, uint64_t value)
{
	for (unsigned i = 0; i < COUNT(told_pages); i++)
		if (told_pages[i].page && granule_tag(told_pages[i].page, 0) == tag &&
		    (told_pages[i].to * PAGE | granule_low(told_pages[i].page) | 3) == value)
			return true;
	return !value;
}

static void page_goes_and_comes(unsigned i, struct translation *t)
{
	uint64_t start = told_pages[i].page * PAGE;

	if (!told_pages[i].page) {
		pagehash_remove(&desk.hash, 1, t);
		entry_give(&desk.pool, 1);
		return;
	}
	*t = (struct translation){ { start, start + (PAGE - 1) },
		                   told_pages[i].to * PAGE - start,
		                   3 };
	assert_int_equal(entry_take(&desk.pool, t), 1);
	pagehash_add(&desk.hash, 1, t);
}

static void U2_a_slot_is_read_as_it_was_at_one_moment(void **state)
{
	struct translation t = { 0 };
	struct slots slots;

	script_begin();
	for (unsigned i = 0; i < COUNT(told_pages); i++) {
		page_goes_and_comes(i, &t);
		script_mark();
		if (i)
			continue;
		slots_of(1, &t, &slots);
		watch.row = slot_find(&desk.hash, &slots.slot[0], &watch.place);
		assert_non_null(watch.row);
	}
	script_end();
	for (unsigned at = 0; at <= script.n; at++) {
		script_go(at);
		watch.tag_at[at] = tag_of(watch.row, watch.place);
		watch.value_at[at] = value_of(watch.row, watch.place);
		assert_true(place_is_sound(watch.tag_at[at], watch.value_at[at]));
	}
	for (unsigned i = 0; i < COUNT(told_pages); i += 2) {
		watch.tag = granule_tag(told_pages[i].page, 0);
		all_ways(4, read_slot);
	}
	assert_true(desk.found > 0 && desk.found < desk.ways);
}

/*
 * A row so far up that its memory is given back when the hash is emptied, and pages
 * that fill it and its neighbours, none of which has tag 0.
 */
#define HIGH_ROW   5600u
#define HIGH_PLACE 1u
#define MANY_PAGES 16000u
#define FIRST_PAGE (UINT64_C(4) * HIGH_ROW + (UINT64_C(1) << 17) - MANY_PAGES / 2)

static void put(uint64_t page)
{
	const struct translation t = { { page * PAGE, page * PAGE + (PAGE - 1) }, PAGE, 3 };

	pagehash_add(&desk.hash, entry_take(&desk.pool, &t), &t);
}

/* Before the value is loaded the map fills, before the last load it is emptied. */
static void fill_and_empty(unsigned load)
{
	const struct pagehash_row *row = &desk.hash.rows[HIGH_ROW];

	if (load == 3) {
		for (unsigned i = 0; i < MANY_PAGES; i++)
			put(FIRST_PAGE + i);
		assert_true(value_of(row, HIGH_PLACE) != 0);
	} else if (load == 4) {
		pagehash_reset(&desk.hash);
		entry_pool_reset(&desk.pool);
		assert_true(atomic_load(&row->version) == 0);
	}
}

static void U2_a_row_that_was_given_back_is_no_row_that_never_was(void **state)
{
	uint64_t value;

	script.meanwhile = fill_and_empty;
	reader_begin(0);
	value = pagehash_slot(&desk.hash.rows[HIGH_ROW], HIGH_PLACE, 0);
	reader_end();
	assert_true(value == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(U2_an_entry_is_read_as_it_was_at_one_moment),
		TEST(U2_a_slot_is_read_as_it_was_at_one_moment),
		TEST(U2_a_row_that_was_given_back_is_no_row_that_never_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
