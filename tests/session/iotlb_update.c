/* SPDX-License-Identifier: BSD-3-Clause */
/* UPDATE: rules U1 to U7, as a front-end sees them. */
#include <errno.h>

#include "stage.h"

/* Data page 0 is where it was: a request to it needs nothing more. */
static void expect_page_kept(struct rig *rig, unsigned page, unsigned n)
{
	stage_clear(rig, DATA_GPA(page), PAGE);
	stage_ask(rig, 0, DATA_IOVA(page), PAGE, n);
	stage_expect_used_quietly(rig, 0, n, PAGE);
	stage_expect_filled(rig, DATA_GPA(page), PAGE);
	rig_expect_no_miss(rig);
}

static void U1_what_is_not_all_in_shared_memory_is_refused(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	const struct {
		uint64_t iova, size, gpa;
	} cases[] = {
		{ DATA_IOVA(0), 0, DATA_GPA(5) },
		{ 0, 0, DATA_GPA(5) },
		{ UINT64_MAX - PAGE + 1, 2 * PAGE, DATA_GPA(5) },
		{ DATA_IOVA(0), UINT64_MAX, DATA_GPA(5) },
		{ DATA_IOVA(0), 2 * PAGE, rig->memory_size - PAGE },
		{ DATA_IOVA(0), 1, rig->memory_size },
		{ DATA_IOVA(0), PAGE, UINT64_C(0) - PAGE },
		{ DATA_IOVA(0), 2, UINT64_MAX },
		{ DATA_IOVA(0), PAGE, -(uintptr_t)rig->memory },
		{ DATA_IOVA(0), PAGE, -(uintptr_t)rig->memory - PAGE },
	};

	stage_give(rig, 0, 1, PERM_RW);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_not_equal(
			rig_update(rig, cases[i].iova, cases[i].size, cases[i].gpa, PERM_RW), 0);
	expect_page_kept(rig, 0, 1);
	assert_int_equal(rig_stats(rig).iotlb_entries, 2);
	rig_free(rig);
}

static void U1_a_range_may_cross_adjacent_regions(void **state)
{
	struct rig *rig = stage_open(
		state, (struct rig_config){ .n_regions = 4, .region_size = UINT64_C(1) << 20 });
	uint64_t edge = UINT64_C(3) << 20, start = edge - PAGE - 100;
	uint32_t len = 2 * PAGE;

	/* Not page by page, to make sure of the pieces. */
	assert_int_equal(rig_update(rig, DATA_IOVA(0) + 7, len, start, PERM_RW), 0);
	stage_clear(rig, start - 8, len + 16);
	stage_ask(rig, 0, DATA_IOVA(0) + 7, len, 1);
	stage_expect_used_quietly(rig, 0, 1, len);
	stage_expect_filled(rig, start, len);
	stage_expect_clear(rig, start - 8, 8);
	stage_expect_clear(rig, start + len, 8);
	rig_free(rig);
}

static void U2_newest_update_wins(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 4, PERM_RW);
	/* The middle goes elsewhere, cut where no page ends; repeated, it is the same. */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_update(rig, DATA_IOVA(1) + 10, PAGE, DATA_GPA(20), PERM_RW),
		                 0);
	stage_clear(rig, DATA_GPA(0), 4 * PAGE);
	stage_clear(rig, DATA_GPA(20), 2 * PAGE);
	stage_ask(rig, 0, DATA_IOVA(0), 4 * PAGE, 1);
	stage_expect_used_quietly(rig, 0, 1, 4 * PAGE);
	assert_int_equal(*(unsigned char *)rig_ptr(rig, DATA_GPA(1) + 9, 1), RIG_FILL);
	stage_expect_clear(rig, DATA_GPA(1) + 10, PAGE);
	assert_int_equal(*(unsigned char *)rig_ptr(rig, DATA_GPA(2) + 10, 1), RIG_FILL);
	assert_int_equal(*(unsigned char *)rig_ptr(rig, DATA_GPA(20), 1), RIG_FILL);
	assert_int_equal(*(unsigned char *)rig_ptr(rig, DATA_GPA(21) - 1, 1), RIG_FILL);
	stage_expect_clear(rig, DATA_GPA(21), PAGE);
	assert_int_equal(*(unsigned char *)rig_ptr(rig, DATA_GPA(4) - 1, 1), RIG_OK);
	rig_expect_no_miss(rig);
	rig_free(rig);
}

