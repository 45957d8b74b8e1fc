/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/raw_ring.h"

#include <time.h>

#include "base/fd.h"

#define NUM_DEFAULT 16u

static uint16_t load(const uint16_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *index, uint16_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

void raw_ring_at(struct raw_ring *ring, const struct rig_ring_config *config)
{
	char *memory = rig_ptr(ring->rig, config->gpa, rig_ring_bytes(config));

	ring->desc = (struct ring_desc *)memory;
	ring->avail = (uint16_t *)(memory + 16u * ring->num);
	ring->used = (uint16_t *)(memory + rig_ring_used_offset(config));
}

void raw_ring_start(struct raw_ring *ring, struct rig *rig, unsigned index,
                    const struct rig_ring_config *config)
{
	struct rig_ring_config waiting = *config;

	waiting.disabled = true;
	*ring = (struct raw_ring){
		.rig = rig,
		.index = index,
		.num = config->num ? config->num : NUM_DEFAULT,
	};
	raw_ring_at(ring, config);
	rig_ring_start(rig, index, &waiting);
	store(&ring->avail[1], config->base);
	store(&ring->used[1], config->base);
	if (!config->disabled)
		rig_ring_enable(rig, index, true);
}

void raw_ring_desc(struct raw_ring *ring, unsigned i, struct ring_desc desc)
{
	ring->desc[i] = desc;
}

void raw_ring_show(struct raw_ring *ring, uint16_t head)
{
	uint16_t at = load(&ring->avail[1]);

	ring->avail[2 + at % ring->num] = head;
	store(&ring->avail[1], (uint16_t)(at + 1));
}

void raw_ring_jump(struct raw_ring *ring, uint16_t avail)
{
	store(&ring->avail[1], avail);
}

void raw_ring_kick(struct raw_ring *ring)
{
	assert_int_equal(fd_signal(ring->rig->rings[ring->index].kick), 0);
}

uint16_t raw_ring_used(const struct raw_ring *ring)
{
	return load(&ring->used[1]);
}

void raw_ring_wait(struct raw_ring *ring, uint16_t used)
{
	for (int ms = 0; raw_ring_used(ring) != used; ms++) {
		if (ms >= PEER_PATIENCE)
			fail_msg("queue %u: used index %u, not %u", ring->index,
			         raw_ring_used(ring), used);
		if (ring->rig->back >= 0)
			rig_serve_misses(ring->rig, 1);
		else
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

struct ring_used_elem raw_ring_elem(const struct raw_ring *ring, uint16_t at)
{
	const struct ring_used_elem *elems = (const struct ring_used_elem *)(ring->used + 2);

	return elems[at % ring->num];
}
