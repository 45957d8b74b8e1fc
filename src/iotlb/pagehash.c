/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/pagehash.h"

#include <assert.h>
#include <stddef.h>

#include "iotlb/pagehash_slot.h"

/* Rows between which memory is given back as the hash shrinks. */
#define ROWS_STEP UINT64_C(4096)

/* Entries that are looked after for each row that is added. */
#define TIDY_MANY 6u

static_assert(sizeof(struct pagehash_row) == 64, "a row is a cache line");

/* At most 40 bytes for an entry. */
static uint64_t rows_for(uint32_t entries, uint32_t least)
{
	return entries * UINT64_C(5) / 8 + least;
}

size_t pagehash_size(uint32_t entries, uint32_t least_rows)
{
	return arena_round(rows_for(entries, least_rows) * sizeof(struct pagehash_row));
}

void pagehash_init(struct pagehash *hash, struct arena *arena, const struct entry_pool *pool,
                   uint32_t least_rows)
{
	uint64_t most = rows_for(pool->capacity, least_rows);

	assert(least_rows && !(least_rows & (least_rows - 1)));
	*hash = (struct pagehash){
		.rows = arena_take(arena, most * sizeof(struct pagehash_row)),
		.pool = pool,
		.least_rows = least_rows,
		.most_rows = most,
		.peak_rows = least_rows,
	};
	atomic_init(&hash->n_rows, least_rows);
	atomic_init(&hash->mask, 2 * (uint64_t)least_rows - 1);
}

static uint64_t n_rows_of(const struct pagehash *hash)
{
	return atomic_load_explicit(&hash->n_rows, memory_order_relaxed);
}

/* See pagehash_slot() for the order. */
static void place_clear(struct pagehash_row *row, unsigned i)
{
	atomic_store_explicit(&row->value[i], 0, memory_order_release);
}

static void place_set(struct pagehash *hash, struct pagehash_row *row, unsigned i, uint32_t tag,
                      uint64_t value)
{
	place_clear(row, i);
	atomic_store_explicit(&row->tag[i], tag, memory_order_release);
	atomic_store_explicit(&row->version, ++hash->version, memory_order_release);
	atomic_store_explicit(&row->used[i], 0, memory_order_relaxed);
	atomic_store_explicit(&row->value[i], value, memory_order_release);
}

/* False: the row is full. */
static bool row_put(struct pagehash *hash, struct pagehash_row *row, const struct slot *slot)
{
	for (unsigned k = 0; k < PAGEHASH_SLOTS; k++) {
		unsigned i = granule_place(slot->granule) ^ k;

		if (value_of(row, i))
			continue;
		place_set(hash, row, i, granule_tag(slot->granule, slot->class), slot->value);
		return true;
	}
	return false;
}

/* Makes room in a full row: one slot goes to the other row it may be in. */
static bool row_relieve(struct pagehash *hash, struct pagehash_row *row)
{
	for (unsigned i = 0; i < PAGEHASH_SLOTS; i++) {
		struct slot slot = slot_at(hash, row, i);
		struct slot_rows rows = slot_rows(hash, &slot);

		/* There first, so that it is missing nowhere. */
		if (row_put(hash, rows.row[rows.row[0] == row], &slot)) {
			place_clear(row, i);
			return true;
		}
	}
	return false;
}

/* Where no row has room the granule has no slot. */
static void slot_put(struct pagehash *hash, const struct slot *slot)
{
	struct slot_rows rows = slot_rows(hash, slot);
	bool put = row_put(hash, rows.row[0], slot) || row_put(hash, rows.row[1], slot);

	for (unsigned k = 0; k < 2 && !put; k++)
		put = row_relieve(hash, rows.row[k]) && row_put(hash, rows.row[k], slot);
	hash->n_slots += put;
}

static void slot_take(struct pagehash *hash, const struct slot *slot)
{
	unsigned i;
	struct pagehash_row *row = slot_find(hash, slot, &i);

	if (!row)
		return;
	place_clear(row, i);
	hash->n_slots--;
}

/* To its very place, or at least to its home, if there is room by now. */
static void slot_tidy(struct pagehash *hash, const struct slot *slot)
{
	struct pagehash_row *home = slot_rows(hash, slot).row[0], *row;
	unsigned best = granule_place(slot->granule), i;

	if (slot_is_at(slot, home, best))
		return;
	row = slot_find(hash, slot, &i);
	if (!row) {
		slot_put(hash, slot);
		return;
	}
	if (row == home && value_of(home, best))
		return;
	if (row_put(hash, home, slot))
		place_clear(row, i);
}

/*
 * Rows that were full when a slot came may have room now. Entries are looked at
 * one after the other, each a while after its row was called for.
 */
static void tidy(struct pagehash *hash)
{
	const struct entry_pool *pool = hash->pool;

	for (unsigned n = 0; n < TIDY_MANY; n++) {
		struct translation t;
		struct slots slots;

		hash->tidied = hash->tidied < pool->touched ? hash->tidied + 1 : 1;
		t = entry_get(pool, hash->tidied);
		if (!t.perm)
			continue;
		slots_of(hash->tidied, &t, &slots);
		for (unsigned i = 0; i < slots.n; i++)
			slot_tidy(hash, &slots.slot[i]);
	}
}

static void rows_set(struct pagehash *hash, uint64_t n)
{
	uint64_t above = UINT64_C(1) << (64 - __builtin_clzll(n));

	atomic_store_explicit(&hash->mask, above - 1, memory_order_relaxed);
	atomic_store_explicit(&hash->n_rows, n, memory_order_relaxed);
}

