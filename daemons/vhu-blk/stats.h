/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counters of a session as a JSON file, replaced as a whole so that a reader
 * never sees half of one. Main thread.
 */
#ifndef VHU_BLK_STATS_H
#define VHU_BLK_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include <vhu/backend.h>

#include "devices/blk.h"

struct stats {
	const char *path; /* NULL: nowhere */
	const struct blk *blk;
	struct blk_counters before; /* the present session */
	/* The last session that ended. */
	struct vhu_stats ended;
	struct blk_counters ended_blk;
	uint64_t sessions;
};

/*
 * 0, or -errno after a complaint: no file can be made next to @path, or what lies there is
 * nothing to be replaced, or is @storage_fd.
 */
int stats_init(struct stats *stats, const char *path, const struct blk *blk, int storage_fd);

/* A session has ended, @now are its counters. */
void stats_end_session(struct stats *stats, const struct vhu_stats *now);

/* Writes the present session's counters, or the last one's if there is none. */
void stats_write(const struct stats *stats, const struct vhu_stats *now);

#endif
