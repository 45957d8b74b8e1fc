/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_net_pool.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t ring_bytes(const struct net_pool_config *config)
{
	return vhu_vq_bytes(config->ring, 0);
}

uint64_t net_pool_bytes(const struct net_pool_config *config)
{
	return ring_bytes(config) + (uint64_t)config->pages * NET_PAGE;
}

/* From one slot on a page to the next. */
static uint32_t stride(const struct net_pool_config *config)
{
	return (config->last + 63) & ~63u;
}

/* As many slots share a page as are needed to fill the ring. */
static unsigned slots_per_page(const struct net_pool_config *config)
{
	unsigned wanted, fit;

	if (config->each || config->parts > 1)
		return 1;
	wanted = (config->ring + config->pages - 1) / config->pages;
	fit = NET_PAGE / stride(config);
	return wanted < fit ? wanted : fit;
}

/* Pages are turned round: neighbours for the device are none in memory. */
static uint64_t page_gpa(const struct net_pool_config *config, unsigned page)
{
	return config->gpa + ring_bytes(config) + (config->pages - 1 - page) * (uint64_t)NET_PAGE;
}

static uint64_t page_iova(const struct net_pool_config *config, unsigned page)
{
	return config->iova + ring_bytes(config) + page * (uint64_t)NET_PAGE;
}

static void lay_out(struct net_pool *pool)
{
	const struct net_pool_config *config = &pool->config;

	for (unsigned i = 0; i < pool->n_slots * config->parts; i++) {
		unsigned page = i % config->pages;
		uint32_t offset = i / config->pages * stride(config);
		uint64_t gpa = page_gpa(config, page) + offset;
		bool last = i % config->parts == config->parts - 1;

		pool->parts[i] = (struct net_part){
			.ptr = vhu_guestmem_ptr(config->mem, gpa, config->last),
			.addr = config->iommu ? page_iova(config, page) + offset : gpa,
			.len = last ? config->last : NET_PAGE,
		};
	}
	for (unsigned i = 0; i < pool->n_slots; i++) {
		pool->slots[i].index = i;
		pool->free[i] = i;
	}
	pool->n_free = pool->n_slots;
}

static int make_slots(struct net_pool *pool)
{
	const struct net_pool_config *config = &pool->config;
	unsigned n;

	if (!config->pages)
		return 0;
	n = config->pages * slots_per_page(config) / config->parts;
	if (!n)
		return -EINVAL;
	pool->parts = calloc((size_t)n * config->parts, sizeof(*pool->parts));
	pool->slots = calloc(n, sizeof(*pool->slots));
	pool->free = calloc(n, sizeof(*pool->free));
	if (!pool->parts || !pool->slots || !pool->free)
		return -ENOMEM;
	pool->n_slots = n;
	pool->depth = config->ring / config->parts;
	if (pool->depth > n)
		pool->depth = n;
	lay_out(pool);
	return 0;
}

static struct vhu_mapping page_mapping(const struct net_pool_config *config, unsigned page)
{
	void *ptr = vhu_guestmem_ptr(config->mem, page_gpa(config, page), NET_PAGE);

	return (struct vhu_mapping){ page_iova(config, page), NET_PAGE, (uintptr_t)ptr,
		                     config->perm };
}

/* Each for itself, but told of together. */
static int map_pages(const struct net_pool_config *config, unsigned first, unsigned n)
{
	struct vhu_mapping mappings[NET_PARTS_MOST];
	int error = 0;

	while (n && !error) {
		unsigned some = n < NET_PARTS_MOST ? n : NET_PARTS_MOST;

		for (unsigned i = 0; i < some; i++)
			mappings[i] = page_mapping(config, first + i);
		error = vhu_iommu_map_batch(config->iommu, mappings, some, NULL);
		first += some;
		n -= some;
	}
	return error;
}

/* The ring, and buffers that stay. */
static int map_all(const struct net_pool_config *config)
{
	void *ring = vhu_guestmem_ptr(config->mem, config->gpa, ring_bytes(config));
	int error = vhu_iommu_map(config->iommu, config->iova, ring_bytes(config), (uintptr_t)ring,
	                          VHU_PERM_RW);

	if (!error && !config->each)
		error = map_pages(config, 0, config->pages);
	return error;
}

