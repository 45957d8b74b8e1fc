/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring/prefetch.h"

#include "memory/translate_inline.h"
#include "vring/layout.h"

/* How many chains before its turn something is fetched: each needs the one before. */
enum {
	AHEAD_BUFFER,
	AHEAD_TABLE,
	AHEAD_DESC,
};

/* Only of the ring's own part, whatever the driver has written. */
static const struct ring_desc *desc_of(const struct vring *ring, unsigned ahead)
{
	uint16_t num = ring->config.num;
	uint16_t at = (uint16_t)(ring->next_avail + ahead);
	uint16_t head = area_load16_relaxed(&ring->avail, avail_entry_offset(num, at));

	return (const struct ring_desc *)(const void *)ring->desc.base + (head & (num - 1u));
}

/* The line of an address, if it is known where that is. */
static const char *fetch(const struct translate_view *view, uint64_t addr)
{
	const char *ptr = translate_peek(view, le64toh(addr), PERM_READ);

	if (ptr)
		__builtin_prefetch(ptr);
	return ptr;
}

static bool is_indirect(const struct ring_desc *desc)
{
	return le16toh(__atomic_load_n(&desc->flags, __ATOMIC_RELAXED)) & DESC_INDIRECT;
}

static uint64_t addr_of(const struct ring_desc *desc)
{
	return __atomic_load_n(&desc->addr, __ATOMIC_RELAXED);
}

static void fetch_table(const struct vring *ring, const struct translate_view *view)
{
	const struct ring_desc *desc = desc_of(ring, AHEAD_TABLE);
	const char *table;

	if (!is_indirect(desc))
		return;
	table = fetch(view, addr_of(desc));
	/* Most are short, and few begin with a line. */
	if (table)
		__builtin_prefetch(table + 2 * sizeof(*desc));
}

/* What the chain begins with. */
static void fetch_buffer(const struct vring *ring, const struct translate_view *view)
{
	const struct ring_desc *desc = desc_of(ring, AHEAD_BUFFER);

	if (is_indirect(desc))
		desc = (const void *)translate_peek(view, le64toh(addr_of(desc)), PERM_READ);
	/* A table may lie anywhere in memory, and then is not worth the trouble. */
	if (desc && (uintptr_t)desc % sizeof(uint64_t) == 0)
		fetch(view, addr_of(desc));
}

void vring_prefetch(const struct vring *ring, const struct translate_view *view)
{
	uint16_t left = (uint16_t)(ring->avail_seen - ring->next_avail);

	if (!ring->desc.base || !view->lines)
		return;
	if (left > AHEAD_DESC)
		__builtin_prefetch(desc_of(ring, AHEAD_DESC));
	if (left > AHEAD_TABLE)
		fetch_table(ring, view);
	if (left > AHEAD_BUFFER)
		fetch_buffer(ring, view);
}