/* One row more: it takes what belongs to it from the one it was a part of. */
static void grow(struct pagehash *hash)
{
	uint64_t n = n_rows_of(hash);
	uint64_t mask = atomic_load_explicit(&hash->mask, memory_order_relaxed);
	struct pagehash_row *old = &hash->rows[n & mask >> 1];

	rows_set(hash, n + 1);
	if (hash->peak_rows < n + 1)
		hash->peak_rows = n + 1;
	for (unsigned i = 0; i < PAGEHASH_SLOTS; i++) {
		struct slot_rows rows;
		struct slot slot;

		if (!value_of(old, i))
			continue;
		slot = slot_at(hash, old, i);
		rows = slot_rows(hash, &slot);
		if (rows.row[0] == old || rows.row[1] == old)
			continue;
		row_put(hash, &hash->rows[n], &slot);
		place_clear(old, i);
	}
}

/* One row less: what is in the last goes where it was before there was that row. */
static void shrink(struct pagehash *hash)
{
	uint64_t n = n_rows_of(hash) - 1;
	struct pagehash_row *row = &hash->rows[n];

	rows_set(hash, n);
	for (unsigned i = 0; i < PAGEHASH_SLOTS; i++) {
		struct slot slot;

		if (!value_of(row, i))
			continue;
		slot = slot_at(hash, row, i);
		place_clear(row, i);
		hash->n_slots--;
		slot_put(hash, &slot);
	}
	if (n % ROWS_STEP == 0) {
		arena_drop(&hash->rows[n], &hash->rows[hash->peak_rows]);
		hash->peak_rows = n;
	}
}

/*
 * Half of the slots are used at most. Only after an entry came: one that is about
 * to go is in the pool still, and would be given slots again.
 */
static void fit_more(struct pagehash *hash)
{
	uint64_t n = n_rows_of(hash);

	if (hash->n_slots <= n * (PAGEHASH_SLOTS / 2) ||
	    n >= rows_for(hash->pool->n, hash->least_rows) || n >= hash->most_rows)
		return;
	grow(hash);
	tidy(hash);
}

/* Three of sixteen are used at least. By two rows at most, for one would not keep up. */
static void fit_less(struct pagehash *hash)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t n = n_rows_of(hash);

		if (hash->n_slots * 4 >= n * (PAGEHASH_SLOTS * 3 / 4) || n <= hash->least_rows)
			return;
		shrink(hash);
	}
}

/* There is the first entry of a class, or no more. */
static void class_turn(struct pagehash *hash, unsigned class)
{
	uint64_t classes = atomic_load_explicit(&hash->classes, memory_order_relaxed);

	atomic_store_explicit(&hash->classes, classes ^ UINT64_C(1) << class, memory_order_relaxed);
}

void pagehash_prefetch(const struct pagehash *hash, uint64_t addr)
{
	__builtin_prefetch(pagehash_row_of(hash, granule_hash(granule_of(addr, 0), 0)));
}

void pagehash_add(struct pagehash *hash, uint32_t id, const struct translation *translation)
{
	struct slots slots;

	slots_of(id, translation, &slots);
	for (unsigned i = 0; i < slots.n; i++)
		slot_put(hash, &slots.slot[i]);
	if (slots.n && hash->entries[slots.slot[0].class]++ == 0)
		class_turn(hash, slots.slot[0].class);
	fit_more(hash);
}

void pagehash_remove(struct pagehash *hash, uint32_t id, const struct translation *translation)
{
	struct slots slots;

	slots_of(id, translation, &slots);
	for (unsigned i = 0; i < slots.n; i++)
		slot_take(hash, &slots.slot[i]);
	if (slots.n && --hash->entries[slots.slot[0].class] == 0)
		class_turn(hash, slots.slot[0].class);
	fit_less(hash);
}

bool pagehash_same(const struct translation *from, const struct translation *to)
{
	struct slots before, after;

	slots_of(0, from, &before);
	slots_of(0, to, &after);
	if (before.n != after.n)
		return false;
	for (unsigned i = 0; i < before.n; i++)
		if (before.slot[i].granule != after.slot[i].granule ||
		    before.slot[i].class != after.slot[i].class ||
		    before.slot[i].value != after.slot[i].value)
			return false;
	return true;
}

void pagehash_reset(struct pagehash *hash)
{
	uint64_t n = n_rows_of(hash);

	for (uint64_t r = 0; r < n && hash->n_slots; r++) {
		for (unsigned i = 0; i < PAGEHASH_SLOTS; i++) {
			if (!value_of(&hash->rows[r], i))
				continue;
			place_clear(&hash->rows[r], i);
			hash->n_slots--;
		}
	}
	rows_set(hash, hash->least_rows);
	hash->tidied = 0;
	if (hash->peak_rows > ROWS_STEP) {
		arena_drop(&hash->rows[ROWS_STEP], &hash->rows[hash->peak_rows]);
		hash->peak_rows = ROWS_STEP;
	}
	atomic_store_explicit(&hash->classes, 0, memory_order_relaxed);
	for (unsigned class = 0; class < PAGEHASH_CLASSES; class ++)
		hash->entries[class] = 0;
}

bool pagehash_unmark(struct pagehash *hash, const struct translation *translation)
{
	struct pagehash_row *row;
	struct slots slots;
	unsigned at;

	if (!is_one_page(translation))
		return false;
	slots_of(0, translation, &slots);
	row = slot_find(hash, &slots.slot[0], &at);
	if (!row || !atomic_load_explicit(&row->used[at], memory_order_relaxed))
		return false;
	atomic_store_explicit(&row->used[at], 0, memory_order_relaxed);
	return true;
}
