/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "service.h"
#include "support/check.h"

#define MEMORY_SIZE   (UINT64_C(8) << 20) /* per queue */
#define IOVA_START    UINT64_C(0x100000000)
#define IOVA_PER_RING UINT64_C(0x10000000)
#define RING_NUM      128u

#define BIT(n)        (UINT64_C(1) << (n))

/* Word @i of the disk. */
static uint64_t pattern(uint64_t i, uint64_t seed)
{
	uint64_t x = (i + seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 32;
}

void pattern_fill(void *page, uint64_t offset, uint64_t seed)
{
	uint64_t *words = page;

	for (unsigned i = 0; i < BLK_PAGE / sizeof(*words); i++)
		words[i] = pattern(offset / sizeof(*words) + i, seed);
}

bool pattern_holds(const void *page, uint64_t offset, uint64_t seed)
{
	uint64_t words[BLK_PAGE / sizeof(uint64_t)];

	pattern_fill(words, offset, seed);
	return memcmp(words, page, sizeof(words)) == 0;
}

static void fault(const struct vhu_iommu_fault *what, void *opaque)
{
	struct machine *machine = opaque;

	(void)what;
	machine->faults++;
}

/* What an operation of the front-end must not say. */
static void must(struct machine *machine, int error)
{
	if (error)
		fail_msg("front-end: %s: %s", strerror(-error),
		         machine->frontend ? vhu_frontend_error(machine->frontend) : "");
}

static void open_frontend(struct machine *machine, const char *path)
{
	const struct vhu_frontend_config config = { .name = "machine",
		                                    .iommu = machine->iommu,
		                                    .timeout_ms = PATIENCE_MS };
	const struct vhu_region *regions;
	unsigned n;

	must(machine, vhu_frontend_connect(&config, path, &machine->frontend));
	must(machine, vhu_frontend_negotiate(machine->frontend));
	machine->offered = vhu_frontend_features_offered(machine->frontend);
	machine->features = blk_driver_features(machine->offered);
	machine->features |= machine->offered & (BIT(VIRTIO_BLK_F_MQ) | BIT(VIRTIO_BLK_F_RO));
	must(machine, vhu_frontend_set_features(machine->frontend, machine->features));
	regions = vhu_guestmem_regions(machine->mem, &n);
	must(machine, vhu_frontend_add_memory(machine->frontend, regions, n));
}

static void open_queue(struct machine *machine, unsigned queue)
{
	const struct blk_driver_config config = {
		.frontend = machine->frontend,
		.iommu = machine->iommu,
		.mem = machine->mem,
		.features = machine->features,
		.queue = queue,
		.num = RING_NUM,
		.depth = machine->config.depth,
		.pages = machine->config.pages,
		.mem_start = queue * MEMORY_SIZE,
		.mem_size = MEMORY_SIZE,
		.iova = IOVA_START + queue * IOVA_PER_RING,
	};

	must(machine, blk_driver_new(&config, &machine->drivers[queue]));
}

void machine_open(struct machine *machine, const char *path, const struct machine_config *config)
{
	const struct vhu_iommu_config iommu = { .fault = fault, .opaque = machine };
	uint64_t size;

	*machine = (struct machine){ .config = *config };
	if (!config->queues)
		machine->config.queues = 1;
	if (!config->depth)
		machine->config.depth = 8;
	if (!config->pages)
		machine->config.pages = 8;
	assert_true(machine->config.queues <= MACHINE_QUEUES_MAX);
	if (!config->plain)
		must(machine, vhu_iommu_new(&iommu, &machine->iommu));
	size = machine->config.queues * MEMORY_SIZE;
	must(machine, vhu_guestmem_new(&size, 1, &machine->mem));
	open_frontend(machine, path);
	for (unsigned i = 0; i < machine->config.queues; i++)
		open_queue(machine, i);
}

void machine_drop(struct machine *machine)
{
	for (unsigned i = 0; i < machine->config.queues; i++)
		blk_driver_free(machine->drivers[i]);
	vhu_frontend_free(machine->frontend);
	vhu_iommu_free(machine->iommu);
	vhu_guestmem_free(machine->mem);
}

void machine_close(struct machine *machine)
{
	for (unsigned i = 0; i < machine->config.queues; i++)
		must(machine, blk_driver_stop(machine->drivers[i]));
	machine_drop(machine);
}

static struct blk_io *complete(struct machine *machine, unsigned queue)
{
	struct blk_io *io = NULL;
	int got = blk_driver_complete(machine->drivers[queue], PATIENCE_MS, &io);

	if (got == 0)
		fail_msg("queue %u: nothing was completed", queue);
	must(machine, got < 0 ? got : 0);
	machine->requests++;
	/* header, status, and the data's pages */
	machine->pages_needed += 2 + io->pages;
	return io;
}

static void submit(struct machine *machine, unsigned queue, struct blk_io *io)
{
	must(machine, blk_io_submit(machine->drivers[queue], io));
	must(machine, blk_driver_kick(machine->drivers[queue]));
}

uint8_t machine_do(struct machine *machine, unsigned queue, uint32_t type, uint64_t sector,
                   unsigned pages, void *bytes)
{
	struct blk_driver *driver = machine->drivers[queue];
	struct blk_io *io = blk_io_prepare(driver, type, sector, pages);
	uint8_t status;

	assert_non_null(io);
	for (unsigned i = 0; i < pages; i++)
		memcpy(blk_io_page(driver, io, i), (char *)bytes + i * BLK_PAGE, BLK_PAGE);
	submit(machine, queue, io);
	assert_ptr_equal(complete(machine, queue), io);
	for (unsigned i = 0; i < pages; i++)
		memcpy((char *)bytes + i * BLK_PAGE, blk_io_page(driver, io, i), BLK_PAGE);
	status = io->status;
	blk_io_release(driver, io);
	return status;
}

static void start_one(struct machine *machine, unsigned queue, uint32_t type, uint64_t offset,
                      uint64_t seed)
{
	struct blk_driver *driver = machine->drivers[queue];
	unsigned pages = machine->config.pages;
	struct blk_io *io = blk_io_prepare(driver, type, offset / BLK_SECTOR, pages);

	assert_non_null(io);
	for (unsigned i = 0; i < pages; i++) {
		if (type == VIRTIO_BLK_T_OUT)
			pattern_fill(blk_io_page(driver, io, i), offset + i * BLK_PAGE, seed);
		else
			memset(blk_io_page(driver, io, i), 0xc5, BLK_PAGE);
	}
	submit(machine, queue, io);
}

static void finish_one(struct machine *machine, unsigned queue, uint64_t seed)
{
	struct blk_driver *driver = machine->drivers[queue];
	struct blk_io *io = complete(machine, queue);
	uint64_t offset = io->sector * BLK_SECTOR;

	assert_int_equal(io->status, VIRTIO_BLK_S_OK);
	for (unsigned i = 0; io->type == VIRTIO_BLK_T_IN && i < io->pages; i++)
		if (!pattern_holds(blk_io_page(driver, io, i), offset + i * BLK_PAGE, seed))
			fail_msg("queue %u: byte %llu and those behind it differ", queue,
			         (unsigned long long)(offset + i * BLK_PAGE));
	blk_io_release(driver, io);
}

static void sweep(struct machine *machine, uint32_t type, uint64_t start, uint64_t size,
                  uint64_t seed)
{
	const uint64_t bytes = machine->config.pages * (uint64_t)BLK_PAGE, n = size / bytes;
	unsigned queues = machine->config.queues;

	assert_int_equal(start % bytes, 0);
	assert_int_equal(size % bytes, 0);
	for (uint64_t i = 0; i < n; i++) {
		unsigned queue = (unsigned)(i % queues);

		if (blk_driver_in_flight(machine->drivers[queue]) == machine->config.depth)
			finish_one(machine, queue, seed);
		start_one(machine, queue, type, start + i * bytes, seed);
	}
	for (unsigned queue = 0; queue < queues; queue++)
		while (blk_driver_in_flight(machine->drivers[queue]))
			finish_one(machine, queue, seed);
}

void machine_write(struct machine *machine, uint64_t start, uint64_t size, uint64_t seed)
{
	sweep(machine, VIRTIO_BLK_T_OUT, start, size, seed);
}

void machine_verify(struct machine *machine, uint64_t start, uint64_t size, uint64_t seed)
{
	sweep(machine, VIRTIO_BLK_T_IN, start, size, seed);
}
