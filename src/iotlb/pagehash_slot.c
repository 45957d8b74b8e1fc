/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/pagehash_slot.h"

#include <stddef.h>

/* Pages beyond this one are told apart by their entries. */
#define PAGES_TOLD_APART (UINT64_C(1) << (32 + PAGEHASH_TAG_SHIFT))

bool is_one_page(const struct translation *t)
{
	uint64_t low = (UINT64_C(1) << PAGEHASH_PAGE_SHIFT) - 1;

	return t->range.last - t->range.start == low && !(t->range.start & low) &&
	       !(t->delta & low) && granule_of(t->range.start, 0) < PAGES_TOLD_APART;
}

/* The least one of which an entry meets no more than two granules. */
static unsigned class_of(struct range range)
{
	uint64_t more = (range.last - range.start) >> PAGEHASH_PAGE_SHIFT; /* pages than one */
	unsigned class = more ? 64u - (unsigned)__builtin_clzll(more) : 0;

	return class < PAGEHASH_CLASSES ? class : PAGEHASH_CLASSES - 1;
}

void slots_of(uint32_t id, const struct translation *t, struct slots *ret)
{
	unsigned class = class_of(t->range);
	uint64_t first = granule_of(t->range.start, class);
	uint64_t last = granule_of(t->range.last, class);

	ret->n = 0;
	if (is_one_page(t)) {
		uint64_t value = (t->range.start + t->delta) | granule_low(first) | t->perm;

		ret->slot[ret->n++] = (struct slot){ first, 0, value };
		return;
	}
	if (t->range.last - t->range.start < (UINT64_C(1) << PAGEHASH_PAGE_SHIFT) - 1)
		return;
	for (uint64_t granule = first;; granule++) {
		uint64_t value = (uint64_t)id << PAGEHASH_HIGH_SHIFT | granule_low(granule);

		ret->slot[ret->n++] = (struct slot){ granule, class, value };
		if (granule == last)
			break;
	}
}

struct slot_rows slot_rows(const struct pagehash *hash, const struct slot *slot)
{
	return (struct slot_rows){ {
		pagehash_row_of(hash, granule_hash(slot->granule, slot->class)),
		pagehash_row_of(hash, granule_hash_other(slot->granule, slot->class)),
	} };
}

struct slot slot_at(const struct pagehash *hash, const struct pagehash_row *row, unsigned i)
{
	uint64_t value = value_of(row, i);
	uint64_t low = (value & PAGEHASH_LOW) >> PAGEHASH_LOW_SHIFT;
	uint32_t id = (uint32_t)(value >> PAGEHASH_HIGH_SHIFT);
	struct translation t;
	struct slots slots;

	if (value & PAGEHASH_PERM)
		return (struct slot){ (uint64_t)tag_of(row, i) << PAGEHASH_TAG_SHIFT | low, 0,
			              value };
	t = entry_get(hash->pool, id);
	slots_of(id, &t, &slots);
	return slots.n == 2 && slots.slot[1].value == value ? slots.slot[1] : slots.slot[0];
}

bool slot_is_at(const struct slot *slot, const struct pagehash_row *row, unsigned i)
{
	return value_of(row, i) == slot->value &&
	       tag_of(row, i) == granule_tag(slot->granule, slot->class);
}

struct pagehash_row *slot_find(const struct pagehash *hash, const struct slot *slot,
                               unsigned *ret_at)
{
	struct slot_rows rows = slot_rows(hash, slot);

	for (unsigned k = 0; k < 2 * PAGEHASH_SLOTS; k++) {
		struct pagehash_row *row = rows.row[k / PAGEHASH_SLOTS];
		unsigned i = granule_place(slot->granule) ^ (k % PAGEHASH_SLOTS);

		if (slot_is_at(slot, row, i)) {
			*ret_at = i;
			return row;
		}
	}
	return NULL;
}