int net_pool_start(struct net_pool *pool, const struct net_pool_config *config)
{
	void *ring = vhu_guestmem_ptr(config->mem, config->gpa, ring_bytes(config));
	const struct vhu_vq_config vq = {
		.index = config->queue,
		.num = config->ring,
		.event_idx = config->event_idx,
		.mem = ring,
		.addr = config->iommu ? config->iova : (uintptr_t)ring,
	};
	int error;

	*pool = (struct net_pool){ .config = *config };
	error = make_slots(pool);
	if (!error && config->iommu)
		error = map_all(config);
	return error ? error : vhu_vq_start(config->frontend, &vq, &pool->vq);
}

int net_pool_stop(struct net_pool *pool)
{
	const struct net_pool_config *config = &pool->config;
	int error = pool->vq ? vhu_vq_stop(pool->vq) : 0, other = 0;

	if (config->iommu)
		other = vhu_iommu_unmap(config->iommu, config->iova, net_pool_bytes(config));
	return error ? error : other;
}

void net_pool_free(struct net_pool *pool)
{
	vhu_vq_free(pool->vq);
	free(pool->parts);
	free(pool->slots);
	free(pool->free);
}

struct net_slot *net_pool_next(const struct net_pool *pool)
{
	if (!pool->n_free || pool->busy == pool->depth)
		return NULL;
	return &pool->slots[pool->free[pool->next_free]];
}

int net_pool_add(struct net_pool *pool, struct net_slot *slot)
{
	const struct net_pool_config *config = &pool->config;
	const struct net_part *parts = net_pool_parts(pool, slot);
	struct vhu_buffer buffers[NET_PARTS_MOST];
	int error = 0;

	for (unsigned i = 0; i < config->parts; i++)
		buffers[i] = (struct vhu_buffer){ parts[i].addr, parts[i].len, config->writable };
	if (config->each)
		error = map_pages(config, slot->index * config->parts, config->parts);
	if (!error)
		error = vhu_vq_add(pool->vq, buffers, config->parts, slot);
	if (error)
		return error;
	pool->next_free = pool->next_free + 1 == pool->n_slots ? 0 : pool->next_free + 1;
	pool->n_free--;
	pool->busy++;
	return 0;
}

/* With push, what was mapped has arrived before the device hears of it. */
int net_pool_kick(struct net_pool *pool)
{
	int error = 0;

	if (pool->config.each && pool->config.push)
		error = vhu_iommu_sync(pool->config.iommu);
	return error ? error : vhu_vq_kick(pool->vq);
}

/* All in one exchange. */
static int unmap(struct net_pool *pool, struct net_slot *const *slots, unsigned n)
{
	const struct net_pool_config *config = &pool->config;
	struct vhu_iova_range ranges[NET_BATCH];

	for (unsigned i = 0; i < n; i++)
		ranges[i] = (struct vhu_iova_range){
			page_iova(config, slots[i]->index * config->parts),
			(uint64_t)config->parts * NET_PAGE,
		};
	return vhu_iommu_unmap_batch(config->iommu, ranges, n);
}

/* A queue that is only polled says so as soon as there is an occasion. */
static int be_quiet(struct net_pool *pool)
{
	int error;

	if (pool->quiet || !pool->config.pages)
		return 0;
	error = vhu_vq_wait(pool->vq, 0);
	pool->quiet = error == 1;
	return error < 0 ? error : 0;
}

int net_pool_get(struct net_pool *pool, struct net_slot *slots[NET_BATCH])
{
	int got = be_quiet(pool), n = 0;
	void *token;

	while (!got && n < (int)NET_BATCH) {
		uint32_t written;

		got = vhu_vq_get(pool->vq, &token, &written);
		if (got != 1)
			break;
		slots[n] = token;
		slots[n++]->written = written;
		pool->busy--;
		got = 0;
	}
	if (got >= 0 && pool->config.each && n)
		got = unmap(pool, slots, (unsigned)n);
	return got < 0 ? got : n;
}

void net_pool_release(struct net_pool *pool, struct net_slot *slot)
{
	unsigned at = pool->next_free + pool->n_free++;

	pool->free[at < pool->n_slots ? at : at - pool->n_slots] = slot->index;
}
