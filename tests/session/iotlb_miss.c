/* SPDX-License-Identifier: BSD-3-Clause */
/* MISS: what is asked for, when, and what the answers do: rules S1 to S4. */
#include "stage.h"

static void S1_two_queues_wanting_a_page_send_one_miss(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	stage_ring(rig, 1);
	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned q = 0; q < 2; q++)
			stage_ask(rig, q, DATA_IOVA(0) + 1024 * q + 64 * i, 64, i);
	/* Of whichever came first. */
	miss = rig_next_miss(rig);
	assert_int_equal(miss.iova / PAGE, DATA_IOVA(0) / PAGE);
	rig_expect_no_miss(rig);
	assert_true(rig_grant(rig, &miss));
	/* Those that were asked for are held until the reply is read. */
	for (unsigned q = 0; q < 2; q++)
		stage_expect_used_in_any_order(rig, q, 0, 4, 64);
	assert_int_equal(rig_stats(rig).misses, 1);
	rig_free(rig);
}

/* Cold, each page once: no more is asked than is needed. */
static void S1_as_many_misses_as_pages(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	rig_map(rig, DATA_IOVA(0), 256 * PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 64; i++) {
		stage_ask_copy(rig, 0, DATA_IOVA(3 * i) + 100, 2 * PAGE - 100, DATA_IOVA(3 * i + 2),
		               PAGE, i);
		stage_expect_used(rig, 0, i, PAGE);
	}
	assert_int_equal(rig->misses, 64 * 3);
	assert_int_equal(rig_stats(rig).misses, 64 * 3);
	assert_int_equal(rig_stats(rig).pages_needed, 64 * 3);
	rig_free(rig);
}

static void S1_reading_and_writing_are_two_misses(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss[2];

	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(0) + 64, 64, 1);
	miss[0] = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
	miss[1] = stage_expect_miss(rig, DATA_IOVA(0) + 64, PERM_WRITE);
	assert_true(rig_grant(rig, &miss[0]));
	rig_answer(rig, &miss[1], 0);
	stage_expect_used_quietly(rig, 0, 1, 64);
	rig_free(rig);
}

/*
 * The update and the kick race; once the update is acknowledged there is no miss
 * but one that was sent before.
 */
static void S1_what_is_given_meanwhile_is_not_asked_for(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < 200; i++) {
		struct rig_miss miss;

		rig_send_invalidate(rig, DATA_IOVA(0), PAGE);
		if (i & 1)
			assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, i);
		if (!(i & 1))
			assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
		assert_int_equal(rig_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW), 0);
		while (rig_try_miss(rig, &miss, 0))
			rig_answer(rig, &miss, 0);
		stage_expect_used_quietly(rig, 0, i, PAGE);
		if (rig_try_miss(rig, &miss, 0))
			fail_msg("a miss of what is there");
	}
	assert_int_equal(rig_stats(rig).unsatisfied, 0);
	rig_free(rig);
}

/* However soon it is seen: who looks at the ring all the time is ahead of the session. */
static void S1_what_was_sent_before_the_request_is_not_asked_for(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	uint64_t before = rig_stats(rig).misses;

	for (unsigned i = 0; i < 300; i++) {
		rig_send_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, i);
		assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
		stage_expect_used_quietly(rig, 0, i, PAGE);
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	}
	assert_int_equal(rig_stats(rig).misses, before);
	rig_free(rig);
}

static void S2_the_chains_behind_are_asked_for_too(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss[5];

	rig_map(rig, DATA_IOVA(0), 8 * PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 5; i++) {
		const struct vring_buffer buffer = { DATA_IOVA(i), 64, true };

		rig_add(rig, 0, &buffer, 1, TOKEN(i));
	}
	rig_kick(rig, 0);
	for (unsigned i = 0; i < 5; i++)
		miss[i] = stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
	/* Issued in ring order: the last four have all they need, and wait. */
	stage_give(rig, 1, 4, PERM_RW);
	poll(NULL, 0, PEER_QUIET);
	assert_int_equal(rig_submitted(rig), 0);
	stage_give(rig, 0, 1, PERM_RW);
	rig_wait_submitted(rig, 5);
	for (unsigned i = 0; i < 5; i++)
		rig_answer(rig, &miss[i], 0);
	for (unsigned i = 0; i < 5; i++)
		stage_expect_used_quietly(rig, 0, i, 64);
	rig_free(rig);
}

