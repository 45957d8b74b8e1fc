/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_driver.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

/* Of the ring; uapi's own header of it does not go with the library's inner ones. */
#define F_INDIRECT_DESC 28
#define F_EVENT_IDX     29

#define BIT(n)          (UINT64_C(1) << (n))

/* In a request's own page, and at the same offsets in its window. */
#define HEADER_OFFSET 0u
#define STATUS_OFFSET 16u
#define DATA_OFFSET   BLK_PAGE

struct slot {
	struct blk_io io;
	uint64_t meta; /* gpa of header and status */
	uint64_t window;
};

struct blk_driver {
	struct blk_driver_config config;
	struct vhu_vq *vq;
	struct slot *slots;
	uint64_t *frames; /* free ones */
	unsigned n_frames;
	unsigned in_flight;
	uint64_t random;
	uint64_t ring_gpa, ring_bytes;
};

uint64_t blk_driver_features(uint64_t offered)
{
	return offered & (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |
	                  BIT(F_INDIRECT_DESC) | BIT(F_EVENT_IDX) | BIT(VIRTIO_BLK_F_FLUSH));
}

static uint16_t table_entries(const struct blk_driver_config *config)
{
	unsigned data = config->iommu ? 1 : config->pages;

	return config->features & BIT(F_INDIRECT_DESC) ? (uint16_t)(data + 2) : 0;
}

static uint64_t ring_bytes(const struct blk_driver_config *config)
{
	return vhu_vq_bytes(config->num, table_entries(config));
}

/* A page that is never mapped lies behind each window. */
static uint64_t window_bytes(const struct blk_driver_config *config)
{
	return DATA_OFFSET + (config->pages + 1) * UINT64_C(4096);
}

uint64_t blk_driver_iova_size(const struct blk_driver_config *config)
{
	return ring_bytes(config) + BLK_PAGE + config->depth * window_bytes(config);
}

/* xorshift64 */
static uint64_t next_random(struct blk_driver *driver)
{
	driver->random ^= driver->random << 13;
	driver->random ^= driver->random >> 7;
	driver->random ^= driver->random << 17;
	return driver->random;
}

static void *at(const struct blk_driver *driver, uint64_t gpa, uint64_t len)
{
	return vhu_guestmem_ptr(driver->config.mem, gpa, len);
}

static struct vhu_mapping mapping(const struct blk_driver *driver, uint64_t iova, uint64_t gpa,
                                  uint64_t len, uint8_t perm)
{
	return (struct vhu_mapping){ iova, len, (uintptr_t)at(driver, gpa, len), perm };
}

/* Ring, then a page for each request's header and status, then data. */
static int divide_memory(struct blk_driver *driver)
{
	const struct blk_driver_config *config = &driver->config;
	uint64_t gpa = config->mem_start, end = gpa + config->mem_size;

	driver->ring_gpa = gpa;
	driver->ring_bytes = ring_bytes(config);
	gpa += driver->ring_bytes;
	if (gpa + config->depth * (config->pages + UINT64_C(1)) * BLK_PAGE > end)
		return -EINVAL;
	for (unsigned i = 0; i < config->depth; i++, gpa += BLK_PAGE) {
		driver->slots[i].meta = gpa;
		driver->slots[i].io.index = i;
		driver->slots[i].window = config->iova + driver->ring_bytes + BLK_PAGE +
		                          i * window_bytes(config);
	}
	driver->frames = calloc((end - gpa) / BLK_PAGE, sizeof(*driver->frames));
	if (!driver->frames)
		return -ENOMEM;
	for (; gpa + BLK_PAGE <= end; gpa += BLK_PAGE)
		driver->frames[driver->n_frames++] = gpa;
	return 0;
}

