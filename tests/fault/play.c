/* SPDX-License-Identifier: BSD-3-Clause */
#include "play.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vhu/frontend.h>

#include "blk_driver.h"
#include "iommu/iommu.h"

#define DEPTH       3u
#define PAGES       2u
#define ROUNDS      2u
#define IO_BYTES    (PAGES * BLK_PAGE)
#define REGION      (UINT64_C(1) << 20)
#define PATIENCE_MS 2000
#define CANARY      0xc5

struct actor {
	struct play *play;
	struct vhu_iommu *iommu;
	struct vhu_frontend *frontend;
	struct vhu_guestmem *mem;
	uint64_t features;
	struct blk_driver *driver;
};

static int trouble(struct actor *actor, const char *step, int error)
{
	struct play *play = actor->play;

	if (!error || play->error)
		return error;
	play->error = error;
	play->step = step;
	if (actor->frontend)
		snprintf(play->text, sizeof(play->text), "%s", vhu_frontend_error(actor->frontend));
	return error;
}

static int negotiate(struct actor *actor, int fd)
{
	const struct vhu_iommu_config iommu = { .max_mappings = 0 };
	struct vhu_frontend_config config = { .timeout_ms = PATIENCE_MS };
	uint64_t offered;
	int error = trouble(actor, "an IOMMU", vhu_iommu_new(&iommu, &actor->iommu));

	config.iommu = actor->iommu;
	if (!error)
		error = trouble(actor, "a front-end",
		                vhu_frontend_new(&config, fd, &actor->frontend));
	if (error) {
		close(fd);
		return error;
	}
	error = trouble(actor, "negotiating", vhu_frontend_negotiate(actor->frontend));
	if (error)
		return error;
	offered = vhu_frontend_features_offered(actor->frontend);
	actor->features = blk_driver_features(offered);
	if (!(actor->features & UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM))
		return trouble(actor, "a device without an IOTLB", -EOPNOTSUPP);
	return trouble(actor, "features",
	               vhu_frontend_set_features(actor->frontend, actor->features));
}

static int share(struct actor *actor)
{
	const uint64_t sizes[] = { REGION, REGION };
	const struct vhu_region *regions;
	unsigned n;
	int error = trouble(actor, "memory", vhu_guestmem_new(sizes, 2, &actor->mem));

	if (error)
		return error;
	regions = vhu_guestmem_regions(actor->mem, &n);
	return trouble(actor, "sharing memory",
	               vhu_frontend_add_memory(actor->frontend, regions, n));
}

static int start(struct actor *actor)
{
	const struct blk_driver_config config = {
		.frontend = actor->frontend,
		.iommu = actor->iommu,
		.mem = actor->mem,
		.features = actor->features,
		.num = 16,
		.depth = DEPTH,
		.pages = PAGES,
		.mem_size = 2 * REGION,
		.iova = UINT64_C(0x100000000),
	};

	return trouble(actor, "a driver", blk_driver_new(&config, &actor->driver));
}

static int stop(struct actor *actor)
{
	int error = trouble(actor, "stopping", blk_driver_stop(actor->driver));

	blk_driver_free(actor->driver);
	actor->driver = NULL;
	return error;
}

static void fill(struct actor *actor, const struct blk_io *io, uint8_t value)
{
	for (unsigned i = 0; i < io->pages; i++)
		memset(blk_io_page(actor->driver, io, i), value, BLK_PAGE);
}

static void compare(struct actor *actor, const struct blk_io *io, uint8_t value, const char *what)
{
	for (unsigned i = 0; i < io->pages; i++) {
		const uint8_t *page = blk_io_page(actor->driver, io, i);

		if (page[0] != value || memcmp(page, page + 1, BLK_PAGE - 1))
			actor->play->mismatch = what;
	}
}

static uint8_t value_of(unsigned number)
{
	return (uint8_t)(number * 37 + 1);
}

static int submit(struct actor *actor, struct blk_io *io)
{
	int error = trouble(actor, "submitting", blk_io_submit(actor->driver, io));

	return error ? error : trouble(actor, "kicking", blk_driver_kick(actor->driver));
}

static int submit_number(struct actor *actor, uint32_t type, unsigned number)
{
	struct blk_io *io = blk_io_prepare(actor->driver, type, number * (IO_BYTES / BLK_SECTOR),
	                                   type == VIRTIO_BLK_T_FLUSH ? 0 : PAGES);

	if (!io)
		return trouble(actor, "preparing a request", -ENOBUFS);
	fill(actor, io, type == VIRTIO_BLK_T_OUT ? value_of(number) : CANARY);
	return submit(actor, io);
}

