/* SPDX-License-Identifier: BSD-3-Clause */
/* INVALIDATE: rules I1 to I4, with a device that holds requests as a disk does. */
#include "stage.h"

static void expect_works(struct rig *rig, uint64_t iova, uint32_t len, unsigned n)
{
	stage_ask(rig, 0, iova, len, n);
	stage_expect_used_quietly(rig, 0, n, len);
}

static void I1_exactly_the_range_goes(void **state)
{
	static const struct {
		uint64_t start, last; /* distances from the data's start */
	} cases[] = {
		{ 2 * PAGE, 3 * PAGE - 1 },
		{ 2 * PAGE + 0x801, 4 * PAGE + 0x10 },
		{ 3 * PAGE, 3 * PAGE },
		{ 4 * PAGE - 1, 4 * PAGE },
	};
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t start = DATA_IOVA(0) + cases[i].start;
		uint64_t last = DATA_IOVA(0) + cases[i].last;
		struct rig_miss miss;

		stage_give(rig, 0, 8, PERM_RW);
		expect_works(rig, DATA_IOVA(0), 8 * PAGE, 1); /* all in the front cache */
		assert_int_equal(rig_invalidate(rig, start, last - start + 1), 0);
		expect_works(rig, start - 16, 16, 2);
		expect_works(rig, last + 1, 16, 3);
		/* The first and the last byte are gone, and all between. */
		stage_ask(rig, 0, start - 1, (uint32_t)(last - start + 3), 4);
		miss = stage_expect_miss(rig, start, PERM_WRITE);
		assert_int_equal(miss.size, last - start + 1);
		stage_give(rig, 0, 8, PERM_RW);
		do
			rig_answer(rig, &miss, 0);
		while (rig_try_miss(rig, &miss, PEER_QUIET));
		stage_expect_used_quietly(rig, 0, 4, (uint32_t)(last - start + 3));
	}
	rig_free(rig);
}

static void I1_size_0_is_a_full_flush_at_0_and_an_error_elsewhere(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 1, PERM_RW);
	assert_int_not_equal(rig_invalidate(rig, PAGE, 0), 0);
	assert_int_not_equal(rig_invalidate(rig, UINT64_MAX, 2), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 2);
	assert_int_equal(rig_invalidate(rig, 0, 0), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	rig_free(rig);
}

/* QEMU's flush leaves the interrupt range out. */
static void I1_a_flush_in_two_odd_ranges(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 1, PERM_RW);
	assert_int_equal(rig_update(rig, UINT64_C(0x1fee00000), PAGE, DATA_GPA(1), PERM_RW), 0);
	assert_int_equal(rig_invalidate(rig, 0, 0xfee00000), 0);
	assert_int_equal(rig_invalidate(rig, 0xfef00000, -UINT64_C(0xfef00000)), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	/* What nobody holds is gone already. */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(i), PAGE), 0);
	rig_free(rig);
}

/* Data of the tests below: in the second of two regions, which can be removed. */
#define REGION     (UINT64_C(4) << 20)
#define HELD_IOVA  DATA_IOVA(100)
#define HELD_GPA   (REGION + 8 * PAGE)
#define HELD_PAGES 4u

static void by_invalidate(struct rig *rig)
{
	rig_send_invalidate(rig, HELD_IOVA, HELD_PAGES * PAGE);
}

static void by_one_byte(struct rig *rig)
{
	rig_send_invalidate(rig, HELD_IOVA + 2 * PAGE + 5, 1);
}

static void by_flush(struct rig *rig)
{
	rig_send_invalidate(rig, 0, 0);
}

static void by_replacing(struct rig *rig)
{
	rig_send_update(rig, HELD_IOVA + PAGE, PAGE, DATA_GPA(0), PERM_RW);
}

static void by_less_permission(struct rig *rig)
{
	rig_send_update(rig, HELD_IOVA + PAGE, PAGE, HELD_GPA + PAGE, PERM_READ);
}

static void by_no_permission(struct rig *rig)
{
	rig_send_update(rig, HELD_IOVA + PAGE, PAGE, 0, 0);
}

