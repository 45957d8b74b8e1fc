/* SPDX-License-Identifier: BSD-3-Clause */
#include "told.h"

#include <linux/virtio_config.h>

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)

static void add_grant(struct told *told, const struct told_grant *grant)
{
	if (told->n_grants == TOLD_MAX)
		told->lost = true;
	else
		told->grants[told->n_grants++] = *grant;
}

static void add_region(struct told *told, const struct vhu_memory_region *wire, unsigned file)
{
	if (told->n_regions == TOLD_MAX)
		told->lost = true;
	else
		told->regions[told->n_regions++] = (struct told_region){ *wire, file, told->seq };
}

static void add_deed(struct told *told, const struct message *message)
{
	struct told_deed *deed = &told->deeds[told->n_deeds];

	if (told->n_deeds == TOLD_MAX) {
		told->lost = true;
		return;
	}
	told->n_deeds++;
	*deed = (struct told_deed){
		.request = message->header.request,
		.u64 = message->payload.u64,
		.iotlb = message->payload.iotlb,
		.region = message->payload.single.region,
		.seq = told->seq,
	};
}

static void give(struct told *told, const struct vhu_iotlb *iotlb)
{
	struct told_grant grant = { .uva = iotlb->uaddr, .perm = iotlb->perm, .seq = told->seq };

	if (iotlb->type == VHU_IOTLB_UPDATE && iotlb->perm &&
	    range_make(iotlb->iova, iotlb->size, &grant.iova))
		add_grant(told, &grant);
}

uint64_t told_send(struct told *told, const struct message *message, const unsigned *files)
{
	const union message_payload *payload = &message->payload;

	told->seq++;
	switch (message->header.request) {
	case VHU_FE_IOTLB_MSG: give(told, &payload->iotlb); break;
	case VHU_FE_SET_MEM_TABLE:
		for (unsigned i = 0; i < payload->memory.n && i < VHU_MEMORY_REGIONS_MAX; i++)
			add_region(told, &payload->memory.regions[i], files[i]);
		break;
	case VHU_FE_ADD_MEM_REG: add_region(told, &payload->single.region, files[0]); break;
	case VHU_FE_SET_FEATURES:
		/* Addresses may be plain from now on. */
		if (!(payload->u64 & PLATFORM))
			told->platform = 0;
		break;
	case VHU_FE_REM_MEM_REG:
	case VHU_FE_RESET_DEVICE: break;
	default: return told->seq;
	}
	add_deed(told, message);
	return told->seq;
}

/* Cuts @range out of what was given before @seq. */
static void take_back(struct told *told, struct range range, uint64_t seq)
{
	unsigned n = told->n_grants;

	for (unsigned i = 0; i < n; i++) {
		struct told_grant *grant = &told->grants[i], above = *grant;

		if (grant->seq >= seq || !grant->perm || !range_overlaps(grant->iova, range))
			continue;
		if (grant->iova.last > range.last) {
			above.iova.start = range.last + 1;
			above.uva += above.iova.start - grant->iova.start;
			add_grant(told, &above);
		}
		if (grant->iova.start < range.start)
			grant->iova.last = range.start - 1;
		else
			grant->perm = 0;
	}
}

/* Those of @seq itself are gone, or with @before all that are older. */
static void drop_regions(struct told *told, uint64_t seq, bool before)
{
	unsigned left = 0;

	for (unsigned i = 0; i < told->n_regions; i++)
		if (before ? told->regions[i].seq >= seq : told->regions[i].seq != seq)
			told->regions[left++] = told->regions[i];
	told->n_regions = left;
}

static void remove_region(struct told *told, const struct vhu_memory_region *wire, uint64_t seq)
{
	unsigned left = 0;

	for (unsigned i = 0; i < told->n_regions; i++) {
		const struct told_region *region = &told->regions[i];

		if (region->seq >= seq || region->wire.gpa != wire->gpa ||
		    region->wire.uva != wire->uva || region->wire.size != wire->size)
			told->regions[left++] = *region;
	}
	told->n_regions = left;
}