/* The front cache knows the old one, which the update must take from it. */
static void U2_what_was_used_already_is_replaced(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 1, PERM_RW);
	expect_page_kept(rig, 0, 1);
	assert_int_equal(rig_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(9), PERM_RW), 0);
	stage_clear(rig, DATA_GPA(0), PAGE);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 2);
	stage_expect_used_quietly(rig, 0, 2, PAGE);
	stage_expect_filled(rig, DATA_GPA(9), PAGE);
	stage_expect_clear(rig, DATA_GPA(0), PAGE);
	/* A permission that is lost is lost at once. */
	assert_int_equal(rig_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(9), PERM_READ), 0);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 3);
	stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	rig_free(rig);
}

static void U3_any_size_and_alignment(void **state)
{
	static const struct {
		uint64_t iova;
		uint32_t len;
	} cases[] = {
		{ 0, 1 },
		{ 0, 4096 },
		{ 1, 4096 },
		{ 0xfff, 2 },
		{ 0x12345, 0x6789 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 0x1233, 0x1234 },
	};
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t gpa = DATA_GPA(8) + 0x123 * i;

		stage_clear(rig, gpa - 1, cases[i].len + 2);
		assert_int_equal(rig_update(rig, cases[i].iova, cases[i].len, gpa, PERM_RW), 0);
		stage_ask(rig, 0, cases[i].iova, cases[i].len, i);
		stage_expect_used_quietly(rig, 0, i, cases[i].len);
		stage_expect_filled(rig, gpa, cases[i].len);
		stage_expect_clear(rig, gpa - 1, 1);
		stage_expect_clear(rig, gpa + cases[i].len, 1);
		assert_int_equal(rig_invalidate(rig, cases[i].iova, cases[i].len), 0);
	}
	rig_expect_no_miss(rig);
	rig_free(rig);
}

/* A chain byte by byte: as many entries as bytes. */
static void U3_entries_of_single_bytes(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	unsigned char *bytes = rig_ptr(rig, DATA_GPA(0), PAGE);

	stage_clear(rig, DATA_GPA(0), PAGE);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(
			rig_update(rig, DATA_IOVA(0) + i, 1, DATA_GPA(0) + 64 - 3 * i, PERM_WRITE),
			0);
	stage_ask(rig, 0, DATA_IOVA(0), 8, 1);
	stage_expect_used_quietly(rig, 0, 1, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(bytes[64 - 3 * i], i < 7 ? RIG_FILL : RIG_OK);
	stage_expect_clear(rig, DATA_GPA(0) + 65, PAGE - 65);
	rig_free(rig);
}

static void U3_only_equal_neighbours_merge(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < 300; i++)
		stage_give(rig, i, 1, PERM_RW);
	assert_int_equal(rig_stats(rig).iotlb_entries, 1);
	stage_give(rig, 300, 1, PERM_READ); /* another permission */
	assert_int_equal(rig_stats(rig).iotlb_entries, 2);
	assert_int_equal(rig_update(rig, DATA_IOVA(301), PAGE, DATA_GPA(302), PERM_READ), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 3);
	stage_give(rig, 303, 1, PERM_READ); /* a gap */
	assert_int_equal(rig_stats(rig).iotlb_entries, 4);
	rig_free(rig);
}

static void U4_permission_0_removes(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 3, PERM_RW);
	expect_page_kept(rig, 1, 1);
	/* Also with a user address that is nowhere. */
	assert_int_equal(rig_update(rig, DATA_IOVA(1), PAGE, rig->memory_size, 0), 0);
	expect_page_kept(rig, 0, 2);
	expect_page_kept(rig, 2, 3);
	stage_ask(rig, 0, DATA_IOVA(1), PAGE, 4);
	stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	/* Of nothing, too. */
	assert_int_equal(rig_update(rig, DATA_IOVA(50), PAGE, 0, 0), 0);
	assert_int_not_equal(rig_update(rig, DATA_IOVA(50), 0, 0, 0), 0);
	rig_free(rig);
}

