/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hash of pages beside the pool it speaks of: what is found is right, and
 * of what was removed nothing is found, wherever it had been.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "iotlb/pagehash_slot.h"
#include "memory/translate.h"

#define ENTRIES_MAX 8192u
#define PAGE        UINT64_C(4096)
#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))

struct desk {
	struct arena arena;
	struct entry_pool pool;
	struct pagehash hash;
	uint64_t seed;
};

static struct desk desk;

static int start(void **state)
{
	desk = (struct desk){ .seed = 0x9e3779b97f4a7c15u };
	assert_int_equal(
		arena_init(&desk.arena, entry_pool_size(ENTRIES_MAX) + pagehash_size(ENTRIES_MAX)),
		0);
	entry_pool_init(&desk.pool, &desk.arena, ENTRIES_MAX);
	pagehash_init(&desk.hash, &desk.arena, &desk.pool);
	return 0;
}

static int end(void **state)
{
	arena_done(&desk.arena);
	return 0;
}

static uint64_t random_next(void)
{
	desk.seed ^= desk.seed << 13;
	desk.seed ^= desk.seed >> 7;
	desk.seed ^= desk.seed << 17;
	return desk.seed;
}

static uint64_t rows(void)
{
	return atomic_load(&desk.hash.n_rows);
}

/* No two of them have the same local addresses. */
static struct translation made(uint64_t start, uint64_t size, uint64_t number)
{
	uint64_t to = (number << 24) + (start & (PAGE - 1));

	return (struct translation){ { start, start + (size - 1) }, to - start, PERM_RW };
}

static uint32_t add(const struct translation *t)
{
	uint32_t id = entry_take(&desk.pool, t);

	pagehash_add(&desk.hash, id, t);
	return id;
}

/* Whether any slot at all has the entry's page or id, in all the rows there ever are. */
static bool is_anywhere(uint32_t id, const struct translation *t)
{
	uint64_t page = (t->range.start + t->delta) & ~(PAGE - 1);

	for (uint64_t r = 0; r < desk.hash.peak_rows; r++) {
		for (unsigned i = 0; i < PAGEHASH_SLOTS; i++) {
			uint64_t value = value_of(&desk.hash.rows[r], i);

			if (value & PAGEHASH_PERM ? (value & ~(PAGE - 1)) == page
			                          : value >> PAGEHASH_HIGH_SHIFT == id)
				return true;
		}
	}
	return false;
}

/* How many of an entry's slots are in one of their two rows. */
static unsigned found(uint32_t id)
{
	struct translation t = entry_get(&desk.pool, id);
	struct slots slots;
	unsigned n = 0, at;

	slots_of(id, &t, &slots);
	for (unsigned i = 0; i < slots.n; i++)
		n += slot_find(&desk.hash, &slots.slot[i], &at) != NULL;
	return n;
}

static void drop(uint32_t id)
{
	struct translation t = entry_get(&desk.pool, id);

	pagehash_remove(&desk.hash, id, &t);
	assert_false(is_anywhere(id, &t));
	entry_give(&desk.pool, id);
}

static void an_entry_has_the_slots_its_size_and_place_ask_for(void **state)
{
	static const struct {
		struct range range;
		uint64_t delta;
		unsigned slots, class;
	} table[] = {
		{ { 0x5000, 0x5fff }, 0x100000, 1, 0 },
		{ { 0x5000, 0x5ffe }, 0x100000, 0, 0 }, /* smaller */
		{ { 0x5000, 0x5fff }, 0x100001, 1, 0 }, /* memory unaligned */
		{ { 0x5800, 0x67ff }, 0x100000, 2, 0 }, /* unaligned */
		{ { 0x5000, 0x6000 }, 0, 2, 1 },        /* granules of two pages */
		{ { 0x4000, 0x5fff }, 0, 1, 1 },
		{ { 0x5000, 0x6fff }, 0, 2, 1 },
		{ { 0x7000, 0x9fff }, 0, 2, 2 },
		{ { 0, 0x3fffffff }, 0, 1, 18 },
		{ { 0x40000000, 0x7fffffff }, 0, 1, 18 },
		{ { 0x40001000, 0x80000fff }, 0, 2, 18 },
		{ { 0, UINT64_MAX }, 0, 2, 51 },
		{ { 0, UINT64_MAX - 1 }, 0, 2, 51 },
		{ { UINT64_MAX - 0xfff, UINT64_MAX }, 0, 1, 0 },
		{ { UINT64_C(1) << 54, (UINT64_C(1) << 54) + 0xfff }, 0, 1, 0 },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		const struct translation t = { table[i].range, table[i].delta, PERM_READ };
		uint64_t class = table[i].slots ? UINT64_C(1) << table[i].class : 0;
		uint32_t id = add(&t);

		assert_int_equal(found(id), table[i].slots);
		assert_int_equal(desk.hash.n_slots, table[i].slots);
		assert_true(atomic_load(&desk.hash.classes) == class);
		assert_true(pagehash_check(&desk.hash));
		drop(id);
		assert_true(atomic_load(&desk.hash.classes) == 0);
		assert_true(pagehash_check(&desk.hash));
	}
}

