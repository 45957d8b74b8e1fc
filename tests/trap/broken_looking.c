/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that leaves a worker alone with the very ring that it looks at, or works at. */
#include "broken.h"

#include "backend/lane.h"

const struct broken broken = {
	.what = "workers that look at their rings are left alone with them",
	.rings = true,
	.sleepy = true,
	.poll_us = 2000,
	.late_us = 50,
	.marks = { RUN_TRAP },
};

enum lane_left __real_lane_leave(struct lane *lane, struct range range, bool of_ring);
enum lane_left __wrap_lane_leave(struct lane *lane, struct range range, bool of_ring);

enum lane_left __wrap_lane_leave(struct lane *lane, struct range range, bool of_ring)
{
	(void)of_ring;
	return __real_lane_leave(lane, range, false);
}
