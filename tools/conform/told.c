/* SPDX-License-Identifier: BSD-3-Clause */
#include "told.h"

#include <linux/virtio_config.h>
#include <string.h>

void told_start(struct told *told, uint64_t features, uint64_t protocol)
{
	*told = (struct told){ .offered = features, .offered_protocol = protocol };
}

static void set_table(struct told *told, const struct message *message)
{
	uint32_t n = message->payload.memory.n;

	told->has_memory = true;
	told->n_regions = n < VHU_MEMORY_REGIONS_MAX ? n : VHU_MEMORY_REGIONS_MAX;
	memcpy(told->regions, message->payload.memory.regions,
	       told->n_regions * sizeof(told->regions[0]));
}

static void add_region(struct told *told, const struct vhu_memory_region *region)
{
	told->has_memory = true;
	if (told->n_regions < TOLD_REGIONS)
		told->regions[told->n_regions++] = *region;
}

/* The offset in the file is not part of a region's name. */
static void remove_region(struct told *told, const struct vhu_memory_region *region)
{
	for (unsigned i = 0; i < told->n_regions; i++) {
		struct vhu_memory_region *own = &told->regions[i];

		if (own->gpa != region->gpa || own->size != region->size || own->uva != region->uva)
			continue;
		*own = told->regions[--told->n_regions];
		return;
	}
}

/* Without protocol features there is no message that enables: rings start so. */
static void set_features(struct told *told, uint64_t features)
{
	told->features = features;
	told->has_features = true;
	if (features & VHU_BIT(VHU_F_PROTOCOL_FEATURES))
		return;
	for (unsigned i = 0; i < TOLD_RINGS; i++)
		told->rings[i].enabled = true;
}

static void take_session(struct told *told, const struct message *message)
{
	switch (message->header.request) {
	case VHU_FE_SET_FEATURES: set_features(told, message->payload.u64); break;
	case VHU_FE_SET_PROTOCOL_FEATURES:
		told->protocol = message->payload.u64;
		told->has_protocol = true;
		break;
	case VHU_FE_SET_OWNER: told->owners++; break;
	case VHU_FE_SET_STATUS: told->status = (uint8_t)message->payload.u64; break;
	case VHU_FE_SET_BACKEND_REQ_FD: told->has_back_channel = message->n_fds > 0; break;
	case VHU_FE_SET_MEM_TABLE: set_table(told, message); break;
	case VHU_FE_ADD_MEM_REG: add_region(told, &message->payload.single.region); break;
	case VHU_FE_REM_MEM_REG: remove_region(told, &message->payload.single.region); break;
	default: break;
	}
}

static void take_ring(struct told *told, const struct message *message)
{
	struct told_ring *ring = &told->rings[message->payload.state.index & VHU_VRING_INDEX_MASK];

	switch (message->header.request) {
	case VHU_FE_SET_VRING_NUM:
		ring->num = message->payload.state.num;
		ring->has_num = true;
		break;
	case VHU_FE_SET_VRING_BASE:
		ring->base = message->payload.state;
		ring->has_base = true;
		break;
	case VHU_FE_SET_VRING_ADDR:
		ring->addr = message->payload.addr;
		ring->has_addr = true;
		break;
	case VHU_FE_SET_VRING_CALL: ring->has_call = true; break;
	case VHU_FE_SET_VRING_KICK: ring->started = true; break;
	case VHU_FE_SET_VRING_ENABLE: ring->enabled = message->payload.state.num; break;
	case VHU_FE_GET_VRING_BASE: ring->started = false; break;
	default: break;
	}
}

void told_take(struct told *told, const struct message *message)
{
	take_session(told, message);
	take_ring(told, message);
}

bool told_runs(const struct told *told, unsigned index)
{
	const struct told_ring *ring = &told->rings[index];

	return ring->started && ring->enabled && ring->has_num && ring->has_addr;
}

bool told_any_started(const struct told *told)
{
	for (unsigned i = 0; i < TOLD_RINGS; i++)
		if (told->rings[i].started)
			return true;
	return false;
}

bool told_iommu(const struct told *told)
{
	return told->features & VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

static uint64_t inside_one(const struct told *told, uint64_t uva)
{
	for (unsigned i = 0; i < told->n_regions; i++) {
		const struct vhu_memory_region *region = &told->regions[i];

		if (uva >= region->uva && uva - region->uva < region->size)
			return region->size - (uva - region->uva);
	}
	return 0;
}

uint64_t told_inside(const struct told *told, uint64_t uva, uint64_t len)
{
	uint64_t sum = 0, step;

	while (sum < len) {
		step = inside_one(told, uva + sum);
		if (!step)
			break;
		/* Regions that wrap may have more bytes in all than there are addresses. */
		sum = step < len - sum ? sum + step : len;
	}
	return sum;
}
