/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NUM       64u
#define TABLE     8u
#define EVENT_IDX VHU_BIT(29)
#define INDIRECT  VHU_BIT(28)

/* In memory, and, from IOVA on, for the device: each part for each zone. */
#define STRIDE  UINT64_C(0x100000)
#define RINGS   UINT64_C(0)
#define BOUNCES UINT64_C(0x40000)
#define DATA    UINT64_C(0x80000)
#define IOVA    UINT64_C(0x40000000)
#define ZONES   UINT64_C(0x80000000)

#define MUST    WORLD_MUST

static void fill(struct zone *zone)
{
	for (uint32_t i = 0; i < DATA_SIZE; i++)
		zone->shadow[i] = (unsigned char)(i * 2654435761u >> 24);
	memcpy(zone->data, zone->shadow, DATA_SIZE);
}

static void map_static(struct world *world, uint64_t gpa, uint64_t size)
{
	MUST(!vhu_iommu_map(world->iommu, IOVA + gpa, size,
	                    (uintptr_t)rig_ptr(world->rig, gpa, size), VHU_PERM_RW));
}

static void start_queue(struct zone *zone)
{
	struct world *world = zone->world;
	const uint64_t gpa = zone->index * STRIDE + RINGS;
	const struct vhu_vq_config config = {
		.index = zone->index,
		.num = NUM,
		.event_idx = world->config.features & EVENT_IDX,
		.table_entries = world->config.features & INDIRECT ? TABLE : 0,
		.mem = rig_ptr(world->rig, gpa, BOUNCES),
		.addr = IOVA + gpa,
		.buffer_addr = IOVA + gpa,
		.run_elsewhere = world->config.threads,
	};

	map_static(world, gpa, vhu_vq_bytes(NUM, TABLE));
	MUST(!vhu_vq_start(world->frontend, &config, &zone->vq));
}

static struct zone *zone_new(struct world *world, unsigned index, uint64_t seed)
{
	struct zone *zone = calloc(1, sizeof(*zone));
	uint64_t gpa = index * STRIDE;

	MUST(zone);
	zone->world = world;
	zone->index = index;
	zone->random = (seed + index) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	zone->iova = ZONES + index * STRIDE;
	zone->bounce_iova = IOVA + gpa + BOUNCES;
	zone->bounce = rig_ptr(world->rig, gpa + BOUNCES, DATA - BOUNCES);
	zone->data = rig_ptr(world->rig, gpa + DATA, DATA_SIZE);
	for (unsigned i = 0; i < LATE_MAX; i++)
		atomic_init(&zone->lates[i].state, LATE_FREE);
	fill(zone);
	map_static(world, gpa + BOUNCES, DATA - BOUNCES);
	return zone;
}

static void negotiate(struct world *world)
{
	const struct vhu_region *regions;
	unsigned n;

	MUST(!vhu_frontend_negotiate(world->frontend));
	MUST(!vhu_frontend_set_features(world->frontend,
	                                world->config.features | VHU_BIT(VIRTIO_F_VERSION_1) |
	                                        VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)));
	regions = vhu_guestmem_regions(world->rig->mem, &n);
	MUST(!vhu_frontend_add_memory(world->frontend, regions, n));
}

struct world *world_new(const struct world_config *config, uint64_t seed)
{
	const struct vhu_iommu_config iommu = {
		.policy = config->policy, .max_mappings = 100000, .lazy_max = 8, .lazy_ms = 1
	};
	struct vhu_frontend_config frontend = { .name = "world", .timeout_ms = 20000 };
	struct rig_config rig = { .n_regions = 2,
		                  .n_workers = config->zones - 1,
		                  .iotlb_entries = config->iotlb_entries };
	struct world *world = calloc(1, sizeof(*world));

	MUST(world);
	world->config = *config;
	world->rig = rig_new(&rig);
	MUST(!vhu_iommu_new(&iommu, &world->iommu));
	frontend.iommu = world->iommu;
	MUST(!vhu_frontend_new(&frontend, world->rig->main, &world->frontend));
	world->rig->main = -1;
	negotiate(world);
	for (unsigned i = 0; i < config->zones; i++)
		world->zones[i] = zone_new(world, i, seed);
	for (unsigned i = 0; i < config->zones; i++)
		start_queue(world->zones[i]);
	return world;
}

static bool is_waiting(const struct zone *zone)
{
	for (unsigned i = 0; i < LATE_MAX; i++)
		if (atomic_load(&zone->lates[i].state) == LATE_PENDING)
			return true;
	return false;
}

static void zone_free(struct zone *zone)
{
	MUST(!vhu_iommu_flush(zone->world->iommu));
	for (unsigned ms = 0; is_waiting(zone); ms++) {
		MUST(ms < PEER_PATIENCE);
		MUST(!vhu_frontend_run(zone->world->frontend, 1));
	}
	MUST(!vhu_vq_stop(zone->vq));
	vhu_vq_free(zone->vq);
	MUST(!memcmp(zone->data, zone->shadow, DATA_SIZE));
	free(zone);
}

void world_free(struct world *world)
{
	struct vhu_iommu_stats stats;

	for (unsigned i = 0; i < world->config.zones; i++)
		zone_free(world->zones[i]);
	MUST(!vhu_iommu_unmap(world->iommu, 0, UINT64_MAX));
	vhu_iommu_stats(world->iommu, &stats);
	MUST(stats.mappings == 0);
	MUST(vhu_iommu_exposed(world->iommu) == 0);
	vhu_frontend_free(world->frontend);
	rig_free(world->rig);
	vhu_iommu_free(world->iommu);
	free(world);
}
