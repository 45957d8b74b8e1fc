/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring of the rig written by hand, for tests that write what no driver may, or
 * that begin elsewhere than at 0. The same ring must not be used by rig_add() and
 * its kin.
 *
 * Thread: the test's.
 */
#ifndef SUPPORT_RAW_RING_H
#define SUPPORT_RAW_RING_H

#include "support/rig.h"
#include "vring/layout.h"

struct raw_ring {
	struct rig *rig;
	unsigned index;
	uint16_t num;
	struct ring_desc *desc;
	uint16_t *avail; /* flags, index, heads */
	uint16_t *used;  /* flags, index, elements */
};

/* Starts as rig_ring_start() does, with both indices at config->base. */
void raw_ring_start(struct raw_ring *ring, struct rig *rig, unsigned index,
                    const struct rig_ring_config *config);

/* Goes on where @config says, of which the bytes are there already. */
void raw_ring_at(struct raw_ring *ring, const struct rig_ring_config *config);

void raw_ring_desc(struct raw_ring *ring, unsigned i, struct ring_desc desc);

/* Makes @head available and shows it; raw_ring_jump() only sets the index. */
void raw_ring_show(struct raw_ring *ring, uint16_t head);
void raw_ring_jump(struct raw_ring *ring, uint16_t avail);
void raw_ring_kick(struct raw_ring *ring);

uint16_t raw_ring_used(const struct raw_ring *ring);
/* Waits until the device's index is @used, serving misses. */
void raw_ring_wait(struct raw_ring *ring, uint16_t used);
/* The used element that index @at stands for. */
struct ring_used_elem raw_ring_elem(const struct raw_ring *ring, uint16_t at);

#endif
