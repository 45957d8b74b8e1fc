/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What translations cost in system calls. A front-end that has much to say says
 * it in one call, and is heard and answered in as few.
 */
#include "stage.h"

/* Every other page, so that nothing merges. */
#define SCATTERED(i) (2 * (i))

/* Messages that go out in one call. */
struct crowd {
	unsigned char bytes[64 * 64];
	size_t len;
};

static void crowd_add(struct crowd *crowd, const struct vhu_header *header, const void *payload)
{
	assert_true(crowd->len + sizeof(*header) + header->size <= sizeof(crowd->bytes));
	memcpy(crowd->bytes + crowd->len, header, sizeof(*header));
	memcpy(crowd->bytes + crowd->len + sizeof(*header), payload, header->size);
	crowd->len += sizeof(*header) + header->size;
}

static void crowd_send(struct crowd *crowd, int fd)
{
	assert_int_equal(peer_send_bytes(fd, crowd->bytes, crowd->len), 0);
	crowd->len = 0;
}

static void add_iotlb(struct crowd *crowd, const struct rig *rig, uint8_t type, unsigned page)
{
	const struct vhu_header header = { VHU_FE_IOTLB_MSG, VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY,
		                           sizeof(struct vhu_iotlb) };
	const struct vhu_iotlb iotlb = {
		.iova = DATA_IOVA(page),
		.size = PAGE,
		.uaddr = rig_user_address(rig, DATA_GPA(page)),
		.perm = PERM_RW,
		.type = type,
	};

	crowd_add(crowd, &header, &iotlb);
}

static void add_reply(struct crowd *crowd, const struct rig_miss *miss)
{
	const struct vhu_header header = { miss->header.request, VHU_FLAG_VERSION | VHU_FLAG_REPLY,
		                           sizeof(uint64_t) };
	const uint64_t zero = 0;

	crowd_add(crowd, &header, &zero);
}

static void one_read_and_one_send_for_an_invalidation(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct vhu_stats before, after;

	/* The first is read in two parts: nothing has said that translations come. */
	stage_give(rig, 0, 1, PERM_RW);
	before = rig_stats(rig);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(rig_invalidate(rig, DATA_IOVA(0), PAGE), 0);
		stage_give(rig, 0, 1, PERM_RW);
	}
	after = rig_stats(rig);
	assert_int_equal(after.main_reads - before.main_reads, 100);
	assert_int_equal(after.main_sends - before.main_sends, 100);
	rig_free(rig);
}

static void start_ring(struct rig *rig)
{
	const struct rig_ring_config config = { .num = 128,
		                                .gpa = RING_GPA(0),
		                                .iova = RING_IOVA(0) };
	uint64_t bytes = rig_ring_bytes(&config);

	assert_int_equal(rig_update(rig, config.iova, bytes, config.gpa, PERM_RW), 0);
	rig_ring_start(rig, 0, &config);
}

/* Grants @n misses: updates in one call, then replies in one; as many acknowledgements come. */
static void grant_together(struct rig *rig, const struct rig_miss *misses, unsigned n)
{
	struct crowd crowd = { .len = 0 };

	for (unsigned i = 0; i < n; i++) {
		unsigned page = (unsigned)((misses[i].iova - DATA_IOVA(0)) / PAGE);

		add_iotlb(&crowd, rig, VHU_IOTLB_UPDATE, page);
	}
	crowd_send(&crowd, rig->main);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	for (unsigned i = 0; i < n; i++)
		add_reply(&crowd, &misses[i]);
	crowd_send(&crowd, rig->back);
}

