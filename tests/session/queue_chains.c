/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains that are parked, in tables of their own, or refused where it hurts: rules
 * V1 and S4b; and traffic over each kind of ring.
 */
#include "stage.h"

#define INDIRECT_DESC VHU_BIT(28)
#define EVENT_IDX     VHU_BIT(29)

/* Indirect tables lie behind the used ring; of queue 0 in this page and the next. */
#define TABLE_IOVA (RING_IOVA(0) + 2 * PAGE)

static struct rig_ring_config indirect_config(void)
{
	struct rig_ring_config config = stage_ring_config(0);

	config.table_entries = 16;
	return config;
}

/* Queue 0 runs with indirect tables, of which nothing is known. */
static struct rig *open_indirect(void **state)
{
	struct rig *rig = rig_new(*state);
	struct rig_ring_config config = indirect_config();

	rig_open(rig, PLATFORM | INDIRECT_DESC);
	assert_int_equal(rig_update(rig, config.iova, 2 * PAGE, config.gpa, PERM_RW), 0);
	rig_map(rig, config.iova, rig_ring_bytes(&config), config.gpa, PERM_RW);
	rig_ring_start(rig, 0, &config);
	return rig;
}

static void V1_descriptors_are_copied_once(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	rig_map(rig, DATA_IOVA(0), 8 * PAGE, DATA_GPA(0), PERM_RW);
	stage_clear(rig, DATA_GPA(0), 8 * PAGE);
	stage_ask(rig, 0, DATA_IOVA(1), PAGE, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	/* The driver may write what it likes there now: another address, a loop. */
	memset(rig_ptr(rig, RING_GPA(0), 256), 0xff, 256);
	assert_true(rig_grant(rig, &miss));
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	stage_expect_filled(rig, DATA_GPA(1), PAGE);
	stage_expect_clear(rig, DATA_GPA(2), 6 * PAGE);
	rig_free(rig);
}

/* One page was found at the first try and has moved since. */
static void V1_a_parked_chain_holds_no_pointer(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	stage_give(rig, 0, 1, PERM_RW);
	stage_clear(rig, DATA_GPA(0), 20 * PAGE);
	rig_map(rig, DATA_IOVA(1), PAGE, DATA_GPA(1), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), 2 * PAGE, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	assert_int_equal(rig_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(10), PERM_RW), 0);
	stage_trap(rig, DATA_GPA(0));
	assert_true(rig_grant(rig, &miss));
	stage_expect_used_quietly(rig, 0, 1, 2 * PAGE);
	stage_expect_clear(rig, DATA_GPA(0), PAGE);
	assert_int_equal(*(unsigned char *)rig_ptr(rig, DATA_GPA(10), 1), RIG_FILL);
	rig_free(rig);
}

/* One page was found and is gone again: then it is asked for, too. */
static void V1_a_parked_chain_is_translated_whole(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	stage_give(rig, 0, 1, PERM_RW);
	rig_map(rig, DATA_IOVA(0), 2 * PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), 2 * PAGE, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	assert_true(rig_grant(rig, &miss));
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	assert_int_equal(rig_submitted(rig), 0);
	assert_true(rig_grant(rig, &miss));
	stage_expect_used_quietly(rig, 0, 1, 2 * PAGE);
	rig_free(rig);
}

/* Busy, the device has asked for no kicks: it must look by itself. */
static void V1_the_available_index_is_read_again_after_a_miss(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	const struct vring_buffer buffer = { DATA_IOVA(1), 64, true };
	struct rig_miss miss;

	stage_give(rig, 1, 1, PERM_RW);
	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 20; i++) {
		stage_ask(rig, 0, DATA_IOVA(0), 64, 2 * i);
		miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
		rig_add(rig, 0, &buffer, 1, TOKEN(2 * i + 1));
		/* Kicked only if the device says so. */
		if (vring_driver_kick_needed(rig->rings[0].driver))
			fd_signal(rig->rings[0].kick);
		assert_true(rig_grant(rig, &miss));
		stage_expect_used_in_any_order(rig, 0, 2 * i, 2, 64);
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	}
	rig_free(rig);
}

/* Shown while the back-end asks for no kicks, and before it has looked again. */
static void show_without_kick(void *opaque)
{
	struct rig *rig = opaque;
	const struct vring_buffer buffer = { DATA_IOVA(1), PAGE, true };

	rig_add(rig, 0, &buffer, 1, TOKEN(2));
	assert_false(vring_driver_kick_needed(rig->rings[0].driver));
}

static void S7_what_is_shown_while_a_parked_chain_is_issued_is_owed(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	stage_give(rig, 1, 1, PERM_RW);
	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	rig_at_batch_end(rig, show_without_kick, rig);
	assert_true(rig_grant(rig, &miss));
	rig_wait_batch_end(rig);
	stage_expect_used_in_any_order(rig, 0, 1, 2, PAGE);
	rig_free(rig);
}

