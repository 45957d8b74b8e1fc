/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of a disk, part by part (virtio 1.2, 5.2.6). What the parts lie in is
 * the case's to choose.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_BLK_H
#define CONFORM_BLK_H

#include <linux/virtio_blk.h>

#include "front.h"

#define BLK_SECTOR 512u
#define BLK_SEGS   64u
#define BLK_UNTOLD 0xcc /* what a status byte holds before it is written */

struct blk_request {
	struct span header; /* 16 bytes, read by the device */
	struct span status; /* 1 byte, written */
	uint16_t head;
};

/* Memory for both parts. */
struct blk_request blk_request(struct front *f);

/* Shows it in ring @index and kicks. @spans: between header and status. */
void blk_submit(struct front *f, unsigned index, struct blk_request *request, uint32_t type,
                uint64_t sector, const struct span *spans, unsigned n);

/* Waits for it to be used and returns its status byte. */
uint8_t blk_expect_status(struct front *f, unsigned index, const struct blk_request *request);

/* The whole of it: the status. */
uint8_t blk_do(struct front *f, uint32_t type, uint64_t sector, const struct span *spans,
               unsigned n);

/* From the device's configuration; 0 where that can't be asked. In sectors. */
uint64_t blk_capacity(struct front *f);

#endif
