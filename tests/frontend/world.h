/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end and its IOMMU with the library's own back-end at the other end of a
 * socket pair, and what is known, byte by byte, of what its device may reach.
 *
 * A *zone* is a part of the I/O virtual addresses, with memory, a queue and an
 * oracle of its own: a thread each. Its steps map, take back, and have the device
 * read and write at random; what comes of it is compared with the oracle. Whatever
 * goes wrong ends the process with a line that says what, since it may happen in any
 * thread.
 */
#ifndef FRONTEND_WORLD_H
#define FRONTEND_WORLD_H

#include <stdatomic.h>

#include "support/rig.h"

#define ZONES_MAX 2u
#define ZONE_SIZE (64u << 10) /* I/O virtual addresses */
#define DATA_SIZE (64u << 10) /* memory behind them */

/* What a byte of the zone stands for. */
struct byte {
	uint32_t offset; /* in the data */
	uint8_t perm;    /* 0: it is not mapped */
	uint8_t late;    /* 0; or a ticket less than this has to come back before it is free */
};

/* An unmap that calls back. */
struct late {
	_Atomic int state; /* LATE_*, or what it ended with */
	uint32_t start, size;
};

#define LATE_FREE    1 /* nobody uses it; no error is above 0 */
#define LATE_PENDING 2

#define LATE_MAX     64u

struct zone_stats {
	uint64_t maps, unmaps, accesses, refused, bytes;
};

struct zone {
	struct world *world;
	unsigned index;
	uint64_t random;
	struct vhu_vq *vq;
	uint64_t iova; /* of the zone */
	uint64_t bounce_iova;
	unsigned char *data, *bounce;
	unsigned char shadow[DATA_SIZE]; /* what the data should be */
	struct byte bytes[ZONE_SIZE];
	struct late lates[LATE_MAX];
	struct zone_stats stats;
};

struct world_config {
	enum vhu_iommu_policy policy;
	unsigned zones;
	bool threads; /* somebody else runs the front-end */
	unsigned iotlb_entries;
	uint64_t features; /* of the rings */
};

struct world {
	struct world_config config;
	struct rig *rig;
	struct vhu_iommu *iommu;
	struct vhu_frontend *frontend;
	struct zone *zones[ZONES_MAX];
	_Atomic bool over;
};

struct world *world_new(const struct world_config *config, uint64_t seed);
/* Takes everything back, and looks that nothing is left. */
void world_free(struct world *world);

/* Some of everything, at random. */
void zone_step(struct zone *zone);

#define WORLD_MUST(condition) ((condition) ? (void)0 : world_fail(__FILE__, __LINE__, #condition))
_Noreturn void world_fail(const char *file, int line, const char *what);

#endif
