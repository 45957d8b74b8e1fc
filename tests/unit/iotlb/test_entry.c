/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iotlb/entry.h"
#include "memory/translate.h"

#define CAPACITY 5000u

struct desk {
	struct arena arena;
	struct entry_pool pool;
};

static struct desk desk;

static int start(void **state)
{
	desk = (struct desk){ 0 };
	assert_int_equal(arena_init(&desk.arena, entry_pool_size(CAPACITY)), 0);
	entry_pool_init(&desk.pool, &desk.arena, CAPACITY);
	return 0;
}

static int end(void **state)
{
	arena_done(&desk.arena);
	return 0;
}

static struct translation made(uint64_t number)
{
	uint8_t perm = (uint8_t)(1 + number % 3);

	return (struct translation){ { number, number + 9 }, ~number, perm };
}

static uint32_t take(uint64_t number)
{
	struct translation t = made(number);

	return entry_take(&desk.pool, &t);
}

static bool equal(const struct translation *a, const struct translation *b)
{
	return a->range.start == b->range.start && a->range.last == b->range.last &&
	       a->delta == b->delta && a->perm == b->perm;
}

/* Both by the writer's look and by any reader's. */
static void check_says(uint32_t id, uint64_t number)
{
	struct translation want = made(number), got = entry_get(&desk.pool, id);

	assert_true(equal(&got, &want));
	assert_true(entry_read(&desk.pool.entries[id], &got));
	assert_true(equal(&got, &want));
}

static void ids_go_from_one_to_the_capacity(void **state)
{
	for (uint32_t i = 1; i <= CAPACITY; i++) {
		assert_int_equal(take(i), i);
		assert_int_equal(desk.pool.n, i);
	}
	for (uint32_t i = 1; i <= CAPACITY; i++)
		check_says(i, i);
	assert_true(entry_pool_check(&desk.pool));
}

static void what_was_given_is_taken_before_new_memory(void **state)
{
	uint32_t touched;

	for (uint32_t i = 1; i <= 100; i++)
		take(i);
	touched = desk.pool.touched;
	for (uint32_t id = 3; id <= 100; id += 3)
		entry_give(&desk.pool, id);
	assert_int_equal(desk.pool.n, 67);
	assert_true(entry_pool_check(&desk.pool));
	for (uint32_t i = 0; i < 33; i++) {
		uint32_t id = take(1000 + i);

		assert_int_equal(id % 3, 0);
		check_says(id, 1000 + i);
	}
	assert_int_equal(desk.pool.touched, touched);
	for (uint32_t id = 1; id <= 100; id++)
		if (id % 3)
			check_says(id, id);
	assert_int_equal(take(1), 101);
	assert_true(entry_pool_check(&desk.pool));
}

static void one_that_was_given_allows_nothing(void **state)
{
	uint32_t id = take(5);
	struct translation t;

	entry_give(&desk.pool, id);
	assert_int_equal(entry_get(&desk.pool, id).perm, 0);
	if (entry_read(&desk.pool.entries[id], &t))
		assert_int_equal(t.perm, 0);
}

static void a_set_is_read_whole(void **state)
{
	uint32_t id = take(5), other = take(6);

	for (uint64_t i = 100; i < 200; i++) {
		struct translation t = made(i);

		entry_set(&desk.pool, id, &t);
		check_says(id, i);
	}
	check_says(other, 6);
}

static void an_entry_being_changed_is_not_read(void **state)
{
	struct entry *entry = &desk.pool.entries[take(5)];
	uint64_t word = atomic_load(&entry->word);
	struct translation t;

	atomic_store(&entry->word, word | ENTRY_CHANGING);
	assert_false(entry_read(entry, &t));
	atomic_store(&entry->word, word);
	assert_true(entry_read(entry, &t));
}

/* Else a reader could take what an entry was for what it is. */
static void no_word_comes_twice(void **state)
{
	struct translation t = made(1);
	uint64_t last = 0;

	for (unsigned i = 0; i < 300; i++) {
		uint32_t id = take(1);
		uint64_t words[3];

		words[0] = atomic_load(&desk.pool.entries[id].word);
		entry_set(&desk.pool, id, &t);
		words[1] = atomic_load(&desk.pool.entries[id].word);
		if (i % 3)
			entry_give(&desk.pool, id);
		else
			entry_pool_reset(&desk.pool);
		words[2] = atomic_load(&desk.pool.entries[id].word);
		for (unsigned k = 0; k < 3; k++) {
			assert_true(words[k] > last);
			last = words[k];
		}
	}
}

static void the_hand_meets_every_entry_once_a_round(void **state)
{
	for (uint32_t i = 1; i <= 10; i++)
		take(i);
	entry_give(&desk.pool, 1);
	entry_give(&desk.pool, 4);
	entry_give(&desk.pool, 10);
	for (unsigned round = 0; round < 3; round++) {
		static const uint32_t ids[] = { 2, 3, 5, 6, 7, 8, 9 };

		for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
			assert_int_equal(entry_pool_step(&desk.pool), ids[i]);
	}
}

static void the_hand_stays_at_the_only_entry(void **state)
{
	for (uint32_t i = 1; i <= 10; i++)
		take(i);
	for (uint32_t i = 1; i <= 10; i++)
		if (i != 7)
			entry_give(&desk.pool, i);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(entry_pool_step(&desk.pool), 7);
}

static void a_use_is_told_once(void **state)
{
	uint32_t id = take(1), other = take(2);

	assert_false(entry_unmark(&desk.pool, id));
	entry_mark(&desk.pool, id);
	entry_mark(&desk.pool, id);
	assert_false(entry_unmark(&desk.pool, other));
	assert_true(entry_unmark(&desk.pool, id));
	assert_false(entry_unmark(&desk.pool, id));
}

static void the_next_user_of_an_id_has_no_mark(void **state)
{
	uint32_t id = take(1);

	entry_mark(&desk.pool, id);
	entry_give(&desk.pool, id);
	assert_int_equal(take(2), id);
	assert_false(entry_unmark(&desk.pool, id));
	entry_mark(&desk.pool, id);
	entry_pool_reset(&desk.pool);
	assert_int_equal(take(3), id);
	assert_false(entry_unmark(&desk.pool, id));
}

static void after_a_reset_none_is_in_use(void **state)
{
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 1; i <= CAPACITY; i++)
			take(i);
		for (uint32_t id = 2; id <= CAPACITY; id += 2)
			entry_give(&desk.pool, id);
		entry_pool_reset(&desk.pool);
		assert_true(entry_pool_check(&desk.pool));
		assert_int_equal(desk.pool.n, 0);
		assert_int_equal(entry_pool_bytes(&desk.pool), 0);
		for (uint32_t id = 1; id <= CAPACITY; id++)
			assert_int_equal(entry_get(&desk.pool, id).perm, 0);
	}
	assert_int_equal(take(9), 1);
	check_says(1, 9);
	assert_true(entry_pool_check(&desk.pool));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ids_go_from_one_to_the_capacity),
		TEST(what_was_given_is_taken_before_new_memory),
		TEST(one_that_was_given_allows_nothing),
		TEST(a_set_is_read_whole),
		TEST(an_entry_being_changed_is_not_read),
		TEST(no_word_comes_twice),
		TEST(the_hand_meets_every_entry_once_a_round),
		TEST(the_hand_stays_at_the_only_entry),
		TEST(a_use_is_told_once),
		TEST(the_next_user_of_an_id_has_no_mark),
		TEST(after_a_reset_none_is_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