static void send_acked(struct rig *rig, struct message *message)
{
	message->header.flags |= VHU_FLAG_NEED_REPLY;
	rig_send(rig, message);
}

static void by_removing_a_region(struct rig *rig)
{
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(rig->mem, &n);
	struct message message;

	message_init(&message, VHU_FE_REM_MEM_REG);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = (struct vhu_memory_region){ regions[1].gpa, regions[1].size,
		                                                    regions[1].uva, 0 };
	send_acked(rig, &message);
}

static void by_a_table_without_it(struct rig *rig)
{
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(rig->mem, &n);
	struct message message;

	message_init(&message, VHU_FE_SET_MEM_TABLE);
	message.header.size = 8 + 32;
	message.payload.memory.n = 1;
	message.payload.memory.regions[0] = (struct vhu_memory_region){ regions[0].gpa,
		                                                        regions[0].size,
		                                                        regions[0].uva, 0 };
	message.fds[0] = regions[0].fd;
	message.n_fds = 1;
	send_acked(rig, &message);
}

static const struct {
	void (*send)(struct rig *rig);
	uint32_t request;
	bool unmaps;
} ways[] = {
	{ by_invalidate, VHU_FE_IOTLB_MSG, false },
	{ by_one_byte, VHU_FE_IOTLB_MSG, false },
	{ by_flush, VHU_FE_IOTLB_MSG, false },
	{ by_replacing, VHU_FE_IOTLB_MSG, false },
	{ by_less_permission, VHU_FE_IOTLB_MSG, false },
	{ by_no_permission, VHU_FE_IOTLB_MSG, false },
	{ by_removing_a_region, VHU_FE_REM_MEM_REG, true },
	{ by_a_table_without_it, VHU_FE_SET_MEM_TABLE, true },
};

/* Queue 0 runs, and the device holds a request to the data. */
static struct rig *open_held(void **state, struct rig_config config)
{
	struct rig *rig;

	config.n_regions = 2;
	config.region_size = REGION;
	rig = stage_open(state, config);
	assert_int_equal(rig_update(rig, HELD_IOVA, HELD_PAGES * PAGE, HELD_GPA, PERM_RW), 0);
	stage_clear(rig, HELD_GPA, HELD_PAGES * PAGE);
	rig_hold(rig);
	stage_ask(rig, 0, HELD_IOVA, HELD_PAGES * PAGE, 1);
	rig_wait_submitted(rig, 1);
	return rig;
}

static void I2_the_reply_waits_for_issued_requests_whatever_removes(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		struct rig *rig = open_held(state, (struct rig_config){ 0 });

		ways[i].send(rig);
		rig_expect_silence(rig);
		stage_expect_clear(rig, HELD_GPA, HELD_PAGES * PAGE);
		rig_release(rig);
		assert_int_equal(rig_expect_u64(rig, ways[i].request), 0);
		/* It was not failed, and its writing was over before the reply. */
		stage_expect_filled(rig, HELD_GPA, HELD_PAGES * PAGE);
		stage_expect_used_quietly(rig, 0, 1, HELD_PAGES * PAGE);
		/* Nobody comes there again: not to read either. */
		if (!ways[i].unmaps)
			stage_trap(rig, HELD_GPA + PAGE);
		/* The ring may be among it; what it asks for is granted. */
		stage_give(rig, 0, 1, PERM_RW);
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, 2);
		stage_expect_used(rig, 0, 2, PAGE);
		rig_free(rig);
	}
}

static void I2_an_evicted_entry_in_use_is_waited_for(void **state)
{
	struct rig *rig = open_held(state, (struct rig_config){ .iotlb_entries = 2 });

	for (unsigned i = 0; i < 8; i++)
		stage_give(rig, 2 * i, 1, PERM_RW);
	assert_true(rig_stats(rig).evicted > 4);
	rig_send_invalidate(rig, HELD_IOVA + PAGE, PAGE);
	rig_expect_silence(rig);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	stage_expect_filled(rig, HELD_GPA, HELD_PAGES * PAGE);
	rig_free(rig);
}

