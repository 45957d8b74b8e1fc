/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end goes, its back-channel first: what is said, what fails, and what does not. */
#include <stdatomic.h>

#include <vhu/log.h>

#include "stage.h"

static _Atomic unsigned told_lost, told_gone, told_else;

static void listen_to(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	(void)subject;
	(void)opaque;
	if (strstr(text, "the back-channel is lost"))
		told_lost++;
	else if (!strcmp(text, "the front-end has gone"))
		told_gone++;
	else if (level <= VHU_LOG_WARNING)
		told_else++;
}

/* A request waits for the answer to a miss. */
static struct rig *park(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ .listen = true });

	told_lost = told_gone = told_else = 0;
	stage_give(rig, 1, 1, PERM_RW);
	stage_clear(rig, DATA_GPA(1), PAGE);
	stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 64, 0);
	stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
	return rig;
}

static void S11_a_front_end_that_closes_one_after_the_other_has_gone(void **state)
{
	static const unsigned pauses[] = { 0, 20, 80 };

	for (unsigned i = 0; i < ARRAY_SIZE(pauses); i++) {
		struct rig *rig = park(state);

		fd_close(&rig->back);
		poll(NULL, 0, (int)pauses[i]);
		fd_close(&rig->main);
		rig_wait_sessions(rig, 1);
		/* It was rewound: neither done nor failed. */
		rig_expect_unused(rig, 0);
		stage_expect_clear(rig, DATA_GPA(1), PAGE);
		assert_int_equal(rig_refused(rig), 0);
		assert_int_equal(told_gone, 1);
		assert_int_equal(told_lost, 0);
		assert_int_equal(told_else, 0);
		rig_free(rig);
	}
}

static void S11_one_that_stays_has_lost_it(void **state)
{
	struct rig *rig = park(state);

	fd_close(&rig->back);
	stage_expect_used_quietly(rig, 0, 0, 1);
	assert_int_equal(told_lost, 1);
	/* From then on at once. */
	stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 64, 1);
	stage_expect_used_quietly(rig, 0, 1, 1);
	assert_int_equal(told_lost, 1);
	fd_close(&rig->main);
	rig_wait_sessions(rig, 1);
	assert_int_equal(told_gone, 1);
	assert_int_equal(told_else, 0);
	rig_free(rig);
}

/* What it did not answer on the old one is asked again on the new one, and nothing fails. */
static void S9_a_channel_may_be_closed_before_the_next_one_is_given(void **state)
{
	struct rig *rig = park(state);
	struct rig_miss miss;

	fd_close(&rig->back);
	/* A miss more, while there is none. */
	stage_ask_copy(rig, 0, DATA_IOVA(2), 64, DATA_IOVA(1), 64, 1);
	poll(NULL, 0, 20);
	rig_open_back(rig);
	for (unsigned i = 0; i < 2; i++) {
		miss = stage_expect_miss(rig, DATA_IOVA(2 * i), PERM_READ);
		stage_give(rig, 2 * i, 1, PERM_RW);
		rig_answer(rig, &miss, 0);
		stage_expect_used_quietly(rig, 0, i, 64);
	}
	poll(NULL, 0, 300);
	assert_int_equal(told_lost, 0);
	assert_int_equal(told_else, 0);
	rig_free(rig);
}

/* S5: it is no time to wait for. */
static void S5_a_stop_does_not_wait_for_it(void **state)
{
	struct rig *rig = park(state);

	fd_close(&rig->back);
	assert_int_equal(rig_get_vring_base(rig, 0), 0);
	assert_int_equal(told_lost, 0);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(S11_a_front_end_that_closes_one_after_the_other_has_gone),
		EACH(S11_one_that_stays_has_lost_it),
		EACH(S9_a_channel_may_be_closed_before_the_next_one_is_given),
		EACH(S5_a_stop_does_not_wait_for_it),
	};

	vhu_log_set(listen_to, NULL, VHU_LOG_INFO);
	return cmocka_run_group_tests_name("session/iotlb_lost", tests, NULL, NULL);
}