static void U4_unknown_permissions_are_refused(void **state)
{
	static const uint8_t perms[] = { 4, 5, 7, 0x80, 0xff };
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 1, PERM_RW);
	for (unsigned i = 0; i < ARRAY_SIZE(perms); i++)
		assert_int_not_equal(rig_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(9), perms[i]), 0);
	expect_page_kept(rig, 0, 1);
	rig_free(rig);
}

static void U5_what_is_given_before_the_start_is_used(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 1, PERM_RW);
	stage_ring(rig, 0);
	expect_page_kept(rig, 0, 1);
	assert_int_equal(rig_stats(rig).misses, 0);
	/* And while it runs, unasked. */
	stage_give(rig, 1, 1, PERM_RW);
	expect_page_kept(rig, 1, 2);
	rig_free(rig);
}

/* It would be an update by another way, past the order of the main channel. */
static void U6_no_entry_comes_by_the_back_channel(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct message message;

	message_init(&message, VHU_FE_IOTLB_MSG);
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb = (struct vhu_iotlb){
		.iova = DATA_IOVA(0),
		.size = PAGE,
		.uaddr = rig_user_address(rig, DATA_GPA(0)),
		.perm = PERM_RW,
		.type = VHU_IOTLB_UPDATE,
	};
	assert_int_equal(peer_send(rig->back, &message), 0);
	/* It is no reply, so the channel is closed, and what needs it fails. */
	assert_int_equal(peer_recv(rig->back, &message, PEER_PATIENCE), -ENOTCONN);
	assert_int_equal(rig_stats(rig).iotlb_entries, 1);
	stage_give(rig, 1, 1, PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(1), PAGE, 1);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	stage_expect_filled(rig, DATA_GPA(1), PAGE);
	rig_free(rig);
}

static void U6_messages_work_in_their_order(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < 40; i++) {
		rig_send_update(rig, DATA_IOVA(0), 2 * PAGE, DATA_GPA(10), PERM_RW);
		rig_send_invalidate(rig, DATA_IOVA(0), 2 * PAGE);
		rig_send_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(20), PERM_RW);
		rig_send_update(rig, DATA_IOVA(0), PAGE, rig->memory_size, PERM_RW);
		for (unsigned reply = 0; reply < 4; reply++)
			assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG) != 0, reply == 3);
		stage_clear(rig, DATA_GPA(20), PAGE);
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, i);
		stage_expect_used_quietly(rig, 0, i, PAGE);
		stage_expect_filled(rig, DATA_GPA(20), PAGE);
	}
	stage_ask(rig, 0, DATA_IOVA(1), PAGE, 99);
	stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	rig_free(rig);
}

static void U7_a_user_address_may_be_guest_physical(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ .gpa_addresses = true });
	struct message message;

	stage_give(rig, 0, 1, PERM_RW);
	expect_page_kept(rig, 0, 1);
	/* The address in this process means nothing there. */
	message_init(&message, VHU_FE_IOTLB_MSG);
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb = (struct vhu_iotlb){
		.iova = DATA_IOVA(1),
		.size = PAGE,
		.uaddr = (uintptr_t)rig_ptr(rig, DATA_GPA(1), PAGE),
		.perm = PERM_RW,
		.type = VHU_IOTLB_UPDATE,
	};
	assert_int_not_equal(rig_call(rig, &message), 0);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(U1_what_is_not_all_in_shared_memory_is_refused),
		EACH(U1_a_range_may_cross_adjacent_regions),
		EACH(U2_newest_update_wins),
		EACH(U2_what_was_used_already_is_replaced),
		EACH(U3_any_size_and_alignment),
		EACH(U3_entries_of_single_bytes),
		EACH(U3_only_equal_neighbours_merge),
		EACH(U4_permission_0_removes),
		EACH(U4_unknown_permissions_are_refused),
		EACH(U5_what_is_given_before_the_start_is_used),
		EACH(U6_no_entry_comes_by_the_back_channel),
		EACH(U6_messages_work_in_their_order),
		EACH(U7_a_user_address_may_be_guest_physical),
	};

	return cmocka_run_group_tests_name("iotlb_update", tests, NULL, NULL);
}
