/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring/vring.h"

#include <assert.h>
#include <errno.h>

#include "vring/layout.h"

static bool part_range(const struct vring_config *config, unsigned part, struct range *ret)
{
	switch (part) {
	case VRING_PART_DESC: return range_make(config->desc, desc_table_size(config->num), ret);
	case VRING_PART_AVAIL:
		return range_make(config->avail, avail_ring_size(config->num, config->event_idx),
		                  ret);
	default:
		return range_make(config->used, used_ring_size(config->num, config->event_idx),
		                  ret);
	}
}

static int config_check(const struct vring_config *config)
{
	uint16_t num = config->num;
	struct range range;

	if (!num || num > VRING_NUM_MAX || (num & (num - 1)))
		return -EINVAL;
	if (config->desc % RING_DESC_ALIGN || config->avail % RING_AVAIL_ALIGN ||
	    config->used % RING_USED_ALIGN)
		return -EINVAL;
	for (unsigned part = VRING_PART_DESC; part <= VRING_PART_USED; part <<= 1)
		if (!part_range(config, part, &range))
			return -EINVAL;
	return 0;
}

int vring_start(struct vring *ring, const struct vring_config *config)
{
	int error = config_check(config);

	if (error)
		return error;
	vring_unmap(ring);
	ring->config = *config;
	ring->next_avail = ring->avail_seen = config->avail_base;
	ring->unshown = 0;
	ring->next_used = ring->published = ring->called = 0;
	ring->used_known = ring->called_valid = false;
	ring->broken = false;
	ring->fault = NULL;
	return 0;
}

void vring_done(struct vring *ring)
{
	area_done(&ring->desc);
	area_done(&ring->avail);
	area_done(&ring->used);
}

int vring_move(struct vring *ring, const struct vring_config *config)
{
	int error = config_check(config);

	if (error || config->num != ring->config.num)
		return -EINVAL;
	vring_unmap(ring);
	ring->config = *config;
	return 0;
}

bool vring_is_mapped(const struct vring *ring)
{
	return area_is_mapped(&ring->desc) && area_is_mapped(&ring->avail) &&
	       area_is_mapped(&ring->used);
}

static bool is_worse(int error, int than)
{
	return error && (!than || than == -EAGAIN);
}

/* All three are tried, so that one round of misses covers them. */
static int map_parts(struct vring *ring, struct translate_view *view, struct hole_list *holes)
{
	const struct vring_config *config = &ring->config;
	const struct {
		struct vring_area *area;
		uint64_t addr;
		uint32_t len;
		uint8_t perm;
	} parts[] = {
		{ &ring->desc, config->desc, desc_table_size(config->num), PERM_READ },
		{ &ring->avail, config->avail, avail_ring_size(config->num, config->event_idx),
		  PERM_READ },
		{ &ring->used, config->used, used_ring_size(config->num, config->event_idx),
		  PERM_RW },
	};
	int worst = 0;

	for (unsigned i = 0; i < 3; i++) {
		int error = area_map(parts[i].area, view, parts[i].addr, parts[i].len,
		                     parts[i].perm, holes);

		if (is_worse(error, worst))
			worst = error;
	}
	return worst;
}

int vring_map(struct vring *ring, struct translate_view *view, struct hole_list *holes)
{
	int error;

	vring_unmap(ring);
	error = map_parts(ring, view, holes);
	if (error) {
		vring_unmap(ring);
		return error;
	}
	if (!ring->used_known) {
		ring->next_used = area_load16_acquire(&ring->used, RING_INDEX_OFFSET);
		ring->published = ring->called = ring->next_used;
		ring->used_known = true;
	}
	return 0;
}

/* Other memory may stand behind the addresses later, so the driver's index is read anew. */
void vring_unmap(struct vring *ring)
{
	area_unmap(&ring->desc);
	area_unmap(&ring->avail);
	area_unmap(&ring->used);
	ring->avail_seen = ring->next_avail;
}

unsigned vring_parts_in(const struct vring *ring, struct range range)
{
	unsigned parts = 0;
	struct range own;

	for (unsigned part = VRING_PART_DESC; part <= VRING_PART_USED; part <<= 1)
		if (part_range(&ring->config, part, &own) && range_overlaps(own, range))
			parts |= part;
	return parts;
}

