/* SPDX-License-Identifier: BSD-3-Clause */
/* A ring's own pages: when they are looked at, where they may lie: rule S7. */
#include "stage.h"

/* The two misses of a ring of 16: descriptors with the available ring, the used ring. */
static void expect_ring_misses(struct rig *rig, uint64_t iova, struct rig_miss miss[2])
{
	miss[0] = stage_expect_miss(rig, iova, PERM_READ);
	miss[1] = stage_expect_miss(rig, iova + PAGE, PERM_RW);
	rig_expect_no_miss(rig);
}

static void map_ring(struct rig *rig, const struct rig_ring_config *config)
{
	rig_map(rig, config->iova, rig_ring_bytes(config), config->gpa, PERM_RW);
	rig_map(rig, DATA_IOVA(0), 64 * PAGE, DATA_GPA(0), PERM_RW);
}

static void S7_a_ring_is_translated_once_started_and_enabled(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss miss[2];

	config.disabled = true;
	map_ring(rig, &config);
	rig_ring_start(rig, 0, &config);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	rig_expect_no_miss(rig);
	/* Enabled, it owes a look at what was kicked for long ago. */
	rig_ring_enable(rig, 0, true);
	expect_ring_misses(rig, config.iova, miss);
	assert_true(rig_grant(rig, &miss[0]));
	assert_int_equal(rig_submitted(rig), 0);
	assert_true(rig_grant(rig, &miss[1]));
	stage_expect_used(rig, 0, 1, PAGE);
	rig_free(rig);
}

static void S7_a_disabled_ring_takes_nothing(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 1, PERM_RW);
	for (unsigned i = 0; i < 3; i++) {
		rig_ring_enable(rig, 0, false);
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, i);
		rig_expect_unused(rig, 0);
		rig_ring_enable(rig, 0, true);
		stage_expect_used_quietly(rig, 0, i, PAGE);
	}
	rig_free(rig);
}

/* A firmware leaves its ring behind when the operating system turns the IOMMU on. */
static void S7_an_idle_ring_is_left_alone_after_an_invalidation(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 3; i++) {
		struct rig_miss miss[2];

		stage_ask(rig, 0, DATA_IOVA(0), PAGE, i);
		if (i) {
			expect_ring_misses(rig, RING_IOVA(0), miss);
			assert_true(rig_grant(rig, &miss[0]));
			assert_true(rig_grant(rig, &miss[1]));
		}
		stage_expect_used(rig, 0, i, PAGE);
		poll(NULL, 0, PEER_QUIET); /* armed, so that it is idle */
		assert_int_equal(rig_invalidate(rig, 0, 0), 0);
		rig_expect_no_miss(rig);
	}
	/* Not even a look: the pages are not there. */
	stage_trap(rig, RING_GPA(0));
	stage_trap(rig, RING_GPA(0) + PAGE);
	stage_give(rig, 5, 1, PERM_RW);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(5), PAGE), 0);
	rig_expect_no_miss(rig);
	assert_int_equal(rig_get_vring_base(rig, 0), 3);
	rig_free(rig);
}

static void S7_a_parked_ring_is_translated_again_at_once(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss first, miss[2];

	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	first = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	assert_int_equal(rig_invalidate(rig, RING_IOVA(0), 2 * PAGE), 0);
	expect_ring_misses(rig, RING_IOVA(0), miss);
	/* The chain is there already, but nothing is issued before the ring is. */
	assert_true(rig_grant(rig, &first));
	poll(NULL, 0, PEER_QUIET);
	assert_int_equal(rig_submitted(rig), 0);
	assert_true(rig_grant(rig, &miss[0]));
	assert_true(rig_grant(rig, &miss[1]));
	stage_expect_used(rig, 0, 1, PAGE);
	rig_free(rig);
}

static void S7_a_busy_ring_is_translated_again_at_once(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	stage_give(rig, 0, 1, PERM_RW);
	rig_hold(rig);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	rig_wait_submitted(rig, 1);
	poll(NULL, 0, PEER_QUIET); /* it has asked for kicks again */
	rig_send_invalidate(rig, RING_IOVA(0) + PAGE, PAGE);
	rig_expect_silence(rig);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	miss = stage_expect_miss(rig, RING_IOVA(0) + PAGE, PERM_RW);
	assert_true(rig_grant(rig, &miss));
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	/* Now it is idle. */
	poll(NULL, 0, PEER_QUIET);
	assert_int_equal(rig_invalidate(rig, RING_IOVA(0) + PAGE, PAGE), 0);
	rig_expect_no_miss(rig);
	rig_free(rig);
}

/* Pages of a ring move while it is in use; the driver sees one ring throughout. */
static void S7_a_ring_may_lose_its_pages_at_any_time(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	rig_map(rig, DATA_IOVA(0), 8 * PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 200; i++) {
		stage_ask(rig, 0, DATA_IOVA(i % 8), 64, i);
		assert_int_equal(rig_invalidate(rig, RING_IOVA(0) + (i & 1) * PAGE, PAGE), 0);
		stage_expect_used(rig, 0, i, 64);
	}
	assert_int_equal(rig_submitted(rig), 200);
	rig_free(rig);
}

static void S7_a_ring_may_lie_at_address_0(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = { .gpa = RING_GPA(0), .iova = 0 };
	struct rig_miss miss[2];

	map_ring(rig, &config);
	rig_ring_start(rig, 0, &config);
	expect_ring_misses(rig, 0, miss);
	assert_true(rig_grant(rig, &miss[0]));
	assert_true(rig_grant(rig, &miss[1]));
	for (unsigned i = 0; i < 40; i++) {
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, i);
		stage_expect_used(rig, 0, i, PAGE);
	}
	rig_free(rig);
}

