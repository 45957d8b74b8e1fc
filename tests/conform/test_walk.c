/* SPDX-License-Identifier: BSD-3-Clause */
/* Walks through what a front-end has said: which reply is to what, and what held when it came. */
#include "support/check.h"

#include <linux/virtio_config.h>
#include <stdlib.h>

#include "messages.h"
#include "observe.h"

#define PAGE 0x1000

static const struct conform_case some_case = { .id = "a.b" };

static struct back *new_back(void)
{
	struct back *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->trial = calloc(1, sizeof(*b->trial));
	assert_non_null(b->trial);
	b->trial->which = &some_case;
	assert_int_equal(record_init(&b->record), 0);
	assert_int_equal(held_init(&b->scratch), 0);
	record_start(&b->record, 0, 0);
	b->features = VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	return b;
}

static void free_back(struct back *b)
{
	evidence_done(&b->trial->evidence);
	free(b->trial);
	record_done(&b->record);
	held_done(&b->scratch);
	free(b);
}

static void from_it(struct back *b, struct message message)
{
	record_add(&b->record, MESSAGE_MAIN, false, &message);
}

static void miss(struct back *b, uint64_t iova, bool need_reply)
{
	struct message message = back_miss_message(iova, 0, PERM_READ);

	if (!need_reply)
		message.header.flags = VHU_FLAG_VERSION;
	record_add(&b->record, MESSAGE_BACK, true, &message);
}

static void reply(struct back *b, uint64_t value)
{
	struct message message = msg_u64(VHU_BE_IOTLB_MSG, value);

	message.header.flags |= VHU_FLAG_REPLY;
	record_add(&b->record, MESSAGE_BACK, false, &message);
}

static void replies_are_to_misses_in_their_order(void **state)
{
	struct back *b = new_back();
	struct vhu_iotlb asked;
	uint64_t value;
	struct walk w;

	(void)state;
	miss(b, 1 * PAGE, true);
	miss(b, 2 * PAGE, false); /* wants none */
	miss(b, 3 * PAGE, true);
	reply(b, 0);
	reply(b, 7);
	reply(b, 9); /* to nothing */
	walk_start(&w, b);
	assert_true(walk_next_answer(&w, &asked, &value));
	assert_int_equal(asked.iova, 1 * PAGE);
	assert_int_equal(value, 0);
	assert_true(walk_next_answer(&w, &asked, &value));
	assert_int_equal(asked.iova, 3 * PAGE);
	assert_int_equal(value, 7);
	assert_false(walk_next_answer(&w, &asked, &value));
	assert_int_equal(w.n_asked, 2);
	assert_int_equal(w.n_answered, 2);
	free_back(b);
}

/* What was asked on the old one is not answered on the new. */
static void a_new_back_channel_counts_anew(void **state)
{
	struct back *b = new_back();
	struct vhu_iotlb asked;
	uint64_t value;
	struct walk w;

	(void)state;
	miss(b, 1 * PAGE, true);
	from_it(b, msg_fd(VHU_FE_SET_BACKEND_REQ_FD, 0));
	miss(b, 2 * PAGE, true);
	reply(b, 0);
	walk_start(&w, b);
	assert_true(walk_next_answer(&w, &asked, &value));
	assert_int_equal(asked.iova, 2 * PAGE);
	free_back(b);
}

/* At each step it is as it was before the message. */
static void what_holds_is_what_was_said_before(void **state)
{
	const struct message ends[] = {
		msg_invalidate(PAGE, PAGE),        msg_invalidate(0, 0),
		msg_update(PAGE, PAGE, 0x5000, 0), msg_empty(VHU_FE_SET_MEM_TABLE),
		msg_empty(VHU_FE_RESET_DEVICE),    msg_state(VHU_FE_GET_VRING_BASE, 0, 0),
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		struct back *b = new_back();
		struct walk w;

		from_it(b, msg_vring_fd(VHU_FE_SET_VRING_KICK, 0, -1));
		from_it(b, msg_update(PAGE, PAGE, 0x5000, PERM_READ));
		from_it(b, ends[i]);
		from_it(b, msg_empty(VHU_FE_GET_STATUS));
		walk_start(&w, b);
		assert_true(walk_next(&w) && !told_any_started(&w.told));
		assert_true(walk_next(&w) && told_any_started(&w.told));
		assert_null(held_find(w.held, PAGE));
		assert_true(walk_next(&w));
		assert_non_null(held_find(w.held, PAGE));
		assert_true(walk_next(&w) && walk_at(&w, VHU_FE_GET_STATUS));
		assert_null(held_find(w.held, PAGE));
		assert_false(walk_next(&w));
		free_back(b);
	}
}

