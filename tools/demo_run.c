/* SPDX-License-Identifier: BSD-3-Clause */
/* The demo's work: write all of the disk, read it back, be refused twice. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "demo.h"
#include "pattern.h"
#include "progress.h"
#include "say.h"

/* How long a request may take before something is wrong. */
#define PATIENCE_MS 10000

#define MIB         1048576.0
#define CANARY      0xc5

/* Byte by byte of the disk, so that no two pages are alike. */
static void fill_page(void *page, uint64_t disk_offset)
{
	pattern_fill(page, BLK_PAGE, disk_offset / sizeof(uint64_t));
}

static uint64_t differing_bytes(const void *page, uint64_t disk_offset)
{
	return pattern_differs(page, BLK_PAGE, disk_offset / sizeof(uint64_t));
}

static int explain(const struct demo *demo, const char *what, int error)
{
	return say_failure(DEMO_NAME, demo->frontend, what, error, NULL);
}

static int complete(struct demo *demo, struct blk_io **ret)
{
	int got = blk_driver_complete(demo->driver, PATIENCE_MS, ret);

	if (*demo->stop)
		return -EINTR;
	if (got == 0)
		got = -ETIMEDOUT;
	if (got < 0)
		return explain(demo, "waiting for a request", got);
	demo->requests++;
	return 0;
}

static int submit(struct demo *demo, struct blk_io *io)
{
	int error = blk_io_submit(demo->driver, io);

	if (!error)
		error = blk_driver_kick(demo->driver);
	return error ? explain(demo, "submitting a request", error) : 0;
}

/* Visits each request's worth of the disk once, not in order. */
static uint64_t scatter(uint64_t i, uint64_t n)
{
	const uint64_t stride = n > 7 && n % 7 ? 7 : 1;

	return i * stride % n;
}

static int start_one(struct demo *demo, uint32_t type, uint64_t offset)
{
	struct blk_io *io = blk_io_prepare(demo->driver, type, offset / BLK_SECTOR, DEMO_PAGES);

	if (!io)
		return -ENOMEM;
	for (unsigned i = 0; i < DEMO_PAGES; i++) {
		void *page = blk_io_page(demo->driver, io, i);

		if (type == VIRTIO_BLK_T_OUT)
			fill_page(page, offset + i * UINT64_C(4096));
		else
			memset(page, CANARY, BLK_PAGE);
	}
	return submit(demo, io);
}

static int finish_one(struct demo *demo)
{
	struct blk_io *io;
	int error = complete(demo, &io);

	if (error)
		return error;
	if (io->status != VIRTIO_BLK_S_OK) {
		say(DEMO_NAME, "a request at sector %llu failed: status %u",
		    (unsigned long long)io->sector, io->status);
		return -EIO;
	}
	for (unsigned i = 0; io->type == VIRTIO_BLK_T_IN && i < io->pages; i++)
		demo->differing += differing_bytes(blk_io_page(demo->driver, io, i),
		                                   io->sector * BLK_SECTOR + i * UINT64_C(4096));
	blk_io_release(demo->driver, io);
	return 0;
}

static void show(const struct demo *demo, struct progress *progress, const char *what,
                 uint64_t done)
{
	int64_t now = progress_now_ns();
	double seconds = (double)(now - progress->start_ns) / 1e9;
	struct vhu_frontend_stats stats;

	if (!progress_due(progress, now))
		return;
	vhu_frontend_stats(demo->frontend, &stats);
	progress_show(progress, now, "%-8s %6.0f of %.0f MiB  %6.0f MiB/s  %llu misses", what,
	              (double)done / MIB, (double)demo->size / MIB, (double)done / MIB / seconds,
	              (unsigned long long)stats.misses);
}

/* Keeps DEMO_DEPTH requests in flight over the whole disk. */
static int sweep(struct demo *demo, uint32_t type, const char *what, uint64_t *ret_bytes)
{
	const uint64_t n = demo->size / DEMO_IO_BYTES;
	uint64_t started = 0, finished = 0;
	struct progress progress;
	int error = 0;

	progress_start(&progress);
	while (finished < n && !error) {
		if (started < n && started - finished < DEMO_DEPTH) {
			error = start_one(demo, type, scatter(started++, n) * DEMO_IO_BYTES);
			continue;
		}
		error = finish_one(demo);
		*ret_bytes += error ? 0 : DEMO_IO_BYTES;
		finished++;
		show(demo, &progress, what, finished * DEMO_IO_BYTES);
	}
	progress_make_way();
	return error;
}

static int flush(struct demo *demo)
{
	struct blk_io *io;
	int error;

	if (!(demo->features & UINT64_C(1) << VIRTIO_BLK_F_FLUSH))
		return 0;
	io = blk_io_prepare(demo->driver, VIRTIO_BLK_T_FLUSH, 0, 0);
	error = io ? submit(demo, io) : -ENOMEM;
	return error ? error : finish_one(demo);
}

