/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of a block device under load: a fixed number of requests of one size,
 * made ahead, so that submitting one writes a header and a few ring entries and
 * no more.
 *
 * Behind an IOMMU all of the queue's memory is either mapped once, or each
 * request's is mapped before it and unmapped after it (blk_window.h): header, data
 * and status then follow each other, from the end of a page, over whole pages, to
 * the first byte of another. Mapped are whole pages, unless data and status share one.
 *
 * Thread: the front-end's.
 */
#ifndef TOOLS_BLK_LOAD_H
#define TOOLS_BLK_LOAD_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include <vhu/frontend.h>

struct blk_load;

struct blk_load_config {
	struct vhu_frontend *frontend; /* features set, memory shared */
	struct vhu_iommu *iommu;       /* NULL: addresses are guest physical */
	bool each;                     /* map and unmap each request, */
	bool lazy;                     /* and wait for the unmapping of none */
	bool quiet;                    /* polled: no calls are wanted */
	struct vhu_guestmem *mem;
	uint64_t features; /* as negotiated */
	unsigned queue;
	unsigned depth;
	uint32_t bytes;   /* of data per request, a multiple of 512 */
	uint32_t segment; /* of them per descriptor */
	uint64_t start;   /* gpa of the queue's memory, blk_load_bytes() of it */
};

/* What is mapped once is at its address in memory with this added, windows are above. */
#define BLK_LOAD_IOVA    UINT64_C(0x100000000)
#define BLK_LOAD_WINDOWS UINT64_C(0x10000000000)

struct blk_slot {
	/* While the slot is the caller's. */
	void *data;
	/* Of the caller, and left alone. */
	uint64_t block;
	uint32_t generation;
	bool writes;
	int64_t start_ns;

	/* The load's own. */
	struct virtio_blk_outhdr *header;
	uint8_t *status;
	struct vhu_buffer *buffers;
	struct blk_window *window; /* while it is submitted */
};

/* Descriptors of a request. */
unsigned blk_load_descriptors(const struct blk_load_config *config);
/* Memory of the queue, in bytes: a multiple of 4096. */
uint64_t blk_load_bytes(const struct blk_load_config *config);

/* 0, -ENOMEM, or as vhu_vq_start() and vhu_iommu_map(). */
int blk_load_new(const struct blk_load_config *config, struct blk_load **ret);
/* Stops the queue and unmaps its memory. What the first failure was. */
int blk_load_stop(struct blk_load *load);
void blk_load_free(struct blk_load *load);

/* A slot for the next request; NULL: all are in use. */
struct blk_slot *blk_load_take(struct blk_load *load);
void blk_load_give_back(struct blk_load *load, struct blk_slot *slot);

/*
 * Makes a request available, which blk_load_kick() maps and shows. 0, or as
 * vhu_iommu_map() and vhu_iommu_flush(); or as vhu_iommu_sync() and vhu_vq_kick().
 */
int blk_load_submit(struct blk_load *load, struct blk_slot *slot, uint32_t type, uint64_t sector);
int blk_load_kick(struct blk_load *load);

/*
 * What was completed, @most at a time; if each is mapped it is unmapped already, or
 * lazily will be. Their number, or -errno as vhu_vq_get() and vhu_iommu_unmap().
 */
int blk_load_reap(struct blk_load *load, struct blk_slot **slots, unsigned most);

/* VIRTIO_BLK_S_*, of a request that was completed. */
static inline uint8_t blk_slot_status(const struct blk_slot *slot)
{
	return *(volatile const uint8_t *)slot->status;
}

unsigned blk_load_in_flight(const struct blk_load *load);
/* For a sleep on more than this queue; see vhu/frontend.h. */
struct vhu_vq *blk_load_vq(const struct blk_load *load);

#endif
