/* SPDX-License-Identifier: BSD-3-Clause */
/* Rule S8: which failed accesses the front-end is told of, and only if it is to be. */
#include <errno.h>

#include "stage.h"

static const struct rig_config telling = { .report_access_failures = true };

/* The next on the back-channel, which wants no reply. */
static uint64_t next_failure(struct rig *rig, uint8_t perm)
{
	struct message message;

	assert_int_equal(peer_recv(rig->back, &message, PEER_PATIENCE), 0);
	assert_int_equal(message.n_fds, 0);
	assert_int_equal(message.header.request, VHU_BE_IOTLB_MSG);
	assert_int_equal(message.header.flags, VHU_FLAG_VERSION);
	assert_int_equal(message.header.size, sizeof(struct vhu_iotlb));
	assert_int_equal(message.payload.iotlb.type, VHU_IOTLB_ACCESS_FAIL);
	assert_int_equal(message.payload.iotlb.perm, perm);
	return message.payload.iotlb.iova;
}

static void expect_nothing(struct rig *rig)
{
	struct message message;

	assert_int_equal(peer_recv(rig->back, &message, PEER_QUIET), -ETIMEDOUT);
}

/* Asks for a copy from page 0 to page 1, of which only page 1 is there. */
static struct rig_miss miss_of_page_0(struct rig *rig, unsigned n)
{
	stage_give(rig, 1, 1, PERM_RW);
	stage_ask_copy(rig, 0, DATA_IOVA(0) + 100, 64, DATA_IOVA(1), 64, n);
	return stage_expect_miss(rig, DATA_IOVA(0) + 100, PERM_READ);
}

static void S8_a_refused_access_is_told(void **state)
{
	struct rig *rig = stage_open(state, telling);
	struct rig_miss miss = miss_of_page_0(rig, 1);

	rig_refuse(rig, &miss);
	assert_int_equal(next_failure(rig, PERM_READ), DATA_IOVA(0) + 100);
	stage_expect_used_quietly(rig, 0, 1, 1);
	/* It takes no place among what is answered (S9). */
	miss = miss_of_page_0(rig, 2);
	stage_give(rig, 0, 1, PERM_RW);
	rig_answer(rig, &miss, 0);
	stage_expect_used_quietly(rig, 0, 2, 64);
	expect_nothing(rig);
	rig_free(rig);
}

static void S8_a_permission_that_was_not_given_is_told(void **state)
{
	static const uint8_t given[] = { 0, PERM_WRITE };
	struct rig *rig = stage_open(state, telling);

	for (unsigned i = 0; i < ARRAY_SIZE(given); i++) {
		struct rig_miss miss = miss_of_page_0(rig, i);

		if (given[i])
			stage_give(rig, 0, 1, given[i]);
		rig_answer(rig, &miss, 0);
		assert_int_equal(next_failure(rig, PERM_READ), DATA_IOVA(0) + 100);
		stage_expect_used_quietly(rig, 0, i, 1);
	}
	expect_nothing(rig);
	rig_free(rig);
}

#define MANY 5u

/* However many there are of one chain, and whether they are refused or not given. */
static void S8_each_of_several_is_told(void **state)
{
	for (uint64_t value = 0; value < 2; value++) {
		struct rig *rig = stage_open(state, telling);
		struct vring_buffer buffers[MANY + 1];
		struct rig_miss misses[MANY];
		unsigned told = 0;

		stage_give(rig, 1, 1, PERM_RW);
		for (unsigned i = 0; i < MANY; i++)
			buffers[i] = (struct vring_buffer){ DATA_IOVA(10 + 2 * i), 64, false };
		buffers[MANY] = (struct vring_buffer){ DATA_IOVA(1), 64, true };
		rig_add(rig, 0, buffers, MANY + 1, TOKEN(1));
		rig_kick(rig, 0);
		for (unsigned i = 0; i < MANY; i++)
			misses[i] = rig_next_miss(rig);
		for (unsigned i = 0; i < MANY; i++)
			rig_answer(rig, &misses[i], value);
		for (unsigned i = 0; i < MANY; i++)
			told |= 1u << (next_failure(rig, PERM_READ) - DATA_IOVA(10)) / (2 * PAGE);
		assert_int_equal(told, (1u << MANY) - 1);
		stage_expect_used_quietly(rig, 0, 1, 1);
		expect_nothing(rig);
		rig_free(rig);
	}
}

