/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One part of a ring (descriptor table, available ring, used ring) in local
 * memory. With a device IOTLB a part may lie in several pieces that are apart in
 * memory and are cut anywhere, even in mid-element; one piece is the usual case
 * and the fast one.
 *
 * Thread: the ring's worker.
 */
#ifndef VRING_AREA_H
#define VRING_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/translate.h"

struct vring_area {
	uint64_t addr;
	uint32_t len;
	char *base;          /* the whole part, if it is one piece */
	struct iov_list iov; /* the pieces; n 0: not mapped */
};

/* Translates the part; see translate() for what is returned. */
int area_map(struct vring_area *area, struct translate_view *view, uint64_t addr, uint32_t len,
	     uint8_t perm, struct hole_list *holes);
void area_unmap(struct vring_area *area);
void area_done(struct vring_area *area);

static inline bool area_is_mapped(const struct vring_area *area)
{
	return area->iov.n != 0;
}

/* Copies at an offset, whatever pieces that takes; inside the part, or our bug. */
void area_read(const struct vring_area *area, uint32_t offset, void *to, size_t len);
void area_write(const struct vring_area *area, uint32_t offset, const void *from, size_t len);

/* 16-bit fields shared with the driver; little-endian in memory. */
uint16_t area_load16_acquire(const struct vring_area *area, uint32_t offset);
uint16_t area_load16_relaxed(const struct vring_area *area, uint32_t offset);
void area_store16_release(const struct vring_area *area, uint32_t offset, uint16_t value);

#endif