static int complete(struct actor *actor, struct blk_io **ret)
{
	int got = blk_driver_complete(actor->driver, PATIENCE_MS, ret);

	return got == 1 ? 0 : trouble(actor, "waiting", got ? got : -ETIMEDOUT);
}

static void judge(struct actor *actor, const struct blk_io *io)
{
	unsigned number = (unsigned)(io->sector * BLK_SECTOR / IO_BYTES);

	if (io->type == VIRTIO_BLK_T_IN)
		compare(actor, io, value_of(number), "a read gave other data");
	else if (io->type == VIRTIO_BLK_T_OUT)
		compare(actor, io, value_of(number), "a write changed its data");
}

/* What the disk failed once it does when asked again. */
static int finish(struct actor *actor, bool again)
{
	struct blk_io *io;
	int error = complete(actor, &io);

	if (error)
		return error;
	if (io->status == VIRTIO_BLK_S_IOERR && !again) {
		actor->play->io_errors++;
		error = submit(actor, io);
		return error ? error : finish(actor, true);
	}
	if (io->status != VIRTIO_BLK_S_OK)
		return trouble(actor, "a request", -EIO);
	judge(actor, io);
	blk_io_release(actor->driver, io);
	return 0;
}

static int sweep(struct actor *actor, uint32_t type, unsigned n)
{
	unsigned started = 0, finished = 0;
	int error = 0;

	while (finished < n && !error) {
		if (started < n && started - finished < DEPTH) {
			error = submit_number(actor, type, started++);
		} else {
			error = finish(actor, false);
			finished++;
		}
	}
	return error;
}

static int move_data(struct actor *actor)
{
	int error = 0;

	for (unsigned round = 0; round < ROUNDS && !error; round++) {
		error = sweep(actor, VIRTIO_BLK_T_OUT, 2 * DEPTH);
		if (!error)
			error = sweep(actor, VIRTIO_BLK_T_FLUSH, 1);
		if (!error)
			error = sweep(actor, VIRTIO_BLK_T_IN, 2 * DEPTH);
	}
	return error;
}

static int be_refused(struct actor *actor)
{
	struct blk_io *io = blk_io_prepare(actor->driver, VIRTIO_BLK_T_IN, 0, 1);
	int error;

	if (!io)
		return trouble(actor, "preparing a request", -ENOBUFS);
	io->data_unmapped = true;
	fill(actor, io, CANARY);
	error = submit(actor, io);
	if (!error)
		error = complete(actor, &io);
	if (error)
		return error;
	if (io->status != VIRTIO_BLK_S_IOERR)
		actor->play->mismatch = "what was not mapped was not refused";
	compare(actor, io, CANARY, "what was not mapped was written");
	blk_io_release(actor->driver, io);
	return 0;
}

static int look_at_config(struct actor *actor)
{
	struct virtio_blk_config config;
	int error = trouble(actor, "reading the configuration",
	                    vhu_frontend_get_config(actor->frontend, 0, &config, sizeof(config)));

	if (!error)
		error = trouble(actor, "the status", vhu_frontend_set_status(actor->frontend, 0xf));
	return error;
}

static int unshare(struct actor *actor)
{
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(actor->mem, &n);

	return trouble(actor, "unsharing memory",
	               vhu_frontend_remove_memory(actor->frontend, &regions[n - 1]));
}

static int reset(struct actor *actor)
{
	int error = trouble(actor, "a reset", vhu_frontend_reset_device(actor->frontend));

	if (error)
		return error;
	return trouble(actor, "features again",
	               vhu_frontend_set_features(actor->frontend, actor->features));
}

static int act(struct actor *actor, int fd)
{
	int (*const steps[])(struct actor * actor) = {
		share, look_at_config, start,     move_data, be_refused, stop,
		reset, start,          move_data, stop,      unshare,
	};
	int error = negotiate(actor, fd);

	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]) && !error; i++) {
		error = steps[i](actor);
		if (actor->iommu && !iommu_check(actor->iommu))
			actor->play->mismatch = "iommu_check()";
	}
	return error;
}

void play(int fd, struct play *ret)
{
	struct actor actor = { .play = ret };

	*ret = (struct play){ 0 };
	act(&actor, fd);
	blk_driver_free(actor.driver);
	vhu_frontend_free(actor.frontend);
	vhu_iommu_free(actor.iommu);
	vhu_guestmem_free(actor.mem);
}