static void a_class_lasts_as_long_as_it_has_entries(void **state)
{
	struct translation a = made(0x100000, 2 * PAGE, 1), b = made(0x200000, 2 * PAGE, 2);
	uint32_t id_a = add(&a), id_b = add(&b);

	drop(id_a);
	assert_true(atomic_load(&desk.hash.classes) == 2);
	drop(id_b);
	assert_true(atomic_load(&desk.hash.classes) == 0);
}

static void same_says_whether_slots_change(void **state)
{
	struct translation page = made(0x5000, PAGE, 1), other = page, two = page, four;

	other.perm = PERM_READ;
	two.range.last += PAGE;
	four = two;
	assert_true(pagehash_same(&page, &page));
	assert_false(pagehash_same(&page, &other));
	assert_false(pagehash_same(&page, &two));
	/* By their id: where they lead is for the entry to say. */
	four.perm = PERM_READ;
	four.range.last--;
	assert_true(pagehash_same(&two, &four));
	four.range.last += PAGE;
	assert_false(pagehash_same(&two, &four));
}

/* Alike in all that chooses a row of the first 2^16. */
static void full_rows_leave_entries_without_slots(void **state)
{
	uint32_t id[64];
	unsigned slots = 0;

	for (unsigned i = 0; i < COUNT(id); i++) {
		struct translation t = made((uint64_t)i << 52, PAGE, i + 1);

		id[i] = add(&t);
		assert_true(pagehash_check(&desk.hash));
	}
	for (unsigned i = 0; i < COUNT(id); i++)
		slots += found(id[i]);
	assert_int_equal(slots, PAGEHASH_SLOTS);
	for (unsigned i = 0; i < COUNT(id); i++) {
		drop(id[i]);
		assert_true(pagehash_check(&desk.hash));
	}
	assert_int_equal(desk.hash.n_slots, 0);
}

static void rows_follow_the_number_of_slots(void **state)
{
	uint64_t least = rows();
	static uint32_t id[ENTRIES_MAX];

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < ENTRIES_MAX; i++) {
			struct translation t = made(i * PAGE, PAGE, i + 1);

			id[i] = add(&t);
			if (i % 512 == 0)
				assert_true(pagehash_check(&desk.hash));
			assert_in_range(rows() * PAGEHASH_SLOTS, i,
			                (i + 1) * PAGEHASH_SLOTS * 5 / 8 + least * PAGEHASH_SLOTS);
		}
		for (unsigned i = 0; i < ENTRIES_MAX; i++)
			assert_int_equal(found(id[i]), 1);
		for (unsigned i = 0; i < ENTRIES_MAX; i++) {
			/* Half of them in order, the rest from the other end. */
			unsigned at = i % 2 ? ENTRIES_MAX - 1 - i / 2 : i / 2;
			struct translation t = entry_get(&desk.pool, id[at]);

			pagehash_remove(&desk.hash, id[at], &t);
			entry_give(&desk.pool, id[at]);
			if (i % 512 == 0)
				assert_true(pagehash_check(&desk.hash));
		}
		assert_int_equal(rows(), least);
		assert_true(pagehash_check(&desk.hash));
	}
}

static void after_a_reset_nothing_is_found(void **state)
{
	uint64_t least = rows();

	for (unsigned i = 0; i < 3000; i++) {
		struct translation t = made(i * 3 * PAGE, (1 + i % 3) * PAGE, i + 1);

		add(&t);
	}
	pagehash_reset(&desk.hash);
	for (uint32_t id = 1; id <= 3000; id++)
		assert_int_equal(found(id), 0);
	for (uint64_t r = 0; r < desk.hash.most_rows; r++)
		for (unsigned i = 0; i < PAGEHASH_SLOTS; i++)
			assert_true(value_of(&desk.hash.rows[r], i) == 0);
	entry_pool_reset(&desk.pool);
	assert_int_equal(rows(), least);
	assert_true(pagehash_check(&desk.hash));
}

