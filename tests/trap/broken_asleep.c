/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end that leaves a worker alone which slept when it looked, and does not
 * look again: here the worker is given the time to wake up in between.
 */
#include "broken.h"

#include <time.h>

#include "backend/lane.h"
#include "base/loop.h"

#define PAUSE_NS 50000

const struct broken broken = {
	.what = "workers that wake up meanwhile are left alone",
	.sleepy = true,
	.marks = { RUN_TRAP, RUN_CANARY },
};

enum lane_left __real_lane_leave(struct lane *lane, struct range range, bool of_ring);
enum lane_left __wrap_lane_leave(struct lane *lane, struct range range, bool of_ring);

enum lane_left __wrap_lane_leave(struct lane *lane, struct range range, bool of_ring)
{
	if (!loop_turn_is_asleep(loop_turn(lane->loop)) || atomic_load(&lane->busy))
		return __real_lane_leave(lane, range, of_ring);
	nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
	forget_put(&lane->forget, range);
	loop_leave(lane->loop, &lane->forget_post);
	return LANE_LEFT;
}