static int start_queue(struct blk_driver *driver)
{
	const struct blk_driver_config *config = &driver->config;
	void *mem = at(driver, driver->ring_gpa, driver->ring_bytes);
	const struct vhu_vq_config vq = {
		.index = config->queue,
		.num = config->num,
		.event_idx = config->features & BIT(F_EVENT_IDX),
		.table_entries = table_entries(config),
		.mem = mem,
		.addr = config->iommu ? config->iova : (uintptr_t)mem,
		.buffer_addr = config->iommu ? config->iova : driver->ring_gpa,
	};
	int error = 0;

	if (config->iommu)
		error = vhu_iommu_map(config->iommu, config->iova, driver->ring_bytes,
		                      (uintptr_t)mem, VHU_PERM_RW);
	return error ? error : vhu_vq_start(config->frontend, &vq, &driver->vq);
}

int blk_driver_new(const struct blk_driver_config *config, struct blk_driver **ret)
{
	struct blk_driver *driver = NULL;
	int error = -EINVAL;

	if (!config->depth || !config->pages || config->pages > BLK_PAGES_MAX)
		return error;
	driver = calloc(1, sizeof(*driver));
	if (!driver)
		return -ENOMEM;
	driver->config = *config;
	driver->random = UINT64_C(0x9e3779b97f4a7c15);
	driver->slots = calloc(config->depth, sizeof(*driver->slots));
	error = driver->slots ? divide_memory(driver) : -ENOMEM;
	if (!error)
		error = start_queue(driver);
	if (error)
		blk_driver_free(driver);
	else
		*ret = driver;
	return error;
}

int blk_driver_stop(struct blk_driver *driver)
{
	int error = vhu_vq_stop(driver->vq), other = 0;

	if (driver->config.iommu)
		other = vhu_iommu_unmap(driver->config.iommu, driver->config.iova,
		                        blk_driver_iova_size(&driver->config));
	return error ? error : other;
}

void blk_driver_free(struct blk_driver *driver)
{
	if (!driver)
		return;
	vhu_vq_free(driver->vq);
	free(driver->slots);
	free(driver->frames);
	free(driver);
}

/* Any free page will do, and none in particular. */
static uint64_t take_frame(struct blk_driver *driver)
{
	unsigned i = (unsigned)(next_random(driver) % driver->n_frames);
	uint64_t frame = driver->frames[i];

	driver->frames[i] = driver->frames[--driver->n_frames];
	return frame;
}

struct blk_io *blk_io_prepare(struct blk_driver *driver, uint32_t type, uint64_t sector,
                              unsigned pages)
{
	struct blk_io *io = NULL;

	for (unsigned i = 0; i < driver->config.depth && !io; i++)
		if (!driver->slots[i].io.busy)
			io = &driver->slots[i].io;
	if (!io || pages > driver->config.pages || pages > driver->n_frames)
		return NULL;
	*io = (struct blk_io){
		.type = type, .sector = sector, .pages = pages, .index = io->index, .busy = true
	};
	for (unsigned i = 0; i < pages; i++)
		io->frames[i] = take_frame(driver);
	return io;
}

void *blk_io_page(const struct blk_driver *driver, const struct blk_io *io, unsigned page)
{
	return at(driver, io->frames[page], BLK_PAGE);
}

void blk_io_release(struct blk_driver *driver, struct blk_io *io)
{
	for (unsigned i = 0; i < io->pages; i++)
		driver->frames[driver->n_frames++] = io->frames[i];
	io->busy = false;
}

static bool device_writes(const struct blk_io *io)
{
	return io->type == VIRTIO_BLK_T_IN || io->type == VIRTIO_BLK_T_GET_ID;
}

static void fill_meta(struct blk_driver *driver, const struct slot *slot)
{
	struct virtio_blk_outhdr *header = at(driver, slot->meta + HEADER_OFFSET, sizeof(*header));
	uint8_t *status = at(driver, slot->meta + STATUS_OFFSET, 1);

	*header = (struct virtio_blk_outhdr){ .type = htole32(slot->io.type),
		                              .sector = htole64(slot->io.sector) };
	*status = 0xff; /* no status there is */
}