static void S2_a_request_of_32_pages_is_asked_for_and_answered_at_once(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct vring_buffer buffers[32];
	struct vhu_stats before, after;
	struct rig_miss misses[32];

	start_ring(rig);
	for (unsigned i = 0; i < 32; i++)
		buffers[i] = (struct vring_buffer){ DATA_IOVA(SCATTERED(i)), 64, true };
	before = rig_stats(rig);
	rig_add(rig, 0, buffers, 32, TOKEN(1));
	rig_kick(rig, 0);
	for (unsigned i = 0; i < 32; i++)
		misses[i] = stage_expect_miss(rig, DATA_IOVA(SCATTERED(i)), PERM_WRITE);
	grant_together(rig, misses, 32);
	stage_expect_used_quietly(rig, 0, 1, 32 * 64);
	after = rig_stats(rig);
	assert_int_equal(after.misses - before.misses, 32);
	assert_int_equal(after.back_sends - before.back_sends, 1);
	assert_in_range(after.main_sends - before.main_sends, 1, 2);
	/* The first, before anything is asked, finds nothing. */
	assert_in_range(after.main_reads - before.main_reads, 2, 3);
	assert_in_range(after.back_reads - before.back_reads, 1, 2);
	rig_free(rig);
}

static void S2_chains_behind_are_asked_for_in_the_same_call(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_miss misses[60];
	struct vhu_stats before;

	start_ring(rig);
	before = rig_stats(rig);
	for (unsigned n = 0; n < 4; n++) {
		struct vring_buffer buffers[15];

		for (unsigned i = 0; i < 15; i++)
			buffers[i] = (struct vring_buffer){ DATA_IOVA(SCATTERED(15 * n + i)), 64,
				                            true };
		rig_add(rig, 0, buffers, 15, TOKEN(n));
	}
	rig_kick(rig, 0);
	for (unsigned i = 0; i < 60; i++)
		misses[i] = stage_expect_miss(rig, DATA_IOVA(SCATTERED(i)), PERM_WRITE);
	assert_int_equal(rig_stats(rig).back_sends - before.back_sends, 1);
	grant_together(rig, misses, 60);
	stage_expect_used_in_any_order(rig, 0, 0, 4, 15 * 64);
	rig_free(rig);
}

/* What waits for issued I/O keeps back what is behind it, and nothing before it. */
static void a_deferred_reply_sends_what_is_before_it(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct crowd crowd = { .len = 0 };

	stage_give(rig, 0, 1, PERM_RW);
	rig_hold(rig);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	rig_wait_submitted(rig, 1);
	add_iotlb(&crowd, rig, VHU_IOTLB_UPDATE, 1);
	add_iotlb(&crowd, rig, VHU_IOTLB_UPDATE, 2);
	add_iotlb(&crowd, rig, VHU_IOTLB_INVALIDATE, 0);
	add_iotlb(&crowd, rig, VHU_IOTLB_UPDATE, 3);
	add_iotlb(&crowd, rig, VHU_IOTLB_INVALIDATE, 1);
	crowd_send(&crowd, rig->main);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	rig_expect_silence(rig);
	assert_int_equal(rig_stats(rig).invalidations, 1);
	rig_release(rig);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	stage_expect_used(rig, 0, 1, PAGE);
	rig_free(rig);
}

/* What comes while an operation is under way is noticed once, and read when it is over. */
static void messages_behind_a_deferred_reply_are_read_when_it_is_over(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct vhu_stats before;

	stage_give(rig, 0, 1, PERM_RW);
	rig_hold(rig);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	rig_wait_submitted(rig, 1);
	rig_send_invalidate(rig, DATA_IOVA(0), PAGE);
	rig_expect_silence(rig);
	before = rig_stats(rig);
	rig_send_update(rig, DATA_IOVA(1), PAGE, DATA_GPA(1), PERM_RW);
	rig_send_update(rig, DATA_IOVA(2), PAGE, DATA_GPA(2), PERM_RW);
	rig_expect_silence(rig);
	assert_int_equal(rig_stats(rig).main_reads, before.main_reads);
	rig_release(rig);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	assert_in_range(rig_stats(rig).main_reads - before.main_reads, 1, 2);
	stage_expect_used(rig, 0, 1, PAGE);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(one_read_and_one_send_for_an_invalidation),
		EACH(S2_a_request_of_32_pages_is_asked_for_and_answered_at_once),
		EACH(S2_chains_behind_are_asked_for_in_the_same_call),
		EACH(a_deferred_reply_sends_what_is_before_it),
		EACH(messages_behind_a_deferred_reply_are_read_when_it_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
