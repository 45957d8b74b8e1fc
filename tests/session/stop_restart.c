/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends that come and go quickly, leaving things behind: rule B2 under
 * pressure. Its plain cases are in server_life.c.
 */
#include <errno.h>

#include "stage.h"

static void open_session(struct rig *rig)
{
	rig->n_maps = 0;
	rig_open(rig, PLATFORM);
	stage_ring(rig, 0);
	stage_give(rig, 0, 1, PERM_RW);
}

/* Each leaves a request parked, and every third one held for an answer, too. */
static void B2_thirty_front_ends_in_a_row(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ .listen = true });

	for (unsigned i = 0; i < 30; i++) {
		stage_give(rig, 0, 1, PERM_RW);
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
		stage_expect_used(rig, 0, 1, PAGE);
		stage_ask(rig, 0, DATA_IOVA(1), PAGE, 2);
		if (i % 3 == 0) {
			stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
			stage_give(rig, 1, 1, PERM_RW);
		}
		rig_reconnect(rig);
		open_session(rig);
	}
	rig_wait_sessions(rig, 30);
	rig_free(rig);
}

/* One that waits for the last one's end is enough; who comes third is told so. */
static void B2_only_one_waits(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ .listen = true });
	struct message message;
	int third;

	stage_give(rig, 0, 1, PERM_RW);
	rig_hold(rig);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	rig_wait_submitted(rig, 1);
	rig_reconnect(rig);
	third = rig_connect(rig);
	assert_int_equal(peer_recv(third, &message, PEER_PATIENCE), -ENOTCONN);
	fd_close(&third);
	rig_release(rig);
	open_session(rig);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 2);
	stage_expect_used(rig, 0, 2, PAGE);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(B2_thirty_front_ends_in_a_row),
		EACH(B2_only_one_waits),
	};

	return cmocka_run_group_tests_name("stop_restart", tests, NULL, NULL);
}