static void I3_other_pages_are_answered_at_once(void **state)
{
	struct rig *rig = open_held(state, (struct rig_config){ 0 });

	stage_give(rig, 0, 1, PERM_RW);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	assert_int_equal(rig_invalidate(rig, HELD_IOVA - 1, 1), 0);
	assert_int_equal(rig_invalidate(rig, HELD_IOVA + HELD_PAGES * PAGE, PAGE), 0);
	/* Repeats replace nothing. */
	assert_int_equal(rig_update(rig, HELD_IOVA, HELD_PAGES * PAGE, HELD_GPA, PERM_RW), 0);
	assert_int_equal(rig_submitted(rig), 1);
	rig_free(rig);
}

/* While it waits the main channel waits behind it, but not the back-channel. */
static void I3_only_the_main_channel_waits(void **state)
{
	struct rig *rig = open_held(state, (struct rig_config){ 0 });
	struct message message;
	struct rig_miss miss;

	stage_ring(rig, 1);
	stage_give(rig, 1, 1, PERM_RW);
	by_invalidate(rig);
	message_init(&message, VHU_FE_GET_FEATURES);
	rig_send(rig, &message);
	rig_expect_silence(rig);
	/* Queue 1 asks, is refused, and gives its request back with an error. */
	stage_clear(rig, DATA_GPA(1), PAGE);
	stage_ask_copy(rig, 1, DATA_IOVA(0), 64, DATA_IOVA(1), 64, 7);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_READ);
	rig_refuse(rig, &miss);
	stage_expect_used_quietly(rig, 1, 7, 1);
	assert_int_equal(*(char *)rig_ptr(rig, DATA_GPA(1) + 63, 1), RIG_REFUSED);
	rig_expect_silence(rig);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	assert_true(rig_expect_u64(rig, VHU_FE_GET_FEATURES) & PLATFORM);
	rig_free(rig);
}

static void I3_it_waits_for_no_miss(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	rig_map(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
	assert_int_equal(rig_invalidate(rig, 0, 0), 0);
	/* The miss lives on (S9): it is not asked again, and its answer counts. */
	assert_true(rig_grant(rig, &miss));
	stage_expect_used(rig, 0, 1, PAGE);
	stage_expect_filled(rig, DATA_GPA(0), PAGE);
	rig_free(rig);
}

/* A lazy driver flushes its domain under live requests. */
static void I3_live_requests_survive_a_flush(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });

	rig_map(rig, DATA_IOVA(0), 8 * PAGE, DATA_GPA(0), PERM_RW);
	stage_give(rig, 0, 8, PERM_RW);
	rig_hold(rig);
	for (unsigned i = 0; i < 8; i++)
		stage_ask(rig, 0, DATA_IOVA(i), PAGE, i);
	rig_wait_submitted(rig, 8);
	by_flush(rig);
	rig_expect_silence(rig);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	for (unsigned i = 0; i < 8; i++) {
		stage_expect_used_quietly(rig, 0, i, PAGE);
		stage_expect_filled(rig, DATA_GPA(i), PAGE);
	}
	assert_int_equal(rig_refused(rig), 0);
	/* The ring was taken, too: it is asked for anew, and goes on. */
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 9);
	stage_expect_used(rig, 0, 9, PAGE);
	rig_free(rig);
}

static void I4_a_page_of_the_used_ring_drains_its_ring(void **state)
{
	struct rig *rig = open_held(state, (struct rig_config){ 0 });
	uint64_t used = RING_IOVA(0) + PAGE;
	uint32_t written;
	void *token;

	/* Another ring's pages are nothing to this one's requests. */
	stage_ring(rig, 1);
	assert_int_equal(rig_invalidate(rig, RING_IOVA(1) + PAGE, PAGE), 0);
	rig_send_invalidate(rig, used + 2, 1);
	rig_expect_silence(rig);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	/* The element went through the pointers of old, before the reply. */
	assert_true(rig_try_used(rig, 0, &token, &written));
	assert_ptr_equal(token, TOKEN(1));
	stage_expect_filled(rig, HELD_GPA, HELD_PAGES * PAGE);
	rig_free(rig);
}