/* Header, data and status, of exactly their sizes. */
static int map_io(struct blk_driver *driver, const struct slot *slot)
{
	const struct blk_io *io = &slot->io;
	uint8_t perm = device_writes(io) ? VHU_PERM_WRITE : VHU_PERM_READ;
	struct vhu_mapping mappings[BLK_PAGES_MAX + 2] = {
		mapping(driver, slot->window + HEADER_OFFSET, slot->meta + HEADER_OFFSET,
		        sizeof(struct virtio_blk_outhdr), VHU_PERM_READ),
		mapping(driver, slot->window + STATUS_OFFSET, slot->meta + STATUS_OFFSET, 1,
		        VHU_PERM_WRITE),
	};
	unsigned n = 2;

	for (unsigned i = 0; i < io->pages && !io->data_unmapped; i++)
		mappings[n++] = mapping(driver, slot->window + DATA_OFFSET + i * UINT64_C(4096),
		                        io->frames[i], BLK_PAGE, perm);
	return vhu_iommu_map_batch(driver->config.iommu, mappings, n, NULL);
}

static int unmap_io(struct blk_driver *driver, const struct slot *slot)
{
	if (!driver->config.iommu)
		return 0;
	return vhu_iommu_unmap(driver->config.iommu, slot->window, window_bytes(&driver->config));
}

static unsigned list_buffers(struct blk_driver *driver, struct slot *slot,
                             struct vhu_buffer *buffers)
{
	struct blk_io *io = &slot->io;
	bool strict = driver->config.iommu;
	uint64_t meta = strict ? slot->window : slot->meta;
	unsigned n = 0;

	io->data_iova = slot->window + DATA_OFFSET;
	buffers[n++] = (struct vhu_buffer){ meta + HEADER_OFFSET, sizeof(struct virtio_blk_outhdr),
		                            false };
	if (strict && io->pages)
		buffers[n++] = (struct vhu_buffer){ io->data_iova, io->pages * BLK_PAGE,
			                            device_writes(io) };
	for (unsigned i = 0; !strict && i < io->pages; i++)
		buffers[n++] = (struct vhu_buffer){ io->frames[i], BLK_PAGE, device_writes(io) };
	buffers[n++] = (struct vhu_buffer){ meta + STATUS_OFFSET, 1, true };
	return n;
}

int blk_io_submit(struct blk_driver *driver, struct blk_io *io)
{
	struct slot *slot = &driver->slots[io->index];
	struct vhu_buffer buffers[BLK_PAGES_MAX + 2];
	unsigned n;
	int error = 0;

	fill_meta(driver, slot);
	if (driver->config.iommu)
		error = map_io(driver, slot);
	n = list_buffers(driver, slot, buffers);
	if (!error)
		error = vhu_vq_add(driver->vq, buffers, n, io);
	if (error)
		unmap_io(driver, slot);
	else
		driver->in_flight++;
	return error;
}

int blk_driver_kick(struct blk_driver *driver)
{
	return vhu_vq_kick(driver->vq);
}

int blk_driver_complete(struct blk_driver *driver, int timeout_ms, struct blk_io **ret)
{
	struct slot *slot;
	uint32_t written;
	void *token;
	int got = vhu_vq_get(driver->vq, &token, &written);

	if (!got) {
		got = vhu_vq_wait(driver->vq, timeout_ms);
		if (got == 1)
			got = vhu_vq_get(driver->vq, &token, &written);
	}
	if (got != 1)
		return got;
	*ret = token;
	slot = &driver->slots[(*ret)->index];
	(*ret)->status = *(uint8_t *)at(driver, slot->meta + STATUS_OFFSET, 1);
	(*ret)->written = written;
	driver->in_flight--;
	got = unmap_io(driver, slot);
	return got ? got : 1;
}

unsigned blk_driver_in_flight(const struct blk_driver *driver)
{
	return driver->in_flight;
}