/* Who came too late for a miss asks for itself; each miss that fails is told once. */
static void S8_what_several_wanted_is_told_once(void **state)
{
	const struct vring_buffer buffers[] = { { DATA_IOVA(0), 64, false },
		                                { DATA_IOVA(1), 64, true } };

	for (uint64_t value = 0; value < 2; value++) {
		struct rig *rig = stage_open(state, telling);
		struct rig_miss miss;

		stage_give(rig, 1, 1, PERM_RW);
		for (unsigned i = 0; i < 4; i++)
			rig_add(rig, 0, buffers, 2, TOKEN(i));
		rig_kick(rig, 0);
		while (rig_stats(rig).refused_requests < 4) {
			miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
			rig_answer(rig, &miss, value);
			assert_int_equal(next_failure(rig, PERM_READ), DATA_IOVA(0));
			for (unsigned ms = 0; ms < 100 && rig_stats(rig).refused_requests < 4; ms++)
				poll(NULL, 0, 1);
		}
		for (unsigned i = 0; i < 4; i++)
			stage_expect_used_quietly(rig, 0, i, 1);
		expect_nothing(rig);
		rig_free(rig);
	}
}

/* S4: given up after three times; what is told is what was missing then. */
static void S8_what_is_lost_again_and_again_is_told(void **state)
{
	struct rig *rig = stage_open(state, telling);
	struct rig_miss miss = miss_of_page_0(rig, 1);

	for (unsigned i = 0; i < 4; i++) {
		if (i)
			miss = stage_expect_miss(rig, DATA_IOVA(0) + 100, PERM_READ);
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
		rig_answer(rig, &miss, 0);
	}
	assert_int_equal(next_failure(rig, PERM_READ), DATA_IOVA(0) + 100);
	stage_expect_used_quietly(rig, 0, 1, 1);
	expect_nothing(rig);
	rig_free(rig);
}

static void S8_a_ring_page_that_is_lost_again_and_again_is_told(void **state)
{
	struct rig *rig = stage_new(state, telling);
	struct rig_ring_config config = stage_ring_config(0);

	/* All but the used ring. */
	assert_int_equal(rig_update(rig, config.iova, PAGE, config.gpa, PERM_RW), 0);
	rig_ring_start(rig, 0, &config);
	for (unsigned i = 0; i < 4; i++) {
		struct rig_miss miss = rig_next_miss(rig);

		assert_int_equal(rig_invalidate(rig, miss.iova, PAGE), 0);
		rig_answer(rig, &miss, 0);
	}
	next_failure(rig, PERM_RW);
	rig_expect_ring_error(rig, 0);
	expect_nothing(rig);
	rig_free(rig);
}

static void S8_nobody_is_told_unasked(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (uint64_t value = 0; value < 2; value++) {
		struct rig_miss miss = miss_of_page_0(rig, 1);

		rig_answer(rig, &miss, value);
		stage_expect_used_quietly(rig, 0, 1, 1);
		expect_nothing(rig);
	}
	rig_free(rig);
}

/* Behind what nobody has read for long; what is asked after it is asked all the same. */
static void S8_it_waits_for_a_jammed_channel(void **state)
{
	struct rig_config config = telling;
	struct message message;
	struct rig_miss miss;
	struct rig *rig;

	config.back_buffer = 4096;
	rig = stage_open(state, config);
	miss = miss_of_page_0(rig, 1);
	for (unsigned i = 0; i < 1000; i++) {
		rig_config_changed(rig);
		if (i % 100 == 0)
			rig_stats(rig);
	}
	rig_refuse(rig, &miss);
	stage_expect_used_quietly(rig, 0, 1, 1);
	do
		assert_int_equal(peer_recv(rig->back, &message, PEER_PATIENCE), 0);
	while (message.header.request == VHU_BE_CONFIG_CHANGE_MSG);
	assert_int_equal(message.header.request, VHU_BE_IOTLB_MSG);
	assert_int_equal(message.payload.iotlb.type, VHU_IOTLB_ACCESS_FAIL);
	while (peer_recv(rig->back, &message, PEER_QUIET) == 0)
		assert_int_equal(message.header.request, VHU_BE_CONFIG_CHANGE_MSG);
	miss = miss_of_page_0(rig, 2);
	stage_give(rig, 0, 1, PERM_RW);
	rig_answer(rig, &miss, 0);
	stage_expect_used_quietly(rig, 0, 2, 64);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(S8_a_refused_access_is_told),
		EACH(S8_a_permission_that_was_not_given_is_told),
		EACH(S8_each_of_several_is_told),
		EACH(S8_what_several_wanted_is_told_once),
		EACH(S8_what_is_lost_again_and_again_is_told),
		EACH(S8_a_ring_page_that_is_lost_again_and_again_is_told),
		EACH(S8_nobody_is_told_unasked),
		EACH(S8_it_waits_for_a_jammed_channel),
	};

	return cmocka_run_group_tests_name("session/access_fail", tests, NULL, NULL);
}
