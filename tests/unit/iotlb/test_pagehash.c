/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hash of pages beside the pool it speaks of: what has which slots, and how many
 * rows there are for them.
 */
#include "hash_desk.h"

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

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
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

	for (unsigned i = 0; i < ARRAY_SIZE(id); i++) {
		struct translation t = made((uint64_t)i << 52, PAGE, i + 1);

		id[i] = add(&t);
		assert_true(pagehash_check(&desk.hash));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(id); i++)
		slots += found(id[i]);
	assert_int_equal(slots, PAGEHASH_SLOTS);
	for (unsigned i = 0; i < ARRAY_SIZE(id); i++) {
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		HASH_TEST(an_entry_has_the_slots_its_size_and_place_ask_for),
		HASH_TEST(a_class_lasts_as_long_as_it_has_entries),
		HASH_TEST(same_says_whether_slots_change),
		HASH_TEST(full_rows_leave_entries_without_slots),
		HASH_TEST(rows_follow_the_number_of_slots),
		HASH_TEST(after_a_reset_nothing_is_found),
		HASH_TEST(a_use_is_told_once),
	};

	return cmocka_run_group_tests_name("pagehash", tests, NULL, NULL);
}
