/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies, their order, and the end of the back-channel: rules S9, S10 and S11. */
#include <errno.h>
#include <sys/socket.h>

#include "stage.h"

static void S9_a_satisfied_miss_keeps_its_place(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss[3];

	rig_map(rig, DATA_IOVA(0), 8 * PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), 64, 0);
	miss[0] = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	stage_ring(rig, 1);
	stage_give(rig, 1, 1, PERM_RW);
	stage_ask_copy(rig, 1, DATA_IOVA(2), 64, DATA_IOVA(1), 64, 1);
	miss[1] = stage_expect_miss(rig, DATA_IOVA(2), PERM_READ);
	/* The first is satisfied, taken again and asked for again. */
	stage_give(rig, 0, 1, PERM_RW);
	rig_wait_submitted(rig, 1);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	stage_ask(rig, 0, DATA_IOVA(0), 64, 2);
	miss[2] = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	/* The late refusal of the first concerns nobody. */
	rig_refuse(rig, &miss[0]);
	stage_expect_used_quietly(rig, 0, 0, 64);
	assert_int_equal(rig_submitted(rig), 1);
	assert_int_equal(rig_refused(rig), 0);
	/* The second is queue 1's, which fails. */
	rig_refuse(rig, &miss[1]);
	stage_expect_used_quietly(rig, 1, 1, 1);
	assert_true(rig_grant(rig, &miss[2]));
	stage_expect_used_quietly(rig, 0, 2, 64);
	assert_int_equal(rig_stats(rig).refused, 1);
	rig_free(rig);
}

static void send_bad_reply(struct rig *rig, unsigned which)
{
	struct message message;

	message_init(&message, VHU_BE_IOTLB_MSG);
	message.header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	message.header.size = sizeof(message.payload.u64);
	switch (which) {
	case 0: message.header.request = VHU_BE_CONFIG_CHANGE_MSG; break;
	case 1: message.header.size = 4; break;
	case 2: message.header.flags = VHU_FLAG_VERSION; break;
	case 3: message.header.flags = VHU_FLAG_REPLY | 2; break;
	default: message.header.size = VHU_PAYLOAD_MAX + 1; break;
	}
	assert_int_equal(peer_send(rig->back, &message), 0);
}

static void S9_a_reply_that_does_not_fit_closes_the_channel(void **state)
{
	for (unsigned which = 0; which < 5; which++) {
		struct rig *rig = stage_open(state, (struct rig_config){ 0 });
		struct message message;

		stage_give(rig, 1, 1, PERM_RW);
		stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 64, 1);
		stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
		send_bad_reply(rig, which);
		assert_int_equal(peer_recv(rig->back, &message, PEER_PATIENCE), -ENOTCONN);
		/* What was asked fails, and the session goes on. */
		stage_expect_used_quietly(rig, 0, 1, 1);
		assert_true(rig_get_u64(rig, VHU_FE_GET_FEATURES) & PLATFORM);
		rig_free(rig);
	}
}

static void S9_a_reply_to_nothing_closes_the_channel(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss = { .header = { .request = VHU_BE_IOTLB_MSG } };
	struct message message;

	miss.header.flags = VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY;
	rig_answer(rig, &miss, 0);
	assert_int_equal(peer_recv(rig->back, &message, PEER_PATIENCE), -ENOTCONN);
	rig_free(rig);
}

static void S9_a_new_channel_is_asked_for_what_is_still_wanted(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;
	int old;

	rig_map(rig, DATA_IOVA(0), 8 * PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 3; i++) {
		stage_ask(rig, 0, DATA_IOVA(i), 64, i);
		stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
	}
	stage_give(rig, 1, 1, PERM_RW); /* satisfied: need not be asked again */
	/* The old one is let go of behind: its end would fail what it was asked. */
	old = rig->back;
	rig->back = -1;
	rig_open_back(rig);
	fd_close(&old);
	for (unsigned i = 0; i < 3; i += 2) {
		miss = stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
		assert_true(rig_grant(rig, &miss));
	}
	rig_expect_no_miss(rig);
	stage_expect_used_in_any_order(rig, 0, 0, 3, 64);
	rig_free(rig);
}

/* The channel is gone, and comes again before anybody needed it. */
static void S9_a_new_channel_replaces_a_dead_one(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 10; i++) {
		fd_close(&rig->back);
		rig_open_back(rig);
		stage_ask(rig, 0, DATA_IOVA(0), 64, i);
		stage_expect_used(rig, 0, i, 64);
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	}
	rig_free(rig);
}