int vring_break(struct vring *ring, const char *fault)
{
	if (!ring->broken)
		ring->fault = fault;
	ring->broken = true;
	return -EPROTO;
}

/*
 * 1: there is something to take; 0: nothing; or -EPROTO. That the driver has no
 * more chains under way than the ring has descriptors bounds what a caller takes
 * before it publishes, however busy the driver is meanwhile.
 */
static int look(struct vring *ring)
{
	uint16_t index = area_load16_acquire(&ring->avail, RING_INDEX_OFFSET);
	uint16_t ready = (uint16_t)(index - ring->next_avail);

	if (ready > ring->config.num)
		return vring_break(ring, "the available index jumps by more than the ring's size");
	if (ready + ring->unshown > ring->config.num)
		return vring_break(ring, "more chains are under way than the ring has descriptors");
	ring->avail_seen = index;
	return index != ring->next_avail;
}

int vring_take(struct vring *ring, struct chain *chain)
{
	const struct vring_config *config = &ring->config;
	const char *fault;
	uint16_t head;
	int rc;

	if (ring->broken)
		return -EPROTO;
	assert(vring_is_mapped(ring));
	if (ring->next_avail == ring->avail_seen) {
		rc = look(ring);
		if (rc <= 0)
			return rc;
	}
	head = area_load16_relaxed(&ring->avail, avail_entry_offset(config->num, ring->next_avail));
	if (head >= config->num)
		return vring_break(ring, "an available head is outside of the ring");
	chain_start(chain, head, config->num);
	rc = chain_follow(chain, &ring->desc, config->num, head,
	                  config->indirect ? CHAIN_INDIRECT_ON : CHAIN_INDIRECT_OFF, &fault);
	if (rc)
		return vring_break(ring, rc == -ENOMEM ? "no memory for a chain" : fault);
	ring->next_avail++;
	ring->unshown++;
	return 1;
}

/* The index is read anew, too: time has gone by (rule V1). */
void vring_untake(struct vring *ring, uint16_t n)
{
	assert(n <= ring->unshown - (uint16_t)(ring->next_used - ring->published));
	ring->next_avail -= n;
	ring->unshown -= n;
	ring->avail_seen = ring->next_avail;
}

void vring_put(struct vring *ring, uint16_t head, uint32_t written)
{
	struct ring_used_elem elem = { .id = htole32(head), .len = htole32(written) };

	assert(vring_is_mapped(ring));
	assert(head < ring->config.num);
	assert((uint16_t)(ring->next_used - ring->published) < ring->unshown);
	area_write(&ring->used, used_elem_offset(ring->config.num, ring->next_used), &elem,
	           sizeof(elem));
	ring->next_used++;
}

void vring_publish(struct vring *ring)
{
	uint16_t old = ring->published, new = ring->next_used;

	if (new == old)
		return;
	assert(vring_is_mapped(ring));
	/* The elements before the index: pairs with the driver's load of it. */
	area_store16_release(&ring->used, RING_INDEX_OFFSET, new);
	ring->published = new;
	ring->unshown -= (uint16_t)(new - old);
	/* Once around since the last decision, "called" is in the future again. */
	if ((uint16_t)(new - ring->called) < (uint16_t)(new - old))
		ring->called_valid = false;
}

bool vring_check(const struct vring *ring)
{
	uint16_t num = ring->config.num;

	if (config_check(&ring->config))
		return false;
	if ((uint16_t)(ring->avail_seen - ring->next_avail) > num ||
	    (uint16_t)(ring->next_used - ring->published) > ring->unshown || ring->unshown > num)
		return false;
	if (ring->broken != (ring->fault != NULL))
		return false;
	if (!area_check(&ring->desc) || !area_check(&ring->avail) || !area_check(&ring->used))
		return false;
	if (vring_is_mapped(ring))
		return ring->used_known;
	return !area_is_mapped(&ring->desc) && !area_is_mapped(&ring->avail) &&
	       !area_is_mapped(&ring->used);
}