/* The bases of all but one ring are asked for while that one goes on. */
static void one_ring_that_runs_keeps_what_holds(void **state)
{
	struct back *b = new_back();
	struct walk w;

	(void)state;
	from_it(b, msg_vring_fd(VHU_FE_SET_VRING_KICK, 0, -1));
	from_it(b, msg_vring_fd(VHU_FE_SET_VRING_KICK, 1, -1));
	from_it(b, msg_update(PAGE, PAGE, 0x5000, PERM_READ));
	from_it(b, msg_state(VHU_FE_GET_VRING_BASE, 0, 0));
	walk_start(&w, b);
	while (walk_next(&w))
		;
	assert_non_null(held_find(w.held, PAGE));
	free_back(b);
}

static void a_walk_knows_whether_it_found_anything(void **state)
{
	struct back *b = new_back();
	struct vhu_iotlb asked;
	uint64_t value;
	struct walk w;

	(void)state;
	from_it(b, msg_update(PAGE, PAGE, 0x5000, PERM_READ));
	miss(b, PAGE, true);
	walk_start(&w, b);
	assert_true(b->walked && !b->found);
	while (walk_next(&w)) {
		assert_false(walk_at(&w, VHU_FE_SET_FEATURES));
		assert_false(walk_at_any(&w, MESSAGE_BACK)); /* which is ours */
	}
	walk_start(&w, b);
	assert_null(walk_next_iotlb(&w, VHU_IOTLB_INVALIDATE));
	walk_start(&w, b);
	assert_false(walk_next_answer(&w, &asked, &value));
	assert_false(b->found);
	walk_start(&w, b);
	assert_non_null(walk_next_iotlb(&w, VHU_IOTLB_UPDATE));
	assert_true(b->found);
	free_back(b);
}

static void walk_of_nothing(void *rig)
{
	struct walk w;

	walk_start(&w, rig);
}

static void walk_without_iommu(void *rig)
{
	struct walk w;

	walk_start_iommu(&w, rig);
}

static void walk_without_any(void *rig)
{
	struct walk w;

	walk_start(&w, rig);
	walk_expect_some(&w, 0, "pears", "there are no pears");
}

static void where_there_is_nothing_a_case_is_not_applicable(void **state)
{
	struct back *b = new_back();

	(void)state;
	trial_run(b->trial, walk_of_nothing, b);
	assert_int_equal(b->trial->verdict, VERDICT_NOT_APPLICABLE);
	assert_string_equal(b->trial->reason, "nothing was observed");
	from_it(b, msg_empty(VHU_FE_GET_FEATURES));
	trial_run(b->trial, walk_of_nothing, b);
	assert_int_equal(b->trial->verdict, VERDICT_PASS);
	trial_run(b->trial, walk_without_iommu, b);
	assert_int_equal(b->trial->verdict, VERDICT_PASS);
	b->features = 0;
	trial_run(b->trial, walk_without_iommu, b);
	assert_int_equal(b->trial->verdict, VERDICT_NOT_APPLICABLE);
	trial_run(b->trial, walk_without_any, b);
	assert_string_equal(b->trial->reason, "there are no pears");
	free_back(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_to_misses_in_their_order),
		cmocka_unit_test(a_new_back_channel_counts_anew),
		cmocka_unit_test(what_holds_is_what_was_said_before),
		cmocka_unit_test(one_ring_that_runs_keeps_what_holds),
		cmocka_unit_test(a_walk_knows_whether_it_found_anything),
		cmocka_unit_test(where_there_is_nothing_a_case_is_not_applicable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