static void refused(struct told *told, const struct told_deed *deed)
{
	drop_regions(told, deed->seq, false);
	for (unsigned i = 0; i < told->n_grants; i++)
		if (told->grants[i].seq == deed->seq)
			told->grants[i].perm = 0;
}

static void iotlb_done(struct told *told, const struct vhu_iotlb *iotlb, uint64_t seq)
{
	struct range range = RANGE_ALL;

	if (range_make(iotlb->iova, iotlb->size, &range) ||
	    (iotlb->type == VHU_IOTLB_INVALIDATE && !iotlb->iova && !iotlb->size))
		take_back(told, range, seq);
}

static void accepted(struct told *told, const struct told_deed *deed)
{
	switch (deed->request) {
	case VHU_FE_IOTLB_MSG: iotlb_done(told, &deed->iotlb, deed->seq); break;
	case VHU_FE_SET_MEM_TABLE: drop_regions(told, deed->seq, true); break;
	case VHU_FE_REM_MEM_REG: remove_region(told, &deed->region, deed->seq); break;
	case VHU_FE_RESET_DEVICE: take_back(told, RANGE_ALL, deed->seq); break;
	case VHU_FE_SET_FEATURES:
		if (deed->u64 & PLATFORM)
			told->platform = deed->seq;
		else
			take_back(told, RANGE_ALL, deed->seq);
		break;
	default: break;
	}
}

/* A later message that makes addresses plain may be under way already. */
static bool plain_under_way(const struct told *told, unsigned from)
{
	for (unsigned i = from; i < told->n_deeds; i++)
		if (told->deeds[i].request == VHU_FE_SET_FEATURES &&
		    !(told->deeds[i].u64 & PLATFORM))
			return true;
	return false;
}

void told_done(struct told *told, uint64_t seq, bool is_accepted)
{
	unsigned n = 0;

	for (; n < told->n_deeds && told->deeds[n].seq <= seq; n++) {
		if (told->deeds[n].seq < seq || is_accepted)
			accepted(told, &told->deeds[n]);
		else
			refused(told, &told->deeds[n]);
	}
	if (plain_under_way(told, n))
		told->platform = 0;
	told->n_deeds -= n;
	for (unsigned i = 0; i < told->n_deeds; i++)
		told->deeds[i] = told->deeds[i + n];
}

void told_end(struct told *told)
{
	told->n_grants = told->n_regions = told->n_deeds = 0;
	told->lost = false;
}

static bool is_given(const struct told *told, uint64_t uva, uint8_t perm)
{
	if (!told->platform)
		return true;
	for (unsigned i = 0; i < told->n_grants; i++) {
		const struct told_grant *grant = &told->grants[i];

		if ((grant->perm & perm) == perm &&
		    uva - grant->uva <= grant->iova.last - grant->iova.start)
			return true;
	}
	return false;
}

bool told_allows(const struct told *told, unsigned file, uint64_t offset, uint8_t perm)
{
	if (told->lost)
		return true;
	for (unsigned i = 0; i < told->n_regions; i++) {
		const struct vhu_memory_region *wire = &told->regions[i].wire;
		uint64_t at = offset - wire->mmap_offset;

		if (told->regions[i].file == file && at < wire->size &&
		    is_given(told, wire->uva + at, perm))
			return true;
	}
	return false;
}

bool told_allows_user(const struct told *told, uint64_t uva, uint64_t size, uint8_t perm)
{
	for (uint64_t i = 0; i < size && !told->lost; i++) {
		bool shared = false;

		for (unsigned r = 0; r < told->n_regions && !shared; r++)
			shared = uva + i - told->regions[r].wire.uva < told->regions[r].wire.size;
		if (!shared || !is_given(told, uva + i, perm))
			return false;
	}
	return true;
}