/*
 * Regions of a page each are apart where the back-end has mapped them, so that
 * descriptor table and used ring of 512 are cut in their middle.
 */
static void S7_a_ring_may_lie_in_pieces(void **state)
{
	struct rig *rig = stage_new(state,
	                            (struct rig_config){ .n_regions = 8, .region_size = PAGE });
	struct rig_ring_config config = { .num = 512, .gpa = 0, .iova = RING_IOVA(0) };

	assert_int_equal(rig_ring_bytes(&config), 5 * PAGE);
	rig_map(rig, config.iova, 5 * PAGE, 0, PERM_RW);
	rig_map(rig, DATA_IOVA(0), 3 * PAGE, 5 * PAGE, PERM_RW);
	rig_ring_start(rig, 0, &config);
	for (unsigned i = 0; i < 1200;) {
		unsigned n = 1 + i % 64;

		for (unsigned j = 0; j < n; j++) {
			const struct vring_buffer buffers[] = {
				{ DATA_IOVA(0) + j, 16, false },
				{ DATA_IOVA(1) + j * 32, 32, true },
			};

			rig_add(rig, 0, buffers, 2, TOKEN(i + j));
		}
		rig_kick(rig, 0);
		stage_expect_used_in_any_order(rig, 0, i, n, 32);
		i += n;
	}
	assert_int_equal(rig_refused(rig), 0);
	assert_int_equal(rig_stats(rig).ring_errors, 0);
	rig_free(rig);
}

static void S4b_a_refused_ring_page_halts_until_the_next_kick(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss miss[2];

	map_ring(rig, &config);
	rig_ring_start(rig, 0, &config);
	expect_ring_misses(rig, config.iova, miss);
	assert_true(rig_grant(rig, &miss[0]));
	rig_refuse(rig, &miss[1]);
	rig_expect_ring_error(rig, 0);
	/* It stays so, whatever else comes. */
	stage_give(rig, 0, 1, PERM_RW);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	rig_ring_enable(rig, 0, true);
	rig_expect_no_miss(rig);
	assert_int_equal(rig_stats(rig).ring_errors, 1);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	miss[1] = stage_expect_miss(rig, config.iova + PAGE, PERM_RW);
	assert_true(rig_grant(rig, &miss[1]));
	stage_expect_used(rig, 0, 1, PAGE);
	rig_free(rig);
}

static void S4b_an_update_of_the_page_ends_the_halt(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss miss[2];

	map_ring(rig, &config);
	rig_ring_start(rig, 0, &config);
	expect_ring_misses(rig, config.iova, miss);
	rig_refuse(rig, &miss[0]);
	rig_refuse(rig, &miss[1]);
	rig_expect_ring_error(rig, 0);
	/* Made available before, and not kicked for since. */
	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	stage_give(rig, 0, 1, PERM_RW);
	assert_int_equal(rig_update(rig, config.iova, 2 * PAGE, config.gpa, PERM_RW), 0);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	rig_free(rig);
}

/* The update may come before the worker has seen the refusal: it counts all the same. */
static void S4b_an_update_just_behind_the_refusal_ends_the_halt(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < 40; i++) {
		struct rig_ring_config config = stage_ring_config(0);
		const struct vring_buffer buffer = { DATA_IOVA(0), PAGE, true };
		struct rig_miss miss[2];

		stage_give(rig, 0, 1, PERM_RW);
		config.disabled = true;
		rig_ring_start(rig, 0, &config);
		rig_add(rig, 0, &buffer, 1, TOKEN(i));
		rig_kick(rig, 0);
		poll(NULL, 0, 1);
		rig_ring_enable(rig, 0, true);
		miss[0] = stage_expect_miss(rig, config.iova, PERM_READ);
		miss[1] = stage_expect_miss(rig, config.iova + PAGE, PERM_RW);
		rig_refuse(rig, &miss[0]);
		rig_refuse(rig, &miss[1]);
		poll(NULL, 0, i & 1);
		assert_int_equal(rig_update(rig, config.iova, 2 * PAGE, config.gpa, PERM_RW), 0);
		stage_expect_used_quietly(rig, 0, i, PAGE);
		assert_int_equal(rig_ring_stop(rig, 0), 1);
		rig_ring_enable(rig, 0, false);
	}
	rig_free(rig);
}

static void S4b_a_restart_ends_the_halt(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss miss[2];

	rig_ring_start(rig, 0, &config);
	expect_ring_misses(rig, config.iova, miss);
	rig_refuse(rig, &miss[0]);
	rig_refuse(rig, &miss[1]);
	rig_expect_ring_error(rig, 0);
	assert_int_equal(rig_ring_stop(rig, 0), 0);
	map_ring(rig, &config);
	rig_ring_start(rig, 0, &config);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	stage_expect_used(rig, 0, 1, PAGE);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(S7_a_ring_is_translated_once_started_and_enabled),
		EACH(S7_a_disabled_ring_takes_nothing),
		EACH(S7_an_idle_ring_is_left_alone_after_an_invalidation),
		EACH(S7_a_parked_ring_is_translated_again_at_once),
		EACH(S7_a_busy_ring_is_translated_again_at_once),
		EACH(S7_a_ring_may_lose_its_pages_at_any_time),
		EACH(S7_a_ring_may_lie_at_address_0),
		EACH(S7_a_ring_may_lie_in_pieces),
		EACH(S4b_a_refused_ring_page_halts_until_the_next_kick),
		EACH(S4b_an_update_of_the_page_ends_the_halt),
		EACH(S4b_an_update_just_behind_the_refusal_ends_the_halt),
		EACH(S4b_a_restart_ends_the_halt),
	};

	return cmocka_run_group_tests_name("queue_pages", tests, NULL, NULL);
}
