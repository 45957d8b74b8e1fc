/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One part of a ring (descriptor table, available ring, used ring) or an
 * indirect table in local memory. With a device IOTLB a part may lie in several
 * pieces that are apart in memory and are cut anywhere, even in mid-element; one
 * piece is the usual case and the fast one.
 *
 * Thread: the ring's worker.
 */
#ifndef VRING_AREA_H
#define VRING_AREA_H

#include <assert.h>
#include <endian.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "memory/translate.h"

struct vring_area {
	uint64_t addr;
	uint32_t len;
	char *base;          /* the whole part, if it is one piece at an even pointer */
	struct iov_list iov; /* the pieces; n 0: not mapped */
};

/* Translates the part; see translate() for what is returned. After an error it is not mapped. */
int area_map(struct vring_area *area, struct translate_view *view, uint64_t addr, uint32_t len,
             uint8_t perm, struct hole_list *holes);
void area_unmap(struct vring_area *area);
void area_done(struct vring_area *area);

/* Invariants, for tests and debug. */
bool area_check(const struct vring_area *area);

/* What is behind the inline functions where the part is in pieces. */
void area_read_pieces(const struct vring_area *area, uint32_t offset, void *to, size_t len);
void area_write_pieces(const struct vring_area *area, uint32_t offset, const void *from,
                       size_t len);
uint16_t area_load16_pieces(const struct vring_area *area, uint32_t offset);
void area_store16_pieces(const struct vring_area *area, uint32_t offset, uint16_t value);

static inline bool area_is_mapped(const struct vring_area *area)
{
	return area->iov.n != 0;
}

static inline bool area_holds(const struct vring_area *area, uint32_t offset, size_t len)
{
	return area_is_mapped(area) && offset < area->len && len <= area->len - offset;
}

/* Copies at an offset, whatever pieces that takes; inside the part, or our bug. */
static inline void area_read(const struct vring_area *area, uint32_t offset, void *to, size_t len)
{
	assert(area_holds(area, offset, len));
	if (area->base)
		memcpy(to, area->base + offset, len);
	else
		area_read_pieces(area, offset, to, len);
	/* The copy is what counts (rule V1): the compiler must not load again. */
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void area_write(const struct vring_area *area, uint32_t offset, const void *from,
                              size_t len)
{
	assert(area_holds(area, offset, len));
	if (area->base)
		memcpy(area->base + offset, from, len);
	else
		area_write_pieces(area, offset, from, len);
}

/* 16-bit fields shared with the driver, at even offsets; little-endian in memory. */
static inline uint16_t *area_field16(const struct vring_area *area, uint32_t offset)
{
	return (uint16_t *)(void *)(area->base + offset);
}

static inline uint16_t area_load16_acquire(const struct vring_area *area, uint32_t offset)
{
	assert(area_holds(area, offset, 2));
	if (!area->base)
		return area_load16_pieces(area, offset);
	return le16toh(__atomic_load_n(area_field16(area, offset), __ATOMIC_ACQUIRE));
}

static inline uint16_t area_load16_relaxed(const struct vring_area *area, uint32_t offset)
{
	assert(area_holds(area, offset, 2));
	if (!area->base)
		return area_load16_pieces(area, offset);
	return le16toh(__atomic_load_n(area_field16(area, offset), __ATOMIC_RELAXED));
}

static inline void area_store16_release(const struct vring_area *area, uint32_t offset,
                                        uint16_t value)
{
	assert(area_holds(area, offset, 2));
	if (area->base)
		__atomic_store_n(area_field16(area, offset), htole16(value), __ATOMIC_RELEASE);
	else
		area_store16_pieces(area, offset, value);
}

#endif