static void a_use_is_told_once(void **state)
{
	struct translation t = made(7 * PAGE, PAGE, 1), two = made(8 * PAGE, 2 * PAGE, 2);
	uint32_t id = add(&t);
	struct pagehash_row *row;
	struct slots slots;
	unsigned at;

	add(&two);
	slots_of(id, &t, &slots);
	row = slot_find(&desk.hash, &slots.slot[0], &at);
	assert_non_null(row);
	assert_false(pagehash_unmark(&desk.hash, &t));
	pagehash_mark(row, at);
	assert_true(pagehash_unmark(&desk.hash, &t));
	assert_false(pagehash_unmark(&desk.hash, &t));
	/* By its id: the entry has the mark. */
	assert_false(pagehash_unmark(&desk.hash, &two));
}

/* Addresses that share few rows while there are few, and those of @mask. */
static struct translation random_entry(uint64_t mask, uint64_t number)
{
	uint64_t dice = random_next() % 16;
	uint64_t start = (random_next() & mask) * PAGE;

	if (dice < 4)
		return made(start + 0x800, 16 + random_next() % 3000, number);
	if (dice < 6)
		return made(start, (1 + random_next() % 5) * PAGE, number);
	return made(start + (dice < 7 ? 0x400 : 0), PAGE, number);
}

static void random_changes(uint64_t mask, unsigned many)
{
	static uint32_t id[ENTRIES_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < 30000; i++) {
		/* Tides: from empty to many and back. */
		bool rise = i / (4 * many) % 2 == 0;

		if (n < many && (!n || random_next() % 16 < (rise ? 11 : 4))) {
			struct translation t = random_entry(mask, i + 1);

			id[n++] = add(&t);
		} else {
			unsigned at = random_next() % n;

			drop(id[at]);
			id[at] = id[--n];
		}
		if (i % 16 == 0)
			assert_true(pagehash_check(&desk.hash));
	}
	while (n)
		drop(id[--n]);
	assert_true(pagehash_check(&desk.hash));
	assert_int_equal(desk.hash.n_slots, 0);
}

static void random_entries_come_and_go(void **state)
{
	random_changes(0xffff, 100);
	random_changes(UINT64_C(0xfffffffffff), 300);
}

/* Rows are overfull: what had no slot gets one as others go. */
static void of_entries_that_share_rows_none_stays_behind(void **state)
{
	random_changes(UINT64_C(0xfff0000000000), 300);
	random_changes(UINT64_C(0xf0000000fc0), 300);
	random_changes(UINT64_C(0xf80), 200);
}

/* Both of its rows are row 0 until there are more than 16. */
static uint64_t next_of_row_0(uint64_t granule)
{
	do {
		granule += 64;
	} while (granule_hash_other(granule, 0) & 15);
	return granule;
}

/* One with a slot that a tidying would look at; 0: none. */
static uint32_t next_to_tidy(void)
{
	for (uint32_t id = desk.hash.tidied + 1; id <= desk.hash.tidied + 5; id++)
		if (id <= desk.pool.touched && entry_get(&desk.pool, id).perm && found(id))
			return id;
	return 0;
}

/* So many got slots late that there is to be more than one row more. */
static void an_entry_that_goes_gets_no_slot_late(void **state)
{
	uint64_t granule = 0;
	unsigned met = 0;

	for (unsigned i = 0; i < 200; i++) {
		struct translation t;

		granule = next_of_row_0(granule);
		t = made((i % 3 ? granule : i * 4 + 100001) * PAGE, PAGE, i + 1);
		add(&t);
		while (desk.hash.n_slots > rows() * 2 + 1 && next_to_tidy()) {
			drop(next_to_tidy());
			met++;
		}
		assert_true(pagehash_check(&desk.hash));
	}
	assert_true(met > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_entry_has_the_slots_its_size_and_place_ask_for),
		TEST(a_class_lasts_as_long_as_it_has_entries),
		TEST(same_says_whether_slots_change),
		TEST(full_rows_leave_entries_without_slots),
		TEST(rows_follow_the_number_of_slots),
		TEST(after_a_reset_nothing_is_found),
		TEST(a_use_is_told_once),
		TEST(random_entries_come_and_go),
		TEST(an_entry_that_goes_gets_no_slot_late),
		TEST(of_entries_that_share_rows_none_stays_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
