/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "base/fd.h"
#include "support/check.h"
#include "verdict.h"

#define STATUS_NONE 0xff
#define SECTORS     (PAGE / BLK_SECTOR)

static uint64_t seed_of(unsigned disk_page, uint32_t version)
{
	return pattern_mix((uint64_t)disk_page << 32 | version);
}

/* What lies in a page before the device writes there. */
static uint64_t nothing_of(const struct io *io, unsigned part)
{
	return ~io->seeds[part - IO_DATA];
}

static struct load_pool *pool_of(struct load *load, const struct io *io)
{
	return &load->pools[io->queue % load->n_pools];
}

static void pool_put(struct load_pool *pool, struct page *page)
{
	pool->idle[pool->n_idle++] = page;
}

static bool fill_disk(struct load *load)
{
	uint64_t page[PATTERN_WORDS];

	for (unsigned i = 0; i < DISK_PAGES; i++) {
		pattern_fill(page, seed_of(i, 0));
		if (!disk_poke(load->disk, i, page)) {
			verdict_set(VERDICT_FAULT, "%s: the disk can't be filled", load->subject);
			return false;
		}
	}
	return true;
}

static bool make_queue(struct load *load, unsigned index)
{
	struct load_queue *queue = &load->queues[index];
	struct vring_driver_config config = { .num = RING_NUM, .event_idx = load->event_idx };
	const struct page *tables = &queue->pages[RING_PAGES];
	struct pages *pages = load->pages;

	config.desc = page_ptr(pages, &queue->pages[0]);
	config.avail = page_ptr(pages, &queue->pages[1]);
	config.used = page_ptr(pages, &queue->pages[2]);
	/* Every second queue has tables. */
	if (index % 2) {
		config.tables = page_ptr(pages, tables);
		config.tables_addr = tables->iova;
		config.table_entries = TABLE_ITEMS;
	}
	return !fd_event(&queue->kick) && !fd_event(&queue->call) && !fd_event(&queue->err) &&
	       !vring_driver_new(&config, &queue->driver);
}

static void make_pages(struct load *load, unsigned n_data)
{
	struct pages *pages = load->pages;
	unsigned n_ios = load->n_queues * load->depth, n = 2 * n_ios;

	for (unsigned q = 0; q < load->n_queues; q++)
		for (unsigned i = 0; i < QUEUE_PAGES; i++) {
			struct page *page = pages_add(pages, true);

			if (!i)
				load->queues[q].pages = page;
		}
	/* Headers, status bytes and data lie among each other. */
	for (unsigned i = 0, used = 0; i < n + n_data; i++) {
		struct page *page = pages_add(pages, false);

		if (used < n && (pattern_random(&load->random) % (n + n_data - i)) < n - used) {
			page->user = &load->ios[used / 2];
			page->part = used % 2 ? IO_STATUS : IO_HEADER;
			page->user->parts[page->part] = page;
			used++;
		} else {
			page->pinned = load->disk->config.direct;
			pool_put(&load->pools[(i - used) % load->n_pools], page);
		}
	}
}

bool load_init(struct load *load, struct disk *disk, struct pages *pages, unsigned n_data)
{
	load->disk = disk;
	load->pages = pages;
#ifdef THREAD_SANITIZER
	load->n_pools = disk->config.n_workers;
#else
	load->n_pools = 1;
#endif
	for (unsigned q = 0; q < load->n_queues; q++)
		load->queues[q].kick = load->queues[q].call = load->queues[q].err = -1;
	make_pages(load, n_data);
	for (unsigned i = 0; i < load->n_queues * load->depth; i++)
		load->ios[i].queue = i / load->depth;
	for (unsigned q = 0; q < load->n_queues; q++)
		if (!make_queue(load, q)) {
			verdict_set(VERDICT_FAULT, "%s: no memory for a ring", load->subject);
			return false;
		}
	return fill_disk(load);
}

void load_done(struct load *load)
{
	for (unsigned q = 0; q < load->n_queues; q++) {
		struct load_queue *queue = &load->queues[q];

		vring_driver_free(queue->driver);
		fd_close(&queue->kick);
		fd_close(&queue->call);
		fd_close(&queue->err);
	}
}