int demo_write(struct demo *demo)
{
	int64_t start = progress_now_ns();
	int error = sweep(demo, VIRTIO_BLK_T_OUT, "writing", &demo->written);

	if (!error)
		error = flush(demo);
	demo->write_seconds = (double)(progress_now_ns() - start) / 1e9;
	return error;
}

int demo_verify(struct demo *demo)
{
	int64_t start = progress_now_ns();
	int error = sweep(demo, VIRTIO_BLK_T_IN, "reading", &demo->verified);

	demo->verify_seconds = (double)(progress_now_ns() - start) / 1e9;
	return error;
}

/* A request whose data the IOMMU does not know. Its pages hold CANARY. */
static int be_refused(struct demo *demo, uint32_t type, struct blk_io **ret)
{
	struct blk_io *io = blk_io_prepare(demo->driver, type, 0, 1);
	int error;

	if (!io)
		return -ENOMEM;
	io->data_unmapped = true;
	memset(blk_io_page(demo->driver, io, 0), CANARY, BLK_PAGE);
	demo->fault = (struct vhu_iommu_fault){ 0 };
	demo->faults = 0;
	error = submit(demo, io);
	return error ? error : complete(demo, ret);
}

static void judge(struct demo *demo, const struct blk_io *io, struct demo_refusal *refusal)
{
	const unsigned char *page = blk_io_page(demo->driver, io, 0);

	refusal->iova = io->data_iova;
	refusal->status_ioerr = io->status == VIRTIO_BLK_S_IOERR;
	refusal->fault_reported = demo->faults && demo->fault.iova == io->data_iova &&
	                          demo->fault.perm == refusal->perm;
	refusal->memory_untouched = page[0] == CANARY && !memcmp(page, page + 1, BLK_PAGE - 1);
}

/* Reads the first page of the disk, and says how many bytes are not as written. */
static int read_first(struct demo *demo, uint64_t *ret_frame, uint64_t *ret_differing)
{
	struct blk_io *io = blk_io_prepare(demo->driver, VIRTIO_BLK_T_IN, 0, 1);
	int error = io ? submit(demo, io) : -ENOMEM;

	if (!error)
		error = complete(demo, &io);
	if (error)
		return error;
	*ret_frame = io->frames[0];
	*ret_differing = io->status == VIRTIO_BLK_S_OK
	                         ? differing_bytes(blk_io_page(demo->driver, io, 0), 0)
	                         : BLK_PAGE;
	blk_io_release(demo->driver, io);
	return 0;
}

/* The disk is to be written from an address that was never mapped. */
static int refuse_unmapped(struct demo *demo, struct demo_refusal *refusal)
{
	uint64_t differing;
	struct blk_io *io;
	uint64_t frame;
	int error;

	refusal->what = "a write from an address that is not mapped";
	refusal->perm = VHU_PERM_READ;
	error = be_refused(demo, VIRTIO_BLK_T_OUT, &io);
	if (error)
		return error;
	judge(demo, io, refusal);
	blk_io_release(demo->driver, io);
	error = read_first(demo, &frame, &differing);
	refusal->disk_untouched = !differing;
	return error;
}

/*
 * The disk is to be read to a page that was mapped for the request before, which
 * the back-end has used, and which was unmapped when that was done.
 */
static int refuse_unmapped_again(struct demo *demo, struct demo_refusal *refusal)
{
	const unsigned char *old;
	uint64_t differing;
	struct blk_io *io;
	uint64_t frame;
	int error;

	refusal->what = "a read to a page just unmapped";
	refusal->perm = VHU_PERM_WRITE;
	error = read_first(demo, &frame, &differing);
	if (error)
		return error;
	memset(vhu_guestmem_ptr(demo->mem, frame, BLK_PAGE), CANARY, BLK_PAGE);
	error = be_refused(demo, VIRTIO_BLK_T_IN, &io);
	if (error)
		return error;
	judge(demo, io, refusal);
	old = vhu_guestmem_ptr(demo->mem, frame, BLK_PAGE);
	refusal->memory_untouched &= old[0] == CANARY && !memcmp(old, old + 1, BLK_PAGE - 1);
	refusal->disk_untouched = !differing;
	blk_io_release(demo->driver, io);
	return 0;
}

int demo_refusals(struct demo *demo)
{
	int error = refuse_unmapped(demo, &demo->refusals[0]);

	return error ? error : refuse_unmapped_again(demo, &demo->refusals[1]);
}

bool demo_refusal_holds(const struct demo_refusal *refusal)
{
	return refusal->status_ioerr && refusal->fault_reported && refusal->memory_untouched &&
	       refusal->disk_untouched;
}
