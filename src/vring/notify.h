/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What device and driver side share about notifications (virtio 1.2, 2.7.7 and
 * 2.7.10). It works the same both ways: a side shows its index and then looks
 * whether the other wants to hear of it; the other says that it wants to and
 * then looks at the index once more. Each has to see the other's store if its own
 * came too late, and only a full fence between store and load gives that.
 */
#ifndef VRING_NOTIFY_H
#define VRING_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Orders nothing but what is said above: a datum is handed over by the release and
 * acquire of an index, which is all that the thread sanitizer understands. gcc
 * warns of atomic_thread_fence() in a build with that sanitizer, not of this.
 */
static inline void notify_fence(void)
{
	__sync_synchronize();
}

/* Whether the step from index @old to @new passes @event: event in [old, new). */
static inline bool notify_passed(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

#endif
