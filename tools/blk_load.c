/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_load.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blk_window.h"

/* Of the ring; uapi's own header of it does not go with the library's inner ones. */
#define F_INDIRECT_DESC (UINT64_C(1) << 28)
#define F_EVENT_IDX     (UINT64_C(1) << 29)

#define PAGE            4096u
/* Header and status of a request that is mapped with all others. */
#define LINE        64u
#define HEADER_SIZE (uint32_t)sizeof(struct virtio_blk_outhdr)
#define RING_LEAST  128u

struct blk_load {
	struct blk_load_config config;
	struct vhu_vq *vq;
	struct blk_slot *slots;
	struct blk_slot **spare; /* a stack */
	struct vhu_buffer *buffers;
	struct blk_windows *windows; /* NULL: all is mapped once, or there is no IOMMU */
	unsigned n_spare, n_buffers; /* n_buffers: of a request */
	bool calls;                  /* the device may still call, though none is wanted */
};

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

unsigned blk_load_descriptors(const struct blk_load_config *config)
{
	return (config->bytes + config->segment - 1) / config->segment + 2;
}

static uint16_t table_entries(const struct blk_load_config *config)
{
	return config->features & F_INDIRECT_DESC ? (uint16_t)blk_load_descriptors(config) : 0;
}

static uint16_t ring_size(const struct blk_load_config *config)
{
	unsigned wanted = config->depth, size = RING_LEAST;

	if (!(config->features & F_INDIRECT_DESC))
		wanted *= blk_load_descriptors(config);
	/* A chain may not have more descriptors than the ring, however they are written. */
	if (wanted < blk_load_descriptors(config))
		wanted = blk_load_descriptors(config);
	while (size < wanted && size < 32768)
		size *= 2;
	return (uint16_t)size;
}

static uint64_t ring_bytes(const struct blk_load_config *config)
{
	return vhu_vq_bytes(ring_size(config), table_entries(config));
}

/* A page that is never mapped lies behind each window. */
static uint64_t window_bytes(const struct blk_load_config *config)
{
	return PAGE + page_up(config->bytes) + 2 * PAGE;
}

uint64_t blk_load_bytes(const struct blk_load_config *config)
{
	uint64_t each = config->each ? window_bytes(config) : page_up(config->bytes);
	uint64_t lines = config->each ? 0 : page_up(config->depth * (uint64_t)LINE);

	return ring_bytes(config) + lines + config->depth * each;
}

static void *at(const struct blk_load *load, uint64_t gpa)
{
	return vhu_guestmem_ptr(load->config.mem, gpa, 1);
}

static uint64_t device_address(const struct blk_load *load, uint64_t gpa)
{
	return load->config.iommu ? gpa + BLK_LOAD_IOVA : gpa;
}

static int map(struct blk_load *load, uint64_t gpa, uint64_t len, uint8_t perm)
{
	return vhu_iommu_map(load->config.iommu, gpa + BLK_LOAD_IOVA, len, (uintptr_t)at(load, gpa),
	                     perm);
}

static void place(struct blk_load *load, struct blk_slot *slot, uint64_t header, uint64_t status,
                  uint64_t data)
{
	const struct blk_load_config *config = &load->config;
	struct vhu_buffer *buffer = slot->buffers;

	slot->header = at(load, header);
	slot->status = at(load, status);
	slot->data = at(load, data);
	*buffer++ = (struct vhu_buffer){ device_address(load, header), HEADER_SIZE, false };
	for (uint32_t done = 0; done < config->bytes; done += config->segment) {
		uint32_t left = config->bytes - done;

		*buffer++ = (struct vhu_buffer){ device_address(load, data + done),
			                         left < config->segment ? left : config->segment,
			                         false };
	}
	*buffer = (struct vhu_buffer){ device_address(load, status), 1, true };
}

static void place_all(struct blk_load *load)
{
	const struct blk_load_config *config = &load->config;
	uint64_t gpa = config->start + ring_bytes(config);
	uint64_t lines = gpa, data = gpa + page_up(config->depth * (uint64_t)LINE);

	for (unsigned i = 0; i < config->depth; i++) {
		struct blk_slot *slot = &load->slots[i];

		slot->buffers = load->buffers + (size_t)i * load->n_buffers;
		load->spare[load->n_spare++] = slot;
		if (config->each) {
			uint64_t window = gpa + i * window_bytes(config);

			place(load, slot, window + PAGE - HEADER_SIZE,
			      window + PAGE + config->bytes, window + PAGE);
		} else {
			uint64_t line = lines + i * LINE;

			place(load, slot, line, line + HEADER_SIZE,
			      data + i * page_up(config->bytes));
		}
	}
}

static int make_windows(struct blk_load *load)
{
	const struct blk_load_config *config = &load->config;
	const uint64_t bytes = window_bytes(config);

	return blk_windows_new(
		&(struct blk_windows_config){
			.iommu = config->iommu,
			.lazy = config->lazy,
			.iova = BLK_LOAD_WINDOWS * (1 + (uint64_t)config->queue),
			.bytes = bytes,
			.depth = config->depth,
		},
		&load->windows);
}

static int allocate(struct blk_load *load)
{
	unsigned depth = load->config.depth;

	load->n_buffers = blk_load_descriptors(&load->config);
	load->slots = calloc(depth, sizeof(*load->slots));
	load->spare = calloc(depth, sizeof(*load->spare));
	load->buffers = calloc((size_t)depth * load->n_buffers, sizeof(*load->buffers));
	if (!load->slots || !load->spare || !load->buffers)
		return -ENOMEM;
	return load->config.each ? make_windows(load) : 0;
}

