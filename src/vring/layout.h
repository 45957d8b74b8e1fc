/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a split virtqueue looks like in memory (virtio 1.2, 2.7), all fields
 * little-endian. Only layout: no rule about who may write what when. Stands for
 * linux/virtio_ring.h, whose names clash with ours.
 */
#ifndef VRING_LAYOUT_H
#define VRING_LAYOUT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A descriptor, 2.7.5. */
struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

enum {
	DESC_NEXT = 1,
	DESC_WRITE = 2,
	DESC_INDIRECT = 4,
};

/* An element of the used ring, 2.7.8. */
struct ring_used_elem {
	uint32_t id;
	uint32_t len;
};

static_assert(sizeof(struct ring_desc) == 16, "descriptor");
static_assert(offsetof(struct ring_desc, len) == 8, "descriptor");
static_assert(offsetof(struct ring_desc, flags) == 12, "descriptor");
static_assert(offsetof(struct ring_desc, next) == 14, "descriptor");
static_assert(sizeof(struct ring_used_elem) == 8, "used element");

#define RING_DESC_ALIGN  16u
#define RING_AVAIL_ALIGN 2u
#define RING_USED_ALIGN  4u

/* Both rings begin with flags and index. */
#define RING_FLAGS_OFFSET   0u
#define RING_INDEX_OFFSET   2u
#define RING_ENTRIES_OFFSET 4u

/* The only flag of either ring: avail->flags, used->flags. */
#define AVAIL_NO_CALL 1u
#define USED_NO_KICK  1u

/* Offsets of the elements an index stands for, and of what follows the last. */
static inline uint32_t avail_entry_offset(uint16_t num, uint16_t index)
{
	return RING_ENTRIES_OFFSET + 2u * (index & (num - 1u));
}

static inline uint32_t used_elem_offset(uint16_t num, uint16_t index)
{
	return RING_ENTRIES_OFFSET + (uint32_t)sizeof(struct ring_used_elem) * (index & (num - 1u));
}

/* used_event lies behind the available ring, avail_event behind the used ring. */
static inline uint32_t used_event_offset(uint16_t num)
{
	return RING_ENTRIES_OFFSET + 2u * num;
}

static inline uint32_t avail_event_offset(uint16_t num)
{
	return RING_ENTRIES_OFFSET + (uint32_t)sizeof(struct ring_used_elem) * num;
}

/* Bytes of the parts. Without event_idx the event field may not be there at all. */
static inline uint32_t desc_table_size(uint16_t num)
{
	return (uint32_t)sizeof(struct ring_desc) * num;
}

static inline uint32_t avail_ring_size(uint16_t num, bool event_idx)
{
	return used_event_offset(num) + (event_idx ? 2u : 0u);
}

static inline uint32_t used_ring_size(uint16_t num, bool event_idx)
{
	return avail_event_offset(num) + (event_idx ? 2u : 0u);
}

#endif
