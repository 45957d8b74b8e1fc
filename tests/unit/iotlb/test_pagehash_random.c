/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hash of pages as entries come and go, among them many that share few rows: of
 * what was removed nothing is found, wherever it had been.
 */
#include "hash_desk.h"

static uint64_t seed;

static uint64_t random_next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
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

	seed = 0x9e3779b97f4a7c15u;

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		HASH_TEST(random_entries_come_and_go),
		HASH_TEST(an_entry_that_goes_gets_no_slot_late),
		HASH_TEST(of_entries_that_share_rows_none_stays_behind),
	};

	return cmocka_run_group_tests_name("pagehash_random", tests, NULL, NULL);
}
