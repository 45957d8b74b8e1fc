/* SPDX-License-Identifier: BSD-3-Clause */
/* Who notifies whom, and when not. */
#include "rig.h"

#include "vring/notify.h"

#define NUM 16u

static void an_event_is_passed_in_old_to_new(void **state)
{
	static const struct {
		uint16_t event, new, old;
		bool passed;
	} cases[] = {
		{ 0, 1, 0, true },
		{ 1, 1, 0, false },
		{ 0xffff, 1, 0, false },
		{ 5, 5, 5, false },
		{ 4, 5, 5, false },
		{ 9, 10, 5, true },
		{ 5, 10, 5, true },
		{ 4, 10, 5, false },
		{ 10, 10, 5, false },
		{ 0xffff, 0, 0xffff, true },
		{ 0, 0, 0xffff, false },
		{ 0xfffe, 0, 0xffff, false },
		{ 0, 3, 0xfffd, true },
		{ 0xfffd, 3, 0xfffd, true },
		{ 2, 3, 0xfffd, true },
		{ 3, 3, 0xfffd, false },
		{ 0xfffc, 3, 0xfffd, false },
		{ 0x8000, 0x8001, 0x7fff, true },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(notify_passed(cases[i].event, cases[i].new, cases[i].old),
		                 cases[i].passed);
}

/* Every event against a few steps, by counting. */
static void an_event_is_passed_when_a_step_takes_it(void **state)
{
	static const uint16_t olds[] = { 0, 1, 0x7fff, 0x8000, 0xfff0, 0xffff };

	(void)state;
	for (unsigned i = 0; i < sizeof(olds) / sizeof(olds[0]); i++) {
		for (uint16_t step = 0; step < 40; step++) {
			for (unsigned event = 0; event <= UINT16_MAX; event++) {
				uint16_t distance = (uint16_t)(event - olds[i]);

				assert_int_equal(notify_passed((uint16_t)event,
				                               (uint16_t)(olds[i] + step), olds[i]),
				                 distance < step);
			}
		}
	}
}

/* Serves @n chains of one empty descriptor. */
static void put_some(struct rig *rig, uint16_t n)
{
	struct chain chain = { 0 };

	rig_set_avail(rig, (uint16_t)(rig->ring.next_avail + n));
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(vring_take(&rig->ring, &chain), 1);
		vring_put(&rig->ring, chain.head, 0);
	}
	vring_publish(&rig->ring);
	chain_done(&chain);
}

static void start_at(struct rig *rig, enum rig_cut cut, bool event_idx, uint16_t index)
{
	rig_init(rig, cut, true);
	rig->config = rig_config(rig, NUM, event_idx, false);
	rig_set16(rig, RIG_USED + RING_INDEX_OFFSET, index);
	rig_set16(rig, RIG_AVAIL + RING_INDEX_OFFSET, index);
	rig->config.avail_base = index;
	assert_int_equal(vring_start(&rig->ring, &rig->config), 0);
	assert_int_equal(vring_map(&rig->ring, &rig->view, &rig->holes), 0);
}

static void set_used_event(struct rig *rig, uint16_t event)
{
	rig_set16(rig, RIG_AVAIL + used_event_offset(NUM), event);
}

static void calls_follow_the_event_index(void **state)
{
	static const uint16_t starts[] = { 0, 100, 0xfffc };

	(void)state;
	for (unsigned i = 0; i < 3 * RIG_CUTS; i++) {
		uint16_t at = starts[i / RIG_CUTS];
		struct rig rig;

		start_at(&rig, i % RIG_CUTS, true, at);
		/* Nobody knows what was told before the start. */
		set_used_event(&rig, (uint16_t)(at - 5));
		put_some(&rig, 1);
		assert_true(vring_wants_call(&rig.ring));
		/* at + 1 elements shown; wanted with the one that makes at + 4. */
		set_used_event(&rig, (uint16_t)(at + 3));
		assert_false(vring_wants_call(&rig.ring));
		put_some(&rig, 2);
		assert_false(vring_wants_call(&rig.ring));
		put_some(&rig, 2);
		assert_true(vring_wants_call(&rig.ring));
		assert_false(vring_wants_call(&rig.ring));
		put_some(&rig, 3);
		assert_false(vring_wants_call(&rig.ring));
		rig_done(&rig);
	}
}

static void calls_follow_the_flag(void **state)
{
	struct rig rig;

	(void)state;
	start_at(&rig, RIG_BYTES, false, 0);
	put_some(&rig, 1);
	assert_true(vring_wants_call(&rig.ring));
	assert_false(vring_wants_call(&rig.ring));
	rig_set16(&rig, RIG_AVAIL + RING_FLAGS_OFFSET, AVAIL_NO_CALL);
	put_some(&rig, 1);
	assert_false(vring_wants_call(&rig.ring));
	rig_set16(&rig, RIG_AVAIL + RING_FLAGS_OFFSET, 0xfffe);
	put_some(&rig, 1);
	assert_true(vring_wants_call(&rig.ring));
	rig_done(&rig);
}

static void without_event_idx_the_flag_holds_from_the_first_time(void **state)
{
	struct rig rig;

	(void)state;
	start_at(&rig, RIG_IDENTITY, false, 0);
	rig_set16(&rig, RIG_AVAIL + RING_FLAGS_OFFSET, AVAIL_NO_CALL);
	put_some(&rig, 1);
	assert_false(vring_wants_call(&rig.ring));
	rig_done(&rig);
}