static void S3_128_unanswered_at_most(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss[128];
	unsigned n = 200;

	rig_map(rig, DATA_IOVA(0), n * PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), (uint32_t)(n * PAGE), 1);
	for (unsigned i = 0; i < 128; i++) {
		miss[i] = stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
		assert_int_equal(miss[i].size, i ? PAGE : n * PAGE);
	}
	rig_expect_no_miss(rig);
	/* As many more as are answered. */
	for (unsigned i = 0; i < 3; i++)
		assert_true(rig_grant(rig, &miss[i]));
	for (unsigned i = 0; i < 3; i++) {
		struct rig_miss more = stage_expect_miss(rig, DATA_IOVA(128 + i), PERM_WRITE);

		miss[i] = more;
	}
	rig_expect_no_miss(rig);
	for (unsigned i = 0; i < 128; i++)
		assert_true(rig_grant(rig, &miss[(i + 3) % 128]));
	stage_expect_used(rig, 0, 1, (uint32_t)(n * PAGE));
	stage_expect_filled(rig, DATA_GPA(0), (uint32_t)(n * PAGE));
	assert_int_equal(rig_stats(rig).misses, n);
	rig_free(rig);
}

static void S3_the_size_can_be_left_out(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ .no_miss_hints = true });

	stage_ask(rig, 0, DATA_IOVA(0) + 5, 2 * PAGE, 1);
	assert_int_equal(stage_expect_miss(rig, DATA_IOVA(0) + 5, PERM_WRITE).size, 0);
	assert_int_equal(stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE).size, 0);
	assert_int_equal(stage_expect_miss(rig, DATA_IOVA(2), PERM_WRITE).size, 0);
	rig_free(rig);
}

static void S3_a_hint_that_is_honoured_saves_the_rest(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	/* The first time page by page; one update of all the first has asked for. */
	stage_ask(rig, 0, DATA_IOVA(0), 4 * PAGE, 0);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	assert_int_equal(miss.size, 4 * PAGE);
	stage_give(rig, 0, 4, PERM_RW);
	rig_answer(rig, &miss, 0);
	while (rig_try_miss(rig, &miss, PEER_QUIET))
		rig_answer(rig, &miss, 0);
	stage_expect_used_quietly(rig, 0, 0, 4 * PAGE);
	/* From then on once. */
	for (unsigned i = 1; i < 4; i++) {
		stage_ask(rig, 0, DATA_IOVA(64 * i) + 9, 60 * PAGE, i);
		miss = stage_expect_miss(rig, DATA_IOVA(64 * i) + 9, PERM_WRITE);
		assert_int_equal(miss.size, 60 * PAGE);
		rig_expect_no_miss(rig);
		stage_give(rig, 64 * i, 61, PERM_RW);
		rig_answer(rig, &miss, 0);
		stage_expect_used_quietly(rig, 0, i, 60 * PAGE);
	}
	/* Until one is not. */
	stage_ask(rig, 0, DATA_IOVA(300), 3 * PAGE, 9);
	miss = stage_expect_miss(rig, DATA_IOVA(300), PERM_WRITE);
	stage_give(rig, 300, 1, PERM_RW);
	rig_answer(rig, &miss, 0);
	stage_expect_miss(rig, DATA_IOVA(301), PERM_WRITE);
	stage_expect_miss(rig, DATA_IOVA(302), PERM_WRITE);
	rig_free(rig);
}

/* The status has a page of its own; the rest of the answer is not written. */
static void expect_refused_request(struct rig *rig, unsigned n)
{
	stage_expect_used_quietly(rig, 0, n, 1);
	stage_expect_clear(rig, DATA_GPA(1), 63);
	assert_int_equal(*(char *)rig_ptr(rig, DATA_GPA(1) + 63, 1), RIG_REFUSED);
}

/* Asks for a copy from page 0 to page 1, of which only page 1 is there. */
static void ask_for_page_0(struct rig *rig, unsigned n)
{
	stage_give(rig, 1, 1, PERM_RW);
	stage_clear(rig, DATA_GPA(1), PAGE);
	stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 64, n);
}

static void S4_a_refusal_fails_the_request_and_the_queue_goes_on(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	ask_for_page_0(rig, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
	rig_refuse(rig, &miss);
	expect_refused_request(rig, 1);
	assert_int_equal(rig_refused(rig), 1);
	assert_int_equal(rig_stats(rig).refused, 1);
	assert_int_equal(rig_stats(rig).refused_requests, 1);
	/* A refusal is not remembered: the next request asks anew. */
	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_READ);
	ask_for_page_0(rig, 2);
	stage_expect_used(rig, 0, 2, 64);
	rig_free(rig);
}

