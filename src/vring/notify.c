/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring/notify.h"

#include <assert.h>

#include "vring/layout.h"
#include "vring/vring.h"

bool vring_wants_call(struct vring *ring)
{
	uint16_t old = ring->called, new = ring->published;
	bool valid = ring->called_valid;

	if (valid && new == old)
		return false;
	ring->called = new;
	ring->called_valid = true;
	if (!area_is_mapped(&ring->avail))
		return true;
	/*
	 * Our index is shown before the driver's wish is looked at; the driver
	 * states its wish before it looks at our index (vring_driver_arm()).
	 */
	notify_fence();
	if (!ring->config.event_idx)
		return !(area_load16_relaxed(&ring->avail, RING_FLAGS_OFFSET) & AVAIL_NO_CALL);
	if (!valid)
		return true;
	return notify_passed(area_load16_relaxed(&ring->avail, used_event_offset(ring->config.num)),
	                     new, old);
}

/* With event_idx the driver kicks once for each vring_arm(): nothing to take back. */
void vring_quiet(struct vring *ring)
{
	assert(vring_is_mapped(ring));
	if (!ring->config.event_idx)
		area_store16_release(&ring->used, RING_FLAGS_OFFSET, USED_NO_KICK);
}

bool vring_arm(struct vring *ring)
{
	assert(vring_is_mapped(ring));
	if (ring->broken)
		return false;
	if (ring->config.event_idx)
		area_store16_release(&ring->used, avail_event_offset(ring->config.num),
		                     ring->next_avail);
	else
		area_store16_release(&ring->used, RING_FLAGS_OFFSET, 0);
	/*
	 * The wish is stated before the index is looked at; the driver shows its
	 * index before it looks at the wish (vring_driver_kick_needed()).
	 */
	notify_fence();
	return area_load16_acquire(&ring->avail, RING_INDEX_OFFSET) != ring->next_avail;
}

bool vring_has_chains(const struct vring *ring)
{
	/* relaxed: who takes loads it again */
	return area_load16_relaxed(&ring->avail, RING_INDEX_OFFSET) != ring->next_avail;
}
