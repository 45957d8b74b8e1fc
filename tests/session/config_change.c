/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end is told that the configuration has changed: when, how, and how it
 * gets along with misses (S6, S9). */
#include "session/stage.h"

/* The next on the back-channel, which wants no reply. */
static void expect_change(struct rig *rig)
{
	struct message message;

	assert_int_equal(peer_recv(rig->back, &message, PEER_PATIENCE), 0);
	assert_int_equal(message.header.request, VHU_BE_CONFIG_CHANGE_MSG);
	assert_int_equal(message.header.flags, VHU_FLAG_VERSION);
	assert_int_equal(message.header.size, 0);
	assert_int_equal(message.n_fds, 0);
}

static void a_change_is_told_at_once_while_a_ring_runs(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < 3; i++) {
		rig_config_changed(rig);
		expect_change(rig);
	}
	rig_expect_no_miss(rig);
	rig_free(rig);
}

static void S6_a_change_waits_for_the_next_start(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });

	rig_config_changed(rig);
	rig_config_changed(rig);
	rig_stats(rig);
	rig_expect_no_miss(rig);
	stage_ring(rig, 0);
	expect_change(rig);
	rig_expect_no_miss(rig);
	rig_ring_stop(rig, 0);
	rig_config_changed(rig);
	rig_stats(rig);
	rig_expect_no_miss(rig);
	stage_ring(rig, 0);
	expect_change(rig);
	rig_free(rig);
}

static void S9_a_change_takes_no_place_among_the_misses(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss first, second;

	rig_map(rig, DATA_IOVA(0), 2 * PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), 16, 1);
	first = rig_next_miss(rig);
	rig_config_changed(rig);
	expect_change(rig);
	stage_ask(rig, 0, DATA_IOVA(1), 16, 2);
	second = rig_next_miss(rig);
	assert_true(rig_grant(rig, &first));
	stage_expect_used_quietly(rig, 0, 1, 16);
	assert_true(rig_grant(rig, &second));
	stage_expect_used_quietly(rig, 0, 2, 16);
	rig_free(rig);
}

static void who_has_not_asked_is_not_told(void **state)
{
	struct rig *rig = stage_open(
		state, (struct rig_config){ .protocol_without = VHU_BIT(VHU_PROTOCOL_F_CONFIG) });

	rig_config_changed(rig);
	rig_stats(rig);
	rig_expect_no_miss(rig);
	rig_free(rig);
}

/* Changes into a socket that nobody reads; misses after it is read are all there. */
static void a_jammed_channel_loses_no_miss(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ .back_buffer = 4096 });
	struct message message;
	unsigned changes = 0;

	for (unsigned i = 0; i < 1000; i++) {
		rig_config_changed(rig);
		if (i % 100 == 0)
			rig_stats(rig);
	}
	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), 16, 1);
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_QUEUE_NUM), 2);
	do {
		assert_int_equal(peer_recv(rig->back, &message, PEER_PATIENCE), 0);
		changes += message.header.request == VHU_BE_CONFIG_CHANGE_MSG;
	} while (message.header.request == VHU_BE_CONFIG_CHANGE_MSG);
	assert_true(changes > 0);
	assert_int_equal(message.header.request, VHU_BE_IOTLB_MSG);
	assert_int_equal(message.payload.iotlb.iova, DATA_IOVA(0));
	assert_int_equal(rig_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW), 0);
	assert_int_equal(peer_reply_u64(rig->back, &message, 0), 0);
	do {
		changes = 0;
		if (peer_recv(rig->back, &message, PEER_QUIET) == 0)
			changes = message.header.request == VHU_BE_CONFIG_CHANGE_MSG;
	} while (changes);
	stage_expect_used_quietly(rig, 0, 1, 16);
	rig_free(rig);
}

/* What is dropped from the channel when the last ring stops are misses and nothing
 * else: the one that was sent before keeps its place in the order of replies. */
static void a_stop_with_a_jammed_channel_drops_only_misses(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ .back_buffer = 4096 });
	struct message message;
	struct rig_miss first;

	rig_map(rig, DATA_IOVA(0), 8 * PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), 16, 1);
	first = rig_next_miss(rig);
	for (unsigned i = 0; i < 500; i++) {
		rig_config_changed(rig);
		rig_stats(rig);
	}
	for (unsigned i = 1; i < 8; i++)
		stage_ask(rig, 0, DATA_IOVA(i), 16, i + 1);
	while (rig_stats(rig).misses < 8)
		continue;
	assert_int_equal(rig_ring_stop(rig, 0), 0);
	while (peer_recv(rig->back, &message, PEER_QUIET) == 0)
		assert_int_equal(message.header.request, VHU_BE_CONFIG_CHANGE_MSG);
	rig_answer(rig, &first, 0);
	stage_ring(rig, 0);
	expect_change(rig);
	stage_ask(rig, 0, DATA_IOVA(0), 16, 1);
	stage_expect_used(rig, 0, 1, 16);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_change_is_told_at_once_while_a_ring_runs),
		EACH(S6_a_change_waits_for_the_next_start),
		EACH(S9_a_change_takes_no_place_among_the_misses),
		EACH(who_has_not_asked_is_not_told),
		EACH(a_jammed_channel_loses_no_miss),
		EACH(a_stop_with_a_jammed_channel_drops_only_misses),
	};

	return cmocka_run_group_tests_name("session/config_change", tests, NULL, NULL);
}
