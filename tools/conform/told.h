/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end has told so far on one connection: features, memory, rings.
 * Kept by the rig while it plays the back-end, and made again from a record where
 * a case wants to know what was true when a message came. Believes everything
 * and answers nothing.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_TOLD_H
#define CONFORM_TOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

#define TOLD_REGIONS 64u
#define TOLD_RINGS   (VHU_VRING_INDEX_MASK + 1u)

struct told_ring {
	uint32_t num;
	struct vhu_vring_state base; /* of the last SET_VRING_BASE */
	struct vhu_vring_addr addr;
	bool has_num, has_base, has_addr, has_call;
	bool started; /* by SET_VRING_KICK, until GET_VRING_BASE */
	bool enabled;
};

struct told {
	uint64_t offered, offered_protocol; /* by us */
	uint64_t features, protocol;
	bool has_features, has_protocol;
	unsigned owners; /* how often SET_OWNER came */
	uint8_t status;
	bool has_back_channel;
	bool has_memory;
	struct vhu_memory_region regions[TOLD_REGIONS];
	unsigned n_regions;
	struct told_ring rings[TOLD_RINGS];
};

/* At the start of a connection: what is offered on it. */
void told_start(struct told *told, uint64_t features, uint64_t protocol);

/* A request of the front-end. */
void told_take(struct told *told, const struct message *message);

/* A ring that is to be served: started, and enabled where that is asked for. */
bool told_runs(const struct told *told, unsigned ring);
bool told_any_started(const struct told *told);
/* Addresses of descriptors and rings are translated. */
bool told_iommu(const struct told *told);

/* Bytes of regions that follow each other from @uva on, at most @len. */
uint64_t told_inside(const struct told *told, uint64_t uva, uint64_t len);

#endif