/* All that had asked for it fail, and with them nobody else. */
static void S4_requests_behind_a_refused_one_go_on(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	ask_for_page_0(rig, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
	stage_ask(rig, 0, DATA_IOVA(1) + 64, 64, 2);
	rig_refuse(rig, &miss);
	/* Either may be back first: the refusal is published when its reply has been. */
	for (unsigned i = 0; i < 2; i++) {
		uint32_t written;
		uintptr_t n = (uintptr_t)rig_wait_used(rig, 0, &written);

		assert_int_equal(written, n == 1 ? 1 : 64);
	}
	assert_int_equal(*(char *)rig_ptr(rig, DATA_GPA(1) + 63, 1), RIG_REFUSED);
	stage_expect_filled(rig, DATA_GPA(1) + 64, 64);
	rig_free(rig);
}

static void S4_a_zero_reply_without_the_translation_is_a_failure(void **state)
{
	static const uint8_t given[] = { 0, PERM_WRITE };
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < ARRAY_SIZE(given); i++) {
		struct rig_miss miss;

		ask_for_page_0(rig, i);
		miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
		if (given[i])
			stage_give(rig, 0, 1, given[i]);
		stage_give(rig, 5, 1, PERM_RW); /* elsewhere */
		rig_answer(rig, &miss, 0);
		expect_refused_request(rig, i);
		assert_int_equal(rig_stats(rig).unsatisfied, i + 1);
	}
	assert_int_equal(rig_stats(rig).refused, 0);
	rig_free(rig);
}

/* The reply may be read before the update that was sent before it. */
static void S4_a_zero_reply_waits_for_the_updates_before_it(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < 100; i++) {
		struct rig_miss miss;

		stage_ask(rig, 0, DATA_IOVA(i), PAGE, i);
		miss = stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
		rig_send_update(rig, DATA_IOVA(i), PAGE, DATA_GPA(i), PERM_RW);
		rig_answer(rig, &miss, 0);
		assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
		stage_expect_used_quietly(rig, 0, i, PAGE);
	}
	assert_int_equal(rig_stats(rig).unsatisfied, 0);
	rig_free(rig);
}

static void S4_an_answer_lost_to_an_invalidation_is_asked_for_three_times_again(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	ask_for_page_0(rig, 1);
	for (unsigned i = 0; i < 4; i++) {
		struct rig_miss miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);

		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
		rig_answer(rig, &miss, 0);
	}
	expect_refused_request(rig, 1);
	rig_expect_no_miss(rig);
	assert_int_equal(rig_stats(rig).unsatisfied, 0);
	rig_free(rig);
}

/* Given and taken again at once: whether it was issued in between or not, it does not fail. */
static void S4_what_is_given_and_taken_is_asked_for_again(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_READ);
	for (unsigned i = 0; i < 50; i++) {
		struct rig_miss miss;

		ask_for_page_0(rig, i);
		miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
		rig_send_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
		rig_send_invalidate(rig, DATA_IOVA(0), PAGE);
		for (unsigned reply = 0; reply < 2; reply++)
			assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
		rig_answer(rig, &miss, 0);
		stage_expect_used(rig, 0, i, 64);
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	}
	assert_int_equal(rig_refused(rig), 0);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(S1_two_queues_wanting_a_page_send_one_miss),
		EACH(S1_as_many_misses_as_pages),
		EACH(S1_reading_and_writing_are_two_misses),
		EACH(S1_what_is_given_meanwhile_is_not_asked_for),
		EACH(S1_what_was_sent_before_the_request_is_not_asked_for),
		EACH(S2_the_chains_behind_are_asked_for_too),
		EACH(S3_128_unanswered_at_most),
		EACH(S3_the_size_can_be_left_out),
		EACH(S3_a_hint_that_is_honoured_saves_the_rest),
		EACH(S4_a_refusal_fails_the_request_and_the_queue_goes_on),
		EACH(S4_requests_behind_a_refused_one_go_on),
		EACH(S4_a_zero_reply_without_the_translation_is_a_failure),
		EACH(S4_a_zero_reply_waits_for_the_updates_before_it),
		EACH(S4_an_answer_lost_to_an_invalidation_is_asked_for_three_times_again),
		EACH(S4_what_is_given_and_taken_is_asked_for_again),
	};

	return cmocka_run_group_tests_name("iotlb_miss", tests, NULL, NULL);
}