/* The front-end is still at the miss: the driver may not unmap the page yet. */
static void S10_nothing_is_published_before_the_reply(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	stage_ask(rig, 0, DATA_IOVA(0), 64, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	stage_give(rig, 0, 1, PERM_RW);
	rig_wait_submitted(rig, 1);
	rig_expect_unused(rig, 0);
	/* Others are not held up. */
	stage_ask(rig, 0, DATA_IOVA(0) + 64, 64, 2);
	stage_expect_used_quietly(rig, 0, 2, 64);
	rig_answer(rig, &miss, 0);
	stage_expect_used_quietly(rig, 0, 1, 64);
	rig_free(rig);
}

static void S10_one_update_for_several_misses_does_not_publish(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss[4];

	stage_ask(rig, 0, DATA_IOVA(0), 4 * PAGE, 1);
	for (unsigned i = 0; i < 4; i++)
		miss[i] = stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
	stage_give(rig, 0, 4, PERM_RW);
	rig_wait_submitted(rig, 1);
	for (unsigned i = 0; i < 4; i++) {
		rig_expect_unused(rig, 0);
		/* Also a refusal of what was given long ago is only an answer. */
		rig_answer(rig, &miss[i], i & 1);
	}
	stage_expect_used_quietly(rig, 0, 1, 4 * PAGE);
	assert_int_equal(rig_refused(rig), 0);
	rig_free(rig);
}

/* Two of a queue, the second by a miss that was sent before the first's. */
static void S10_who_joins_an_older_miss_does_not_hold_the_others_back(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss[2];

	stage_ring(rig, 1);
	stage_ask(rig, 0, DATA_IOVA(0), 64, 1);
	miss[0] = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	stage_ask(rig, 1, DATA_IOVA(1), 64, 2);
	miss[1] = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	stage_ask(rig, 1, DATA_IOVA(0) + 1024, 64, 3);
	rig_expect_no_miss(rig);
	stage_give(rig, 0, 2, PERM_RW);
	rig_wait_submitted(rig, 3);
	rig_expect_unused(rig, 0);
	rig_expect_unused(rig, 1);
	rig_answer(rig, &miss[0], 0);
	stage_expect_used_quietly(rig, 0, 1, 64);
	stage_expect_used_quietly(rig, 1, 3, 64);
	rig_expect_unused(rig, 1);
	rig_answer(rig, &miss[1], 0);
	stage_expect_used_quietly(rig, 1, 2, 64);
	rig_free(rig);
}

/* Of a front-end that does not reply only updates are awaited. */
static void S11_an_update_alone_completes(void **state)
{
	struct rig *rig;

	rig = stage_new(state, (struct rig_config){
				       .protocol_without = VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) });
	for (unsigned q = 0; q < 2; q++) {
		struct rig_ring_config config = stage_ring_config(q);
		struct rig_miss miss;

		rig_ring_start(rig, q, &config);
		for (unsigned i = 0; i < 2; i++) {
			miss = rig_next_miss(rig);
			assert_int_equal(miss.header.flags & VHU_FLAG_NEED_REPLY, 0);
		}
		rig_send_update(rig, config.iova, rig_ring_bytes(&config), config.gpa, PERM_RW);
	}
	for (unsigned i = 0; i < 300; i++) {
		unsigned q = i & 1;

		stage_ask(rig, q, DATA_IOVA(i), 64, i);
		stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
		rig_send_update(rig, DATA_IOVA(i), PAGE, DATA_GPA(i), PERM_RW);
		stage_expect_used_quietly(rig, q, i, 64);
	}
	rig_free(rig);
}

static void S11_the_end_of_the_channel_fails_what_is_parked(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 1, 1, PERM_RW);
	for (unsigned i = 0; i < 3; i++) {
		stage_clear(rig, DATA_GPA(1), PAGE);
		stage_ask_copy(rig, 0, DATA_IOVA(0) + i * PAGE * 4, 64, DATA_IOVA(1), 64, i);
		if (i == 0) {
			stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
			fd_close(&rig->back);
		}
		/* Later ones fail at once; the ring is there, so it goes on. */
		stage_expect_used_quietly(rig, 0, i, 1);
		stage_expect_clear(rig, DATA_GPA(1), 63);
		assert_int_equal(*(char *)rig_ptr(rig, DATA_GPA(1) + 63, 1), RIG_REFUSED);
	}
	/* What is known goes on, and updates are still taken. */
	stage_give(rig, 0, 1, PERM_RW);
	stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 64, 9);
	stage_expect_used_quietly(rig, 0, 9, 64);
	rig_free(rig);
}

static void S11_the_end_of_the_channel_halts_a_ring_that_waits_for_its_pages(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);

	rig_ring_start(rig, 0, &config);
	rig_next_miss(rig);
	rig_next_miss(rig);
	/* Half closed is as good as gone: no write may raise a signal. */
	assert_int_equal(shutdown(rig->back, SHUT_RDWR), 0);
	rig_expect_ring_error(rig, 0);
	assert_int_equal(rig_ring_stop(rig, 0), 0);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(S9_a_satisfied_miss_keeps_its_place),
		EACH(S9_a_reply_that_does_not_fit_closes_the_channel),
		EACH(S9_a_reply_to_nothing_closes_the_channel),
		EACH(S9_a_new_channel_is_asked_for_what_is_still_wanted),
		EACH(S9_a_new_channel_replaces_a_dead_one),
		EACH(S10_nothing_is_published_before_the_reply),
		EACH(S10_one_update_for_several_misses_does_not_publish),
		EACH(S10_who_joins_an_older_miss_does_not_hold_the_others_back),
		EACH(S11_an_update_alone_completes),
		EACH(S11_the_end_of_the_channel_fails_what_is_parked),
		EACH(S11_the_end_of_the_channel_halts_a_ring_that_waits_for_its_pages),
	};

	return cmocka_run_group_tests_name("iotlb_order", tests, NULL, NULL);
}