static void an_indirect_table_is_translated_before_what_it_names(void **state)
{
	struct rig *rig = open_indirect(state);
	struct rig_miss miss;

	rig_map(rig, DATA_IOVA(0), 8 * PAGE, DATA_GPA(0), PERM_RW);
	stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 2 * PAGE, 1);
	miss = rig_next_miss(rig);
	assert_int_equal(miss.iova / PAGE, TABLE_IOVA / PAGE);
	assert_int_equal(miss.perm, PERM_READ);
	rig_expect_no_miss(rig);
	assert_true(rig_grant(rig, &miss));
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
	assert_true(rig_grant(rig, &miss));
	stage_expect_used(rig, 0, 1, 2 * PAGE);
	assert_int_equal(rig_stats(rig).misses, 4);
	assert_int_equal(rig_stats(rig).pages_needed, 4);
	rig_free(rig);
}

/* Of who waits behind a table, the table is asked for meanwhile. */
static void S2_the_tables_of_the_chains_behind_are_asked_for_too(void **state)
{
	struct rig *rig = open_indirect(state);
	unsigned tables = 0;
	struct rig_miss miss;

	rig_map(rig, DATA_IOVA(0), 64 * PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 16 / 2; i++)
		stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 64, i);
	/* Sixteen tables of 256 bytes each fill one page. */
	while (rig_try_miss(rig, &miss, PEER_QUIET)) {
		tables += miss.iova / PAGE == TABLE_IOVA / PAGE;
		assert_true(rig_grant(rig, &miss));
	}
	assert_int_equal(tables, 1);
	stage_expect_used_in_any_order(rig, 0, 0, 16 / 2, 64);
	rig_free(rig);
}

static void restart(struct rig *rig, const struct rig_ring_config *config)
{
	rig_ring_stop(rig, 0);
	assert_int_equal(
		rig_update(rig, config->iova, rig_ring_bytes(config), config->gpa, PERM_RW), 0);
	rig_ring_start(rig, 0, config);
}

/* The driver would read a status that nobody wrote as success. */
static void S4b_a_refused_table_breaks_the_ring(void **state)
{
	struct rig *rig = open_indirect(state);
	struct rig_ring_config config = indirect_config();
	struct rig_miss miss;

	stage_give(rig, 0, 2, PERM_RW);
	stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 64, 1);
	miss = rig_next_miss(rig);
	rig_refuse(rig, &miss);
	rig_expect_ring_error(rig, 0);
	assert_int_equal(rig_stats(rig).ring_errors, 1);
	/* For good: neither a kick nor an update helps. */
	assert_int_equal(rig_update(rig, config.iova, rig_ring_bytes(&config), config.gpa, PERM_RW),
	                 0);
	stage_ask(rig, 0, DATA_IOVA(1), 64, 2);
	rig_expect_unused(rig, 0);
	rig_expect_no_miss(rig);
	assert_int_equal(rig_submitted(rig), 0);
	/* Not even the chain that broke it has begun, so that a stop names it. */
	restart(rig, &config);
	stage_give(rig, 0, 2, PERM_RW);
	stage_ask_copy(rig, 0, DATA_IOVA(0), 64, DATA_IOVA(1), 64, 3);
	stage_expect_used_quietly(rig, 0, 3, 64);
	rig_free(rig);
}