void io_fill(const struct io *io, unsigned part, void *page)
{
	const struct virtio_blk_outhdr header = {
		.type = htole32(io->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN),
		.sector = htole64((uint64_t)io->disk_page * SECTORS),
	};

	if (part == IO_HEADER)
		memcpy(page, &header, sizeof(header));
	else if (part == IO_STATUS)
		memset(page, STATUS_NONE, 1);
	else
		pattern_fill(page, io->write ? io->seeds[part - IO_DATA] : nothing_of(io, part));
}

/* Whether the device is done with the part, by what is in the page. */
static bool part_is_done(const struct io *io, unsigned part, const void *page)
{
	if (part == IO_HEADER || (part >= IO_DATA && io->write))
		return true;
	if (part == IO_STATUS)
		return *(const uint8_t *)page != STATUS_NONE;
	return pattern_is(page, io->seeds[part - IO_DATA]);
}

void io_land(struct io *io, unsigned part, const void *page)
{
	if (!io->busy || io->landed[part] || !part_is_done(io, part, page))
		return;
	io->landed[part] = true;
	if (part == IO_STATUS)
		io->status = *(const uint8_t *)page;
}

static void put_data(struct load *load, struct io *io)
{
	for (unsigned i = 0; i < io->n; i++) {
		struct page *page = io->parts[IO_DATA + i];

		page->user = NULL;
		pool_put(pool_of(load, io), page);
	}
	load->taken[io->disk_page / IO_PAGES] = false;
}

static void take_data(struct load *load, struct io *io)
{
	struct load_pool *pool = pool_of(load, io);
	unsigned extent;

	do
		extent = (unsigned)(pattern_random(&load->random) % (DISK_PAGES / IO_PAGES));
	while (load->taken[extent] || &load->pools[extent % load->n_pools] != pool);
	load->taken[extent] = true;
	io->disk_page = extent * IO_PAGES;
	io->n = 1 + (unsigned)(pattern_random(&load->random) % IO_PAGES);
	io->write = pattern_random(&load->random) % 2;
	for (unsigned i = 0; i < io->n; i++) {
		unsigned at = (unsigned)(pattern_random(&load->random) % pool->n_idle);
		struct page *page = pool->idle[at];

		pool->idle[at] = pool->idle[--pool->n_idle];
		page->user = io;
		page->part = IO_DATA + i;
		io->parts[page->part] = page;
		io->seeds[i] = seed_of(io->disk_page + i,
		                       load->versions[io->disk_page + i] + io->write);
	}
}

static void fill_part(struct load *load, struct io *io, unsigned part)
{
	struct page *page = io->parts[part];
	void *old = page_old_ptr(load->pages, page);

	io->landed[part] = false;
	io_fill(io, part, page_ptr(load->pages, page));
	if (old)
		io_fill(io, part, old);
}

static void submit(struct load *load, struct io *io)
{
	struct vring_buffer buffers[IO_PARTS];
	unsigned n = 0;

	take_data(load, io);
	io->busy = true;
	load->busy++;
	for (unsigned i = 0; i < IO_DATA + io->n; i++)
		fill_part(load, io, i);
	buffers[n++] = (struct vring_buffer){ io->parts[IO_HEADER]->iova,
		                              sizeof(struct virtio_blk_outhdr), false };
	for (unsigned i = 0; i < io->n; i++)
		buffers[n++] = (struct vring_buffer){ io->parts[IO_DATA + i]->iova, PAGE,
			                              !io->write };
	buffers[n++] = (struct vring_buffer){ io->parts[IO_STATUS]->iova, 1, true };
	if (vring_driver_add(load->queues[io->queue].driver, buffers, n, io))
		verdict_set(VERDICT_FAULT, "%s: no room in the ring", load->subject);
}