/* The ring was busy, so more may be available without a kick: it is mapped again. */
static void I4_a_drained_ring_goes_on_where_its_pages_are_now(void **state)
{
	struct rig *rig = open_held(state, (struct rig_config){ 0 });
	uint64_t used = RING_IOVA(0) + PAGE;
	struct rig_miss miss;

	rig_send_invalidate(rig, used, PAGE);
	rig_expect_silence(rig);
	/* Not issued while the ring is on its way out, but not lost. */
	stage_ask(rig, 0, HELD_IOVA, PAGE, 2);
	poll(NULL, 0, PEER_QUIET);
	assert_int_equal(rig_submitted(rig), 1);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	miss = stage_expect_miss(rig, used, PERM_RW);
	assert_true(rig_grant(rig, &miss));
	stage_expect_used(rig, 0, 1, HELD_PAGES * PAGE);
	stage_expect_used(rig, 0, 2, PAGE);
	rig_free(rig);
}

/* Where the data pages are now: page i of iova at page where[i] of memory. */
#define MOVING 8u
#define PLACES 64u
#define HALF   (unsigned)(PAGE / 2)
#define ROUNDS 150u

static void move(struct rig *rig, unsigned where[MOVING], bool taken[PLACES], unsigned page)
{
	unsigned old = where[page], place = (old * 7 + page) % PLACES;

	rig_unmap(rig, DATA_IOVA(page), PAGE);
	assert_int_equal(rig_invalidate(rig, DATA_IOVA(page), PAGE), 0);
	stage_clear(rig, DATA_GPA(old), PAGE);
	taken[old] = false;
	while (taken[place] || place == old)
		place = (place + 1) % PLACES;
	taken[place] = true;
	where[page] = place;
	rig_map(rig, DATA_IOVA(page), PAGE, DATA_GPA(place), PERM_RW);
}

/* Pages move under running requests; where one has left nothing is written again. */
static void I2_under_load_nothing_is_written_where_a_page_was(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	unsigned where[MOVING];
	bool taken[PLACES] = { false };

	stage_ring(rig, 1);
	stage_clear(rig, DATA_GPA(0), PLACES * PAGE);
	for (unsigned i = 0; i < MOVING; i++) {
		where[i] = i;
		taken[i] = true;
		rig_map(rig, DATA_IOVA(i), PAGE, DATA_GPA(i), PERM_RW);
	}
	/* A half page for each queue. */
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned page = round % MOVING, old = where[page];

		for (unsigned i = 0; i < 4; i++)
			for (unsigned q = 0; q < 2; q++)
				stage_ask(rig, q, DATA_IOVA((page + 2 * i) % MOVING) + q * HALF,
				          HALF, round * 8 + q * 4 + i);
		move(rig, where, taken, page);
		for (unsigned q = 0; q < 2; q++)
			stage_expect_used_in_any_order(rig, q, round * 8 + q * 4, 4, HALF);
		stage_expect_clear(rig, DATA_GPA(old), PAGE);
	}
	for (unsigned place = 0; place < PLACES; place++)
		if (!taken[place])
			stage_expect_clear(rig, DATA_GPA(place), PAGE);
	assert_int_equal(rig_refused(rig), 0);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(I1_exactly_the_range_goes),
		EACH(I1_size_0_is_a_full_flush_at_0_and_an_error_elsewhere),
		EACH(I1_a_flush_in_two_odd_ranges),
		EACH(I2_the_reply_waits_for_issued_requests_whatever_removes),
		EACH(I2_an_evicted_entry_in_use_is_waited_for),
		EACH(I2_under_load_nothing_is_written_where_a_page_was),
		EACH(I3_other_pages_are_answered_at_once),
		EACH(I3_only_the_main_channel_waits),
		EACH(I3_it_waits_for_no_miss),
		EACH(I3_live_requests_survive_a_flush),
		EACH(I4_a_page_of_the_used_ring_drains_its_ring),
		EACH(I4_a_drained_ring_goes_on_where_its_pages_are_now),
	};

	return cmocka_run_group_tests_name("iotlb_invalidate", tests, NULL, NULL);
}
