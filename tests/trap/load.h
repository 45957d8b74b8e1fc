/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load: block requests on several queues, each with a header, a status and
 * data pages of their own, any of which may be taken away at any time. Knows
 * what every page of the disk holds, and judges what comes back.
 *
 * Thread: the front-end's.
 */
#ifndef TRAP_LOAD_H
#define TRAP_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "disk.h"
#include "pages.h"
#include "vring/driver.h"

#define LOAD_QUEUES_MAX 8u
#define LOAD_DEPTH_MAX  32u
#define IO_PAGES        4u
/* Parts of a request, each in a page. */
#define IO_HEADER 0u
#define IO_STATUS 1u
#define IO_DATA   2u
#define IO_PARTS  (IO_DATA + IO_PAGES)

/* Of each ring: descriptors, available, used, and the indirect tables. */
#define RING_NUM    256u
#define RING_PAGES  3u
#define TABLE_ITEMS 8u
#define TABLE_PAGES (RING_NUM * TABLE_ITEMS * 16u / PAGE)
#define QUEUE_PAGES (RING_PAGES + TABLE_PAGES)

struct io {
	unsigned queue;
	bool busy, write;
	unsigned disk_page, n; /* data */
	uint64_t seeds[IO_PAGES];
	struct page *parts[IO_PARTS];
	/* What was there when a part went: the device may be done with it. */
	bool landed[IO_PARTS];
	uint8_t status;
};

struct load_queue {
	struct page *pages; /* QUEUE_PAGES of them */
	struct vring_driver *driver;
	int kick, call, err;
};

/*
 * Data pages, and pages of the disk, that any queue may use. The thread sanitizer
 * does not see that what one worker has done comes before what another does when
 * the two talk by way of rings, which are mapped twice: for it each worker has a
 * pool of its own.
 */
struct load_pool {
	struct page *idle[PAGES_MAX];
	unsigned n_idle;
};

struct load {
	const char *subject;
	struct disk *disk;
	struct pages *pages;
	unsigned n_queues, depth;
	bool event_idx;
	struct load_queue queues[LOAD_QUEUES_MAX];
	struct io ios[LOAD_QUEUES_MAX * LOAD_DEPTH_MAX];
	struct load_pool pools[DISK_WORKERS_MAX];
	unsigned n_pools;
	unsigned busy;
	uint32_t versions[DISK_PAGES];
	bool taken[DISK_PAGES / IO_PAGES];
	uint64_t completed;
	uint64_t random;
};

/* Memory is there, nothing is shared yet. @n_data: pages for data. False: the verdict says why. */
bool load_init(struct load *load, struct disk *disk, struct pages *pages, unsigned n_data);
void load_done(struct load *load);

/* Fills queues up to their depth: those of a set of bits. */
#define LOAD_ALL_QUEUES ~0u
void load_submit(struct load *load, unsigned queues);
/* Takes what has come back. Whether anything has. */
bool load_reap(struct load *load);
/* Asks for calls; true if something has come back meanwhile. */
bool load_arm(struct load *load);
/* The disk itself, when nobody uses it any more. */
void load_verify_disk(struct load *load);

/* For pages.c: what the driver puts into a part; what the device has put there. */
void io_fill(const struct io *io, unsigned part, void *page);
void io_land(struct io *io, unsigned part, const void *page);

#endif