void load_submit(struct load *load, unsigned queues)
{
	for (unsigned i = 0; i < load->n_queues * load->depth; i++) {
		struct io *io = &load->ios[i];

		if (!io->busy && queues >> io->queue & 1)
			submit(load, io);
	}
	for (unsigned q = 0; q < load->n_queues; q++)
		if (vring_driver_kick_needed(load->queues[q].driver))
			fd_signal(load->queues[q].kick);
}

/* A look at where it is, and at where it was if it is on its way. */
static bool look(struct load *load, struct io *io, unsigned part)
{
	const void *old = page_old_ptr(load->pages, io->parts[part]);

	io_land(io, part, page_ptr(load->pages, io->parts[part]));
	if (old)
		io_land(io, part, old);
	return io->landed[part];
}

/* Of a request that failed: the page that went last, through which it may have. */
static const struct page *suspect(const struct io *io)
{
	const struct page *page = io->parts[IO_HEADER];

	for (unsigned i = 0; i < IO_DATA + io->n; i++)
		if (io->parts[i]->gone > page->gone)
			page = io->parts[i];
	return page;
}

static void accuse(struct load *load, const struct io *io, const char *what,
                   const struct page *page)
{
	/* Perhaps something is known of where its data went. */
	frames_look(load->pages->frames);
	verdict_set(VERDICT_VIOLATION,
	            "%s: worker %u, queue %u: a valid request to %s %u pages at page %u of the "
	            "disk %s: the page at iova 0x%" PRIx64 ", now in frame %u, went in round "
	            "%" PRIu64 " of %" PRIu64 "; status %u",
	            load->subject, io->queue % load->disk->config.n_workers, io->queue,
	            io->write ? "write" : "read", io->n, io->disk_page, what, page->iova,
	            page->frame, page->gone, load->pages->serial, io->status);
}

static void judge(struct load *load, struct io *io, uint32_t written)
{
	uint32_t expected = 1 + (io->write ? 0 : io->n * PAGE);

	if (!look(load, io, IO_STATUS))
		accuse(load, io, "came back without a status", io->parts[IO_STATUS]);
	else if (io->status != VIRTIO_BLK_S_OK)
		accuse(load, io, "failed", suspect(io));
	else if (written != expected)
		accuse(load, io, "came back with another length", suspect(io));
	for (unsigned i = 0; i < io->n; i++)
		if (!look(load, io, IO_DATA + i))
			accuse(load, io, "brought wrong data", io->parts[IO_DATA + i]);
}

static bool reap(struct load *load, struct load_queue *queue)
{
	uint32_t written;
	struct io *io;
	void *token;
	int error;

	if (!vring_driver_get(queue->driver, &token, &written, &error)) {
		if (error)
			verdict_set(VERDICT_FAULT, "%s: a used element of nothing", load->subject);
		return false;
	}
	io = token;
	judge(load, io, written);
	for (unsigned i = 0; i < io->n && io->write; i++)
		load->versions[io->disk_page + i]++;
	put_data(load, io);
	io->busy = false;
	load->busy--;
	load->completed++;
	return true;
}

bool load_reap(struct load *load)
{
	bool any = false;

	for (unsigned q = 0; q < load->n_queues; q++) {
		fd_drain(load->queues[q].call);
		if (fd_drain(load->queues[q].err))
			verdict_set(VERDICT_FAULT,
			            "%s: queue %u reports an error (round %" PRIu64 ")",
			            load->subject, q, load->pages->rounds);
		while (reap(load, &load->queues[q]))
			any = true;
	}
	return any;
}

bool load_arm(struct load *load)
{
	bool any = false;

	for (unsigned q = 0; q < load->n_queues; q++)
		any |= vring_driver_arm(load->queues[q].driver);
	return any;
}

void load_verify_disk(struct load *load)
{
	uint64_t page[PATTERN_WORDS];

	for (unsigned i = 0; i < DISK_PAGES; i++)
		if (!disk_peek(load->disk, i, page) ||
		    !pattern_is(page, seed_of(i, load->versions[i])))
			verdict_set(VERDICT_VIOLATION,
			            "%s: page %u of the disk is not what was "
			            "written there last",
			            load->subject, i);
}
