/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that leaves every worker alone that sleeps, whatever the device does for it. */
#include "broken.h"

#include "backend/lane.h"
#include "base/loop.h"

const struct broken broken = {
	.what = "workers that sleep are left alone though requests are issued",
	.marks = { RUN_TRAP, RUN_CANARY },
};

enum lane_left __real_lane_leave(struct lane *lane, struct range range, bool of_ring);
enum lane_left __wrap_lane_leave(struct lane *lane, struct range range, bool of_ring);

enum lane_left __wrap_lane_leave(struct lane *lane, struct range range, bool of_ring)
{
	unsigned turn = loop_turn(lane->loop);

	if (!loop_turn_is_asleep(turn))
		return __real_lane_leave(lane, range, of_ring);
	forget_put(&lane->forget, range);
	loop_leave(lane->loop, &lane->forget_post);
	return loop_turn(lane->loop) == turn ? LANE_LEFT : __real_lane_leave(lane, range, of_ring);
}
