/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring.h"

#include "ram.h"

static uint64_t page_up(uint64_t len)
{
	return (len + (RAM_PAGE - 1)) & ~(RAM_PAGE - 1);
}

struct ring_shape ring_shape(uint16_t num, bool indirect)
{
	struct ring_shape shape;

	shape.avail = page_up(desc_table_size(num));
	shape.used = shape.avail + page_up(avail_ring_size(num, true));
	shape.tables = shape.used + page_up(used_ring_size(num, true));
	shape.size = shape.tables + (indirect ? page_up(desc_table_size(num) * RING_TABLE) : 0);
	return shape;
}

static uint16_t load(const uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *at, uint16_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

void ring_desc(struct ring *ring, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
               uint16_t next)
{
	ring->desc[i % ring->num] = (struct ring_desc){ addr, len, flags, next };
}

static uint16_t flags_of(const struct seg *seg, bool last)
{
	return (uint16_t)((seg->writable ? DESC_WRITE : 0) | (last ? 0 : DESC_NEXT));
}

static uint16_t add_indirect(struct ring *ring, const struct seg *segs, unsigned n)
{
	uint16_t head = ring->next_desc;
	struct ring_desc *table = ring->tables + head * RING_TABLE;

	for (unsigned i = 0; i < n; i++)
		table[i] = (struct ring_desc){ segs[i].addr, segs[i].len,
			                       flags_of(&segs[i], i + 1 == n), (uint16_t)(i + 1) };
	ring_desc(ring, head, ring->tables_addr + sizeof(*table) * RING_TABLE * head,
	          (uint32_t)sizeof(*table) * n, DESC_INDIRECT, 0);
	ring->next_desc = (uint16_t)((head + 1) % ring->num);
	return head;
}

uint16_t ring_add(struct ring *ring, const struct seg *segs, unsigned n, bool indirect)
{
	uint16_t head = ring->next_desc;

	if (indirect && ring->tables && n <= RING_TABLE)
		return add_indirect(ring, segs, n);
	for (unsigned i = 0; i < n; i++) {
		uint16_t at = ring->next_desc;

		ring->next_desc = (uint16_t)((at + 1) % ring->num);
		ring_desc(ring, at, segs[i].addr, segs[i].len, flags_of(&segs[i], i + 1 == n),
		          ring->next_desc);
	}
	return head;
}

void ring_show(struct ring *ring, uint16_t head)
{
	uint16_t at = load(&ring->avail[1]);

	ring->avail[2 + at % ring->num] = head;
	store(&ring->avail[1], (uint16_t)(at + 1));
}

void ring_jump(struct ring *ring, uint16_t index)
{
	store(&ring->avail[1], index);
}

uint16_t ring_avail_index(const struct ring *ring)
{
	return load(&ring->avail[1]);
}

uint16_t ring_used_index(const struct ring *ring)
{
	return load(&ring->used[1]);
}

bool ring_take(struct ring *ring, struct ring_used_elem *ret)
{
	const struct ring_used_elem *elems = (const struct ring_used_elem *)(ring->used + 2);

	if (ring_used_index(ring) == ring->seen)
		return false;
	*ret = elems[ring->seen % ring->num];
	ring->seen++;
	return true;
}

void ring_no_calls(struct ring *ring, bool none)
{
	store(&ring->avail[0], none ? AVAIL_NO_CALL : 0);
}

void ring_used_event(struct ring *ring, uint16_t index)
{
	store(&ring->avail[2 + ring->num], index);
}

bool ring_wants_kick(const struct ring *ring, uint16_t old)
{
	uint16_t index = ring_avail_index(ring), event;

	__sync_synchronize();
	if (!ring->event_idx)
		return !(load(&ring->used[0]) & USED_NO_KICK);
	event = load(&ring->used[2 + 4 * ring->num]);
	return (uint16_t)(index - event - 1) < (uint16_t)(index - old);
}