static void S4b_a_refused_status_breaks_the_ring_and_no_other(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss miss;

	stage_ring(rig, 1);
	stage_give(rig, 0, 1, PERM_RW);
	/* The end of the buffer is on a page that is refused, after the first was. */
	stage_ask(rig, 0, DATA_IOVA(1), PAGE + 64, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	rig_refuse(rig, &miss);
	miss = stage_expect_miss(rig, DATA_IOVA(2), PERM_WRITE);
	rig_refuse(rig, &miss);
	/* Asked for that very byte, or answered by the last refusal. */
	while (rig_try_miss(rig, &miss, PEER_QUIET))
		rig_refuse(rig, &miss);
	rig_expect_ring_error(rig, 0);
	stage_ask(rig, 0, DATA_IOVA(0), 64, 2);
	rig_expect_unused(rig, 0);
	stage_ask(rig, 1, DATA_IOVA(0), 64, 3);
	stage_expect_used_quietly(rig, 1, 3, 64);
	restart(rig, &config);
	stage_ask(rig, 0, DATA_IOVA(0), 64, 4);
	stage_expect_used_quietly(rig, 0, 4, 64);
	rig_free(rig);
}

/* Requests issued before a ring broke are given back all the same. */
static void S4b_what_was_issued_before_is_completed(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	stage_give(rig, 0, 1, PERM_RW);
	rig_hold(rig);
	stage_ask(rig, 0, DATA_IOVA(0), 64, 1);
	rig_wait_submitted(rig, 1);
	stage_ask(rig, 0, DATA_IOVA(1), 64, 2);
	miss = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	rig_refuse(rig, &miss);
	if (rig_try_miss(rig, &miss, PEER_QUIET))
		rig_refuse(rig, &miss);
	rig_expect_ring_error(rig, 0);
	rig_release(rig);
	stage_expect_used_quietly(rig, 0, 1, 64);
	/* The broken chain is rewound. */
	assert_int_equal(rig_ring_stop(rig, 0), 1);
	rig_free(rig);
}

/* Copies of random length over any page, verified, in a domain that comes and goes. */
static void traffic(void **state, uint64_t features)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, PLATFORM | features);
	for (unsigned q = 0; q < 2; q++) {
		struct rig_ring_config config = stage_ring_config(q);

		config.event_idx = features & EVENT_IDX;
		config.table_entries = features & INDIRECT_DESC ? 8 : 0;
		rig_map(rig, config.iova, rig_ring_bytes(&config), config.gpa, PERM_RW);
		rig_ring_start(rig, q, &config);
	}
	rig_map(rig, DATA_IOVA(0), 64 * PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 150; i++) {
		unsigned q = i & 1, out = i * 3 % 30, in = 32 + i * 5 % 30;
		uint32_t len = 1 + i * 619 % (2 * PAGE);
		unsigned char *from = rig_ptr(rig, DATA_GPA(out) + i, len);

		for (uint32_t j = 0; j < len; j++)
			from[j] = (unsigned char)(i * 7 + j * 31);
		stage_ask_copy(rig, q, DATA_IOVA(out) + i, len, DATA_IOVA(in) + i / 2, len + 1, i);
		stage_expect_used(rig, q, i, len + 1);
		assert_memory_equal(rig_ptr(rig, DATA_GPA(in) + i / 2, len), from, len);
		if (i % 4 == 0)
			assert_int_equal(rig_invalidate(rig, DATA_IOVA(out), 2 * PAGE), 0);
		if (i % 32 == 31)
			assert_int_equal(rig_invalidate(rig, 0, 0), 0);
	}
	assert_int_equal(rig_refused(rig), 0);
	assert_int_equal(rig_stats(rig).ring_errors, 0);
	rig_free(rig);
}

static void traffic_in_a_plain_ring(void **state)
{
	traffic(state, 0);
}

static void traffic_with_event_idx(void **state)
{
	traffic(state, EVENT_IDX);
}

static void traffic_in_indirect_tables(void **state)
{
	traffic(state, INDIRECT_DESC);
}

static void traffic_with_both(void **state)
{
	traffic(state, INDIRECT_DESC | EVENT_IDX);
}

/*
 * The device reads the ring's own used index: of what is taken in one round much has
 * been shown before all of it is done.
 */
static void what_is_done_is_shown_within_a_round(void **state)
{
	struct rig_ring_config config = stage_ring_config(0);
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	uint64_t index = config.iova, bytes;
	uint16_t shown;

	config.num = 64;
	bytes = rig_ring_bytes(&config);
	index += rig_ring_used_offset(&config) + 2;
	assert_int_equal(rig_update(rig, config.iova, bytes, config.gpa, PERM_RW), 0);
	rig_ring_start(rig, 0, &config);
	stage_give(rig, 0, 1, PERM_RW);
	for (unsigned i = 0; i < 32; i++) {
		const struct vring_buffer buffers[] = { { index, 2, false },
			                                { DATA_IOVA(0) + 3 * i, 3, true } };

		rig_add(rig, 0, buffers, 2, TOKEN(i));
	}
	rig_kick(rig, 0);
	for (unsigned i = 0; i < 32; i++)
		stage_expect_used(rig, 0, i, 3);
	memcpy(&shown, rig_ptr(rig, DATA_GPA(0) + 3 * 31, 2), 2);
	assert_in_range(shown, 16, 31);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(V1_descriptors_are_copied_once),
		EACH(V1_a_parked_chain_holds_no_pointer),
		EACH(V1_a_parked_chain_is_translated_whole),
		EACH(V1_the_available_index_is_read_again_after_a_miss),
		EACH(S7_what_is_shown_while_a_parked_chain_is_issued_is_owed),
		EACH(an_indirect_table_is_translated_before_what_it_names),
		EACH(S2_the_tables_of_the_chains_behind_are_asked_for_too),
		EACH(S4b_a_refused_table_breaks_the_ring),
		EACH(S4b_a_refused_status_breaks_the_ring_and_no_other),
		EACH(S4b_what_was_issued_before_is_completed),
		EACH(what_is_done_is_shown_within_a_round),
		EACH(traffic_in_a_plain_ring),
		EACH(traffic_with_event_idx),
		EACH(traffic_in_indirect_tables),
		EACH(traffic_with_both),
	};

	return cmocka_run_group_tests_name("queue_chains", tests, NULL, NULL);
}