static int start_queue(struct blk_load *load)
{
	const struct blk_load_config *config = &load->config;
	void *mem = at(load, config->start);
	const struct vhu_vq_config vq = {
		.index = config->queue,
		.num = ring_size(config),
		.event_idx = config->features & F_EVENT_IDX,
		.table_entries = table_entries(config),
		.mem = mem,
		.addr = config->iommu ? config->start + BLK_LOAD_IOVA : (uintptr_t)mem,
		.buffer_addr = device_address(load, config->start),
	};
	int error = 0;

	if (config->iommu)
		error = map(load, config->start,
		            config->each ? ring_bytes(config) : blk_load_bytes(config),
		            VHU_PERM_RW);
	return error ? error : vhu_vq_start(config->frontend, &vq, &load->vq);
}

int blk_load_new(const struct blk_load_config *config, struct blk_load **ret)
{
	struct blk_load *load = calloc(1, sizeof(*load));
	int error;

	if (!load)
		return -ENOMEM;
	load->config = *config;
	load->calls = config->quiet;
	error = allocate(load);
	if (!error) {
		place_all(load);
		error = start_queue(load);
	}
	if (error)
		blk_load_free(load);
	else
		*ret = load;
	return error;
}

int blk_load_stop(struct blk_load *load)
{
	const struct blk_load_config *config = &load->config;
	int error = vhu_vq_stop(load->vq), other = 0;

	if (config->lazy)
		other = vhu_iommu_flush(config->iommu);
	if (config->iommu && !other)
		other = vhu_iommu_unmap(config->iommu, config->start + BLK_LOAD_IOVA,
		                        blk_load_bytes(config));
	return error ? error : other;
}

void blk_load_free(struct blk_load *load)
{
	if (!load)
		return;
	vhu_vq_free(load->vq);
	blk_windows_free(load->windows);
	free(load->slots);
	free(load->spare);
	free(load->buffers);
	free(load);
}

struct blk_slot *blk_load_take(struct blk_load *load)
{
	return load->n_spare ? load->spare[--load->n_spare] : NULL;
}

void blk_load_give_back(struct blk_load *load, struct blk_slot *slot)
{
	load->spare[load->n_spare++] = slot;
}

/*
 * What the device only reads, and what it writes, are contiguous: a mapping each. Of
 * whole pages, as IOMMUs have them, unless there is one in which data and status meet.
 */
static int map_parts(struct blk_load *load, struct blk_slot *slot, bool device_writes)
{
	const uint64_t bytes = load->config.bytes;
	const char *ptr = (const char *)slot->header - (PAGE - HEADER_SIZE);
	bool pages = bytes % PAGE == 0;
	uint64_t start = pages ? 0 : PAGE - HEADER_SIZE;
	uint64_t split = PAGE + (device_writes ? 0 : bytes);
	uint64_t end = PAGE + bytes + (pages ? PAGE : 1);
	int error = blk_window_map(slot->window, start, split - start, ptr + start, VHU_PERM_READ);

	if (error)
		return error;
	return blk_window_map(slot->window, split, end - split, ptr + split, VHU_PERM_WRITE);
}

static int map_slot(struct blk_load *load, struct blk_slot *slot, bool device_writes)
{
	uint64_t iova;
	int error;

	slot->window = blk_windows_take(load->windows, &error);
	if (!slot->window)
		return error;
	iova = slot->window->iova + PAGE - HEADER_SIZE;
	for (unsigned i = 0; i < load->n_buffers; iova += slot->buffers[i++].len)
		slot->buffers[i].addr = iova;
	return map_parts(load, slot, device_writes);
}

int blk_load_submit(struct blk_load *load, struct blk_slot *slot, uint32_t type, uint64_t sector)
{
	bool device_writes = type == VIRTIO_BLK_T_IN;
	int error;

	*slot->header = (struct virtio_blk_outhdr){ .type = htole32(type),
		                                    .sector = htole64(sector) };
	*slot->status = 0xff; /* no status there is */
	for (unsigned i = 1; i + 1 < load->n_buffers; i++)
		slot->buffers[i].writable = device_writes;
	if (load->windows) {
		error = map_slot(load, slot, device_writes);
		if (error)
			return error;
	}
	return vhu_vq_add(load->vq, slot->buffers, load->n_buffers, slot);
}

int blk_load_kick(struct blk_load *load)
{
	int error = load->windows ? blk_windows_commit(load->windows) : 0;

	return error ? error : vhu_vq_kick(load->vq);
}

static int unmap_all(struct blk_load *load, struct blk_slot **slots, unsigned n)
{
	int error = 0;

	for (unsigned i = 0; !error && i < n; i++)
		error = blk_window_unmap(slots[i]->window);
	return error ? error : blk_windows_finish(load->windows);
}

int blk_load_reap(struct blk_load *load, struct blk_slot **slots, unsigned most)
{
	unsigned n = 0;
	int error;

	/* A wait that finds something at once asks for no more calls. */
	if (load->calls && vhu_vq_wait(load->vq, 0) == 1)
		load->calls = false;
	while (n < most) {
		uint32_t written;
		void *token;
		int got = vhu_vq_get(load->vq, &token, &written);

		if (got < 0)
			return got;
		if (!got)
			break;
		slots[n++] = token;
	}
	if (!n || !load->windows)
		return (int)n;
	error = unmap_all(load, slots, n);
	return error ? error : (int)n;
}

unsigned blk_load_in_flight(const struct blk_load *load)
{
	return load->config.depth - load->n_spare;
}

struct vhu_vq *blk_load_vq(const struct blk_load *load)
{
	return load->vq;
}
