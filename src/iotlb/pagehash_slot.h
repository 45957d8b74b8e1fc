/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which slots an entry should have, and what is in them. Only the pagehash*.c see
 * this.
 *
 * Thread: the writer.
 */
#ifndef IOTLB_PAGEHASH_SLOT_H
#define IOTLB_PAGEHASH_SLOT_H

#include "iotlb/pagehash_inline.h"

/* A granule, and the value its slot has, wherever that is. */
struct slot {
	uint64_t granule;
	unsigned class;
	uint64_t value;
};

/* Those of an entry. */
struct slots {
	struct slot slot[2];
	unsigned n;
};

/* The two rows it may be in, its home first. */
struct slot_rows {
	struct pagehash_row *row[2];
};

/* Whether the slot is the translation itself and needs no entry to be understood. */
bool is_one_page(const struct translation *translation);

void slots_of(uint32_t id, const struct translation *translation, struct slots *ret);
struct slot_rows slot_rows(const struct pagehash *hash, const struct slot *slot);

/* What a used slot is for, which its entry still says. */
struct slot slot_at(const struct pagehash *hash, const struct pagehash_row *row, unsigned i);

/* Whether it is there. */
bool slot_is_at(const struct slot *slot, const struct pagehash_row *row, unsigned i);

/* The row and the place it is in; NULL: in none. */
struct pagehash_row *slot_find(const struct pagehash *hash, const struct slot *slot,
                               unsigned *ret_at);

static inline uint64_t value_of(const struct pagehash_row *row, unsigned i)
{
	return atomic_load_explicit(&row->value[i], memory_order_relaxed);
}

static inline uint32_t tag_of(const struct pagehash_row *row, unsigned i)
{
	return atomic_load_explicit(&row->tag[i], memory_order_relaxed);
}

#endif
