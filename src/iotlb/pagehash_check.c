/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>

#include "iotlb/pagehash_slot.h"

static bool row_is_empty(const struct pagehash_row *row)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < PAGEHASH_SLOTS; i++)
		any |= value_of(row, i);
	return !any;
}

/* How many of the slots it should have an entry has. */
static unsigned slots_found(const struct pagehash *hash, uint32_t id, uint32_t *entries)
{
	struct translation t = entry_get(hash->pool, id);
	unsigned found = 0, at;
	struct slots slots;

	if (!t.perm)
		return 0;
	slots_of(id, &t, &slots);
	if (slots.n)
		entries[slots.slot[0].class]++;
	for (unsigned i = 0; i < slots.n; i++)
		found += slot_find(hash, &slots.slot[i], &at) != NULL;
	return found;
}

bool pagehash_check(const struct pagehash *hash)
{
	uint64_t classes = atomic_load_explicit(&hash->classes, memory_order_relaxed);
	uint32_t entries[PAGEHASH_CLASSES] = { 0 };
	uint64_t n_rows = atomic_load_explicit(&hash->n_rows, memory_order_relaxed);
	uint64_t found = 0, used = 0;

	for (uint32_t id = 1; id <= hash->pool->touched; id++)
		found += slots_found(hash, id, entries);
	for (uint64_t r = 0; r < hash->peak_rows; r++) {
		if (r >= n_rows && !row_is_empty(&hash->rows[r]))
			return false;
		for (unsigned i = 0; i < PAGEHASH_SLOTS; i++)
			used += value_of(&hash->rows[r], i) != 0;
	}
	for (unsigned class = 0; class < PAGEHASH_CLASSES; class ++)
		if (entries[class] != hash->entries[class] ||
		    (entries[class] != 0) != (classes >> class & 1))
			return false;
	return found == hash->n_slots && used == hash->n_slots;
}
