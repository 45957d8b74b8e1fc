/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7): takes chains from
 * the available ring, puts used elements back, decides about notifications. It
 * owns no request, no fd and no thread; addresses become memory through a
 * translate_view and nothing else.
 *
 * A ring is *mapped* when all three of its parts are translated; only then may
 * ring memory be touched. Mapping may be lost (vring_unmap()) and gained again
 * at any time; the indices live here, not in the mapping.
 *
 * Thread: the ring's worker, except before the first start.
 *
 * Faults: whatever a driver writes into ring memory may make a function return
 * -EPROTO with a reason in vring->fault; the ring is then broken for good (until
 * vring_start()). Nothing a driver writes may make anything here read or write
 * outside the ring's own parts.
 */
#ifndef VRING_VRING_H
#define VRING_VRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"
#include "memory/translate.h"
#include "vring/area.h"
#include "vring/chain.h"

#define VRING_NUM_MAX CHAIN_LIMIT_MAX

struct vring_config {
	uint16_t num;        /* a power of two, 1 to VRING_NUM_MAX */
	uint16_t avail_base; /* first available index to process */
	bool event_idx;      /* VIRTIO_F_RING_EVENT_IDX negotiated */
	bool indirect;       /* VIRTIO_F_INDIRECT_DESC negotiated */
	uint64_t desc;       /* addresses in whatever space the view translates */
	uint64_t avail;
	uint64_t used;
};

/* Zero-initialised before the first vring_start(). */
struct vring {
	struct vring_config config;
	struct vring_area desc;  /* mapped for reading */
	struct vring_area avail; /* mapped for reading */
	struct vring_area used;  /* mapped for reading and writing */

	uint16_t next_avail; /* next index to take from the available ring */
	uint16_t avail_seen; /* the driver's index when last read */
	uint16_t unshown;    /* chains taken that the driver has not been shown as used */
	uint16_t next_used;  /* index of the next used element to write */
	uint16_t published;  /* used index the driver has been shown */
	uint16_t called;     /* used index at the last notification decision */
	bool used_known;     /* next_used has been read from the ring (rule B1) */
	bool called_valid;   /* called means something */
	bool broken;
	const char *fault; /* why, a constant; NULL while not broken */
};

/*
 * A fresh start: indices from @config, used index unknown until first mapped,
 * nothing mapped. -EINVAL: num is no power of two or out of range, or a part is
 * misaligned (desc 16, avail 2, used 4) or wraps.
 */
int vring_start(struct vring *ring, const struct vring_config *config);
void vring_done(struct vring *ring);

/*
 * New addresses of the same ring while it runs (rule M1): unmaps, keeps indices.
 * The same -EINVAL, also for another num; nothing is changed then.
 */
int vring_move(struct vring *ring, const struct vring_config *config);

bool vring_is_mapped(const struct vring *ring);

/*
 * Translates all parts, anew where they were mapped. 0, -EAGAIN with the holes of
 * all three, -EFAULT where holes are final, -ENOMEM; after an error nothing is
 * mapped. On first success takes the used index from the ring.
 */
int vring_map(struct vring *ring, struct translate_view *view, struct hole_list *holes);
void vring_unmap(struct vring *ring);

/* Which parts a range of addresses touches: a set of VRING_PART_*. */
enum {
	VRING_PART_DESC = 1,
	VRING_PART_AVAIL = 2,
	VRING_PART_USED = 4,
};
unsigned vring_parts_in(const struct vring *ring, struct range range);

/*
 * Takes the next available chain: copies its direct descriptors, once, into
 * @chain. 1: taken; 0: nothing available; -EPROTO: the ring is broken. Where the
 * chain ends in an indirect table, chain->table is set and chain_load_table()
 * must follow. Reads the driver's index (acquire) only when those known are used
 * up; vring_untake() and vring_unmap() let it be read again (rule V1). Needs a
 * mapped ring.
 */
int vring_take(struct vring *ring, struct chain *chain);

/*
 * Forgets that the last @n chains were taken: they will be taken again. None of
 * them may have been put.
 */
void vring_untake(struct vring *ring, uint16_t n);

/*
 * Breaks the ring because of what a driver did that only the caller can see: a
 * malformed indirect table, a head that is outstanding twice. @fault is a
 * constant; the first one stays. Returns -EPROTO.
 */
int vring_break(struct vring *ring, const char *fault);

/*
 * Writes the used element of a chain that was taken; the driver does not see it
 * until vring_publish(). Needs a mapped ring, as vring_publish() does where
 * something was put. Both work on a broken ring, too.
 */
void vring_put(struct vring *ring, uint16_t head, uint32_t written);

/* Shows all that was put to the driver (release). */
void vring_publish(struct vring *ring);

/*
 * Whether the driver wants to be notified of what was published since the last
 * call of this function (2.7.7); false if that is nothing. True when in doubt:
 * the first time after a start, and if the part it is read from is no longer
 * mapped (rule S7).
 */
bool vring_wants_call(struct vring *ring);

/*
 * vring_quiet() asks the driver not to kick. vring_arm() asks it to kick again
 * and then reads its index once more: true if there is something to take, which
 * the driver may not kick for, or a fault that vring_take() will tell; false on a
 * broken ring. Both need a mapped ring.
 */
void vring_quiet(struct vring *ring);
bool vring_arm(struct vring *ring);

/*
 * Whether vring_take() may find something, for who looks instead of asking for
 * kicks. Needs a mapped ring.
 */
bool vring_has_chains(const struct vring *ring);

/* Invariants, for tests and debug. */
bool vring_check(const struct vring *ring);

#endif