static void S7_in_doubt_the_driver_is_called(void **state)
{
	(void)state;
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		struct rig rig;

		start_at(&rig, RIG_PAGEWISE, event_idx, 0);
		put_some(&rig, 1);
		vring_wants_call(&rig.ring);
		/* The driver wants none. */
		set_used_event(&rig, 0x8000);
		rig_set16(&rig, RIG_AVAIL + RING_FLAGS_OFFSET, AVAIL_NO_CALL);
		put_some(&rig, 1);
		vring_unmap(&rig.ring);
		assert_true(vring_wants_call(&rig.ring));
		/* That was a decision like any other. */
		assert_false(vring_wants_call(&rig.ring));
		assert_int_equal(vring_map(&rig.ring, &rig.view, &rig.holes), 0);
		put_some(&rig, 1);
		assert_false(vring_wants_call(&rig.ring));
		rig_done(&rig);
	}
}

/* A caller that did not ask for 65536 elements has lost count. */
static void once_around_without_a_decision_is_doubt(void **state)
{
	struct rig rig;

	(void)state;
	start_at(&rig, RIG_IDENTITY, true, 0);
	put_some(&rig, 1);
	assert_true(vring_wants_call(&rig.ring));
	set_used_event(&rig, 1);
	for (unsigned i = 0; i < 65536 / NUM; i++)
		put_some(&rig, NUM);
	assert_int_equal(rig.ring.published, rig.ring.called);
	assert_true(vring_wants_call(&rig.ring));
	rig_done(&rig);
}

static void arming_states_the_next_index(void **state)
{
	(void)state;
	for (enum rig_cut cut = 0; cut < RIG_CUTS; cut++) {
		uint32_t event = RIG_USED + avail_event_offset(NUM);
		struct rig rig;

		start_at(&rig, cut, true, 0xffff);
		assert_false(vring_arm(&rig.ring));
		assert_int_equal(rig_get16(&rig, event), 0xffff);
		vring_quiet(&rig.ring);
		assert_int_equal(rig_get16(&rig, event), 0xffff);
		assert_int_equal(rig_get16(&rig, RIG_USED + RING_FLAGS_OFFSET), 0);
		/* What came in between is told. */
		rig_set_avail(&rig, 0);
		assert_true(vring_arm(&rig.ring));
		rig_done(&rig);
	}
}

static void arming_without_event_idx_clears_the_flag(void **state)
{
	(void)state;
	for (enum rig_cut cut = 0; cut < RIG_CUTS; cut++) {
		uint32_t flags = RIG_USED + RING_FLAGS_OFFSET;
		struct rig rig;

		start_at(&rig, cut, false, 0);
		/* Behind the ring begins what is not ours. */
		rig_set16(&rig, RIG_USED + avail_event_offset(NUM), 0xabcd);
		vring_quiet(&rig.ring);
		assert_int_equal(rig_get16(&rig, flags), USED_NO_KICK);
		assert_false(vring_arm(&rig.ring));
		assert_int_equal(rig_get16(&rig, flags), 0);
		rig_set_avail(&rig, 1);
		assert_true(vring_arm(&rig.ring));
		assert_int_equal(rig_get16(&rig, RIG_USED + avail_event_offset(NUM)), 0xabcd);
		rig_done(&rig);
	}
}

/* Whoever waits for a ring to have work hears of a fault as of work, but once. */
static void arming_a_ring_with_a_fault(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	start_at(&rig, RIG_IDENTITY, true, 0);
	rig_set_avail(&rig, NUM + 1);
	assert_true(vring_arm(&rig.ring));
	assert_int_equal(vring_take(&rig.ring, &chain), -EPROTO);
	assert_false(vring_arm(&rig.ring));
	chain_done(&chain);
	rig_done(&rig);
}

static void arming_after_a_rewind_tells_of_what_was_rewound(void **state)
{
	struct chain chain = { 0 };
	struct rig rig;

	(void)state;
	start_at(&rig, RIG_IDENTITY, true, 0);
	rig_set_avail(&rig, 1);
	assert_int_equal(vring_take(&rig.ring, &chain), 1);
	assert_false(vring_arm(&rig.ring));
	vring_untake(&rig.ring, 1);
	assert_true(vring_arm(&rig.ring));
	chain_done(&chain);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_passed_in_old_to_new),
		cmocka_unit_test(an_event_is_passed_when_a_step_takes_it),
		cmocka_unit_test(calls_follow_the_event_index),
		cmocka_unit_test(calls_follow_the_flag),
		cmocka_unit_test(without_event_idx_the_flag_holds_from_the_first_time),
		cmocka_unit_test(S7_in_doubt_the_driver_is_called),
		cmocka_unit_test(once_around_without_a_decision_is_doubt),
		cmocka_unit_test(arming_states_the_next_index),
		cmocka_unit_test(arming_without_event_idx_clears_the_flag),
		cmocka_unit_test(arming_a_ring_with_a_fault),
		cmocka_unit_test(arming_after_a_rewind_tells_of_what_was_rewound),
	};

	return cmocka_run_group_tests_name("vring/notify", tests, NULL, NULL);
}
