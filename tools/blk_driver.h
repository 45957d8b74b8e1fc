/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-blk driver on the front-end library, one queue each: requests over
 * pages scattered in memory, which with an IOMMU are contiguous for the device,
 * mapped for the one request and unmapped when it is done (strict mode).
 *
 * Every request has a window of I/O virtual addresses of its own, used again and
 * again: header, status and data, of exactly their sizes. A translation that a
 * back-end kept too long would be met by the next request in the same window.
 *
 * Thread: the front-end's.
 */
#ifndef TOOLS_BLK_DRIVER_H
#define TOOLS_BLK_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include <vhu/frontend.h>

#define BLK_PAGE      4096u
#define BLK_SECTOR    512u
#define BLK_PAGES_MAX 64u

struct blk_driver;

struct blk_driver_config {
	struct vhu_frontend *frontend; /* features set, memory shared */
	struct vhu_iommu *iommu;       /* NULL: addresses are guest physical */
	struct vhu_guestmem *mem;
	uint64_t features; /* as negotiated */
	unsigned queue;
	uint16_t num;
	unsigned depth; /* requests in flight, at most */
	unsigned pages; /* per request, at most BLK_PAGES_MAX */
	/* The driver's part of memory, in bytes from gpa 0 on. */
	uint64_t mem_start, mem_size;
	/* The driver's part of the device's addresses; blk_driver_iova_size(). */
	uint64_t iova;
};

/* A request. The caller sets what stands before the line, by blk_io_prepare(). */
struct blk_io {
	uint32_t type; /* VIRTIO_BLK_T_* */
	uint64_t sector;
	unsigned pages;
	uint64_t frames[BLK_PAGES_MAX]; /* gpa of each */
	bool data_unmapped;             /* leave the data out of the IOMMU: it will be refused */

	uint8_t status; /* VIRTIO_BLK_S_*, when done */
	uint32_t written;
	uint64_t data_iova;
	unsigned index;
	bool busy;
};

/* Features worth having of those offered. */
uint64_t blk_driver_features(uint64_t offered);
uint64_t blk_driver_iova_size(const struct blk_driver_config *config);

/* 0, -EINVAL: not enough memory, or as vhu_vq_start() and vhu_iommu_map(). */
int blk_driver_new(const struct blk_driver_config *config, struct blk_driver **ret);
/* Stops the queue and unmaps the ring. What the first failure was. */
int blk_driver_stop(struct blk_driver *driver);
void blk_driver_free(struct blk_driver *driver);

/* A request that is not in use, with scattered pages; NULL: all are in use. */
struct blk_io *blk_io_prepare(struct blk_driver *driver, uint32_t type, uint64_t sector,
                              unsigned pages);
/* A page of the request in this process's memory. */
void *blk_io_page(const struct blk_driver *driver, const struct blk_io *io, unsigned page);
/* Maps it and makes it available; blk_driver_kick() tells the device. */
int blk_io_submit(struct blk_driver *driver, struct blk_io *io);
/* Gives it and its pages back. */
void blk_io_release(struct blk_driver *driver, struct blk_io *io);

int blk_driver_kick(struct blk_driver *driver);

/*
 * Waits for a request to be completed, and unmaps it. 1: *ret is one; 0: the
 * time is over; -errno.
 */
int blk_driver_complete(struct blk_driver *driver, int timeout_ms, struct blk_io **ret);

unsigned blk_driver_in_flight(const struct blk_driver *driver);

#endif
