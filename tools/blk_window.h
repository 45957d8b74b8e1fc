/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Windows of I/O virtual addresses, one for each request while it is under way:
 * what is in it is mapped before the request and unmapped after it, several
 * requests in one exchange. A window is given out again when no back-end can
 * reach memory through it any more, at once or lazily.
 *
 * Thread: the front-end's.
 */
#ifndef TOOLS_BLK_WINDOW_H
#define TOOLS_BLK_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <vhu/iommu.h>

/* Requests that are mapped, or unmapped, in one exchange. */
#define WINDOWS_BATCH 64u

struct blk_windows;

struct blk_window {
	uint64_t iova;
	struct blk_windows *all;
};

struct blk_windows_config {
	struct vhu_iommu *iommu;
	bool lazy;     /* unmap some time soon, and wait for nothing */
	uint64_t iova; /* of the first */
	uint64_t bytes;
	unsigned depth; /* that are in use at a time */
};

/* 0 or -ENOMEM. */
int blk_windows_new(const struct blk_windows_config *config, struct blk_windows **ret);
/* The IOMMU has called back for all lazy unmaps, or is gone. */
void blk_windows_free(struct blk_windows *windows);

/* A window; NULL with *ret_error, as vhu_iommu_flush(). */
struct blk_window *blk_windows_take(struct blk_windows *windows, int *ret_error);

/*
 * Maps memory in a window, @offset bytes from its start, at the latest when
 * blk_windows_commit() is called. 0, or as vhu_iommu_map().
 */
int blk_window_map(struct blk_window *window, uint64_t offset, uint64_t size, const void *ptr,
                   uint8_t perm);
/* 0, or as vhu_iommu_map() and vhu_iommu_sync(). */
int blk_windows_commit(struct blk_windows *windows);

/* Unmaps all of a window, at the latest when blk_windows_finish() is called. */
int blk_window_unmap(struct blk_window *window);
/* 0, or as vhu_iommu_unmap(). */
int blk_windows_finish(struct blk_windows *windows);

#endif
