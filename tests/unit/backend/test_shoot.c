/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which lanes a shootdown leaves alone, where a worker goes on between any two
 * looks that the session takes at it. Here lane_leave() is where it does.
 */
#include <string.h>

#include "backend/queue.h"
#include "backend/session.h"
#include "support/check.h"

#define RING_AT UINT64_C(0x10000)
#define DATA_AT UINT64_C(0x80000)
#define PAGE    UINT64_C(4096)

struct play {
	struct session session;
	struct ring ring;
	struct vhu_queue queue;
	struct lane lane;
	struct lane_command command;
	struct loop worker, loop;
	unsigned steps;
};

static struct play *playing;
/* What the worker has done by the time that lane_leave() is called. */
static unsigned busy_then, restless_then;

enum lane_left __real_lane_leave(struct lane *lane, struct range range, bool of_ring);
enum lane_left __wrap_lane_leave(struct lane *lane, struct range range, bool of_ring);

enum lane_left __wrap_lane_leave(struct lane *lane, struct range range, bool of_ring)
{
	atomic_store(&lane->busy, busy_then);
	atomic_store(&lane->restless, restless_then);
	return __real_lane_leave(lane, range, of_ring);
}

static void step(struct session *session)
{
	(void)session;
	playing->steps++;
}

static int setup(void **state)
{
	static struct play play;
	struct session *session = &play.session;
	const struct vring_config config = {
		.num = 16,
		.desc = RING_AT,
		.avail = RING_AT + PAGE,
		.used = RING_AT + 2 * PAGE,
	};

	memset(&play, 0, sizeof(play));
	assert_int_equal(loop_init(&play.loop), 0);
	assert_int_equal(loop_init(&play.worker), 0);
	list_init(&session->reported);
	mailbox_init(&session->reports, &play.loop, false);
	assert_int_equal(lane_init(&play.lane, &play.worker, false, &session->reports,
	                           &session->answered, &session->pressure),
	                 0);
	assert_int_equal(vring_start(&play.queue.ring, &config), 0);
	play.ring.queue = &play.queue;
	session->rings = &play.ring;
	session->n_rings = 1;
	session->lanes = &play.lane;
	session->n_lanes = 1;
	session->operation.commands = &play.command;
	session->reading = true;
	playing = &play;
	*state = &play;
	return 0;
}

static int teardown(void **state)
{
	struct play *play = *state;

	loop_unpost(&play->worker, &play->lane.forget_post);
	mailbox_done(&play->lane.commands);
	mailbox_done(&play->session.reports);
	lane_done(&play->lane);
	vring_done(&play->queue.ring);
	loop_done(&play->worker);
	loop_done(&play->loop);
	return 0;
}

/* Whether the range was left with the lane, and so counts as forgotten. */
static bool is_left(struct play *play, uint64_t start, unsigned busy, unsigned restless)
{
	struct range range = { start, start + (PAGE - 1) };

	busy_then = busy;
	restless_then = restless;
	operation_shoot(&play->session, range, step);
	return play->session.operation.outstanding == 0;
}

static void I2_a_lane_at_rest_is_left_alone(void **state)
{
	assert_true(is_left(*state, RING_AT, 0, 0));
	operation_await(&playing->session);
	assert_int_equal(playing->steps, 1);
}

static void I2_a_lane_that_became_restless_is_left_alone_for_data(void **state)
{
	assert_true(is_left(*state, DATA_AT, 0, 1));
}

/* When it lets go of that ring it asks for kicks there. */
static void I2_a_lane_that_became_restless_is_asked_for_its_ring(void **state)
{
	assert_false(is_left(*state, RING_AT + 2 * PAGE, 0, 1));
}

static void I2_a_lane_that_became_busy_is_asked(void **state)
{
	assert_false(is_left(*state, DATA_AT, 1, 0));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(I2_a_lane_at_rest_is_left_alone),
		TEST(I2_a_lane_that_became_restless_is_left_alone_for_data),
		TEST(I2_a_lane_that_became_restless_is_asked_for_its_ring),
		TEST(I2_a_lane_that_became_busy_is_asked),
	};

	return cmocka_run_group_tests_name("shoot", tests, NULL, NULL);
}
