/* SPDX-License-Identifier: BSD-3-Clause */
/* When everything is dropped, and when it is not: rule F1. */
#include <unistd.h>

#include "stage.h"

/* Whether data page 0 is known to queue 0: a request to it needs no miss. */
static void expect_known(struct rig *rig, bool known)
{
	struct rig_miss miss;

	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 77);
	if (!known) {
		miss = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
		stage_give(rig, 0, 1, PERM_RW);
		rig_answer(rig, &miss, 0);
	}
	stage_expect_used_quietly(rig, 0, 77, PAGE);
	rig_expect_no_miss(rig);
}

static struct rig *open_known(void **state, struct rig_config config)
{
	struct rig *rig = stage_open(state, config);

	stage_give(rig, 0, 1, PERM_RW);
	expect_known(rig, true);
	return rig;
}

static void F1_the_stop_of_the_last_ring_flushes(void **state)
{
	struct rig *rig = open_known(state, (struct rig_config){ 0 });

	stage_ring(rig, 1);
	rig_ring_stop(rig, 1);
	assert_int_equal(rig_stats(rig).iotlb_entries, 3);
	expect_known(rig, true);
	rig_ring_stop(rig, 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	stage_ring(rig, 0);
	expect_known(rig, false);
	rig_free(rig);
}

/* QEMU pushes the used rings' pages between the stop and the next start. */
static void F1_what_is_given_after_the_stop_stays(void **state)
{
	struct rig *rig = open_known(state, (struct rig_config){ 0 });

	rig_ring_stop(rig, 0);
	stage_give(rig, 0, 1, PERM_RW);
	/* An edge: stopping what does not run is none. */
	rig_get_vring_base(rig, 0);
	rig_get_vring_base(rig, 1);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, 0), 0);
	stage_ring(rig, 0);
	expect_known(rig, true);
	rig_free(rig);
}

static void F1_features_flush_while_no_ring_runs(void **state)
{
	struct rig *rig = open_known(state, (struct rig_config){ 0 });

	rig_set_features(rig, PLATFORM);
	expect_known(rig, true);
	rig_ring_stop(rig, 0);
	stage_give(rig, 0, 1, PERM_RW);
	rig_set_features(rig, PLATFORM);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	stage_ring(rig, 0);
	expect_known(rig, false);
	rig_free(rig);
}

static void F1_a_reset_flushes(void **state)
{
	struct rig *rig = open_known(state, (struct rig_config){ 0 });
	struct message message;

	stage_ring(rig, 1);
	message_init(&message, VHU_FE_RESET_DEVICE);
	assert_int_equal(rig_call(rig, &message), 0);
	assert_int_equal(rig_resets(rig), 1);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	stage_ring(rig, 0);
	expect_known(rig, false);
	rig_free(rig);
}

static void F1_the_next_front_end_finds_nothing(void **state)
{
	struct rig *rig = open_known(state, (struct rig_config){ .listen = true });

	for (unsigned i = 0; i < 3; i++) {
		rig_reconnect(rig);
		rig_open(rig, PLATFORM);
		rig->n_maps = 0;
		stage_ring(rig, 0);
		assert_int_equal(rig_stats(rig).iotlb_entries, 1);
		expect_known(rig, false);
	}
	rig_free(rig);
}

/* Two regions; the first holds ring and page 0, data page 600 is in the second. */
static struct rig *open_two(void **state)
{
	struct rig *rig = open_known(state, (struct rig_config){ .n_regions = 2 });

	assert_int_equal(rig_update(rig, DATA_IOVA(600), PAGE, DATA_GPA(600), PERM_RW), 0);
	assert_int_equal(rig_update(rig, DATA_IOVA(700), PAGE, DATA_GPA(1), PERM_RW), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 4);
	return rig;
}

static void F1_a_table_sent_again_drops_nothing(void **state)
{
	struct rig *rig = open_two(state);

	rig_share(rig);
	assert_int_equal(rig_stats(rig).iotlb_entries, 4);
	expect_known(rig, true);
	rig_free(rig);
}

static uint64_t remove_second(struct rig *rig)
{
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(rig->mem, &n);
	struct message message;

	message_init(&message, VHU_FE_REM_MEM_REG);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = (struct vhu_memory_region){ regions[1].gpa, regions[1].size,
		                                                    regions[1].uva, 0 };
	return rig_call(rig, &message);
}

static void F1_a_removed_region_takes_what_pointed_there(void **state)
{
	struct rig *rig = open_two(state);
	struct rig_miss miss;

	assert_int_equal(remove_second(rig), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 3);
	expect_known(rig, true);
	stage_ask(rig, 0, DATA_IOVA(600), PAGE, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(600), PERM_WRITE);
	/* It is no memory any more, until it is shared again. */
	assert_int_not_equal(rig_update(rig, DATA_IOVA(600), PAGE, DATA_GPA(600), PERM_RW), 0);
	rig_share(rig);
	assert_int_equal(rig_update(rig, DATA_IOVA(600), PAGE, DATA_GPA(600), PERM_RW), 0);
	rig_answer(rig, &miss, 0);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	stage_expect_filled(rig, DATA_GPA(600), PAGE);
	rig_free(rig);
}

/* The same numbers, but another file: it is other memory. */
static void F1_another_file_is_another_region(void **state)
{
	struct rig *rig = open_two(state);
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(rig->mem, &n);
	int fd = memfd_create("other", MFD_CLOEXEC);
	struct message message;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)regions[1].size), 0);
	message_init(&message, VHU_FE_SET_MEM_TABLE);
	message.payload.memory.n = message.n_fds = n;
	message.header.size = 8 + 32 * n;
	for (unsigned i = 0; i < n; i++) {
		message.payload.memory.regions[i] = (struct vhu_memory_region){ regions[i].gpa,
			                                                        regions[i].size,
			                                                        regions[i].uva, 0 };
		message.fds[i] = i ? fd : regions[i].fd;
	}
	assert_int_equal(rig_call(rig, &message), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 3);
	expect_known(rig, true);
	stage_ask(rig, 0, DATA_IOVA(600), PAGE, 1);
	stage_expect_miss(rig, DATA_IOVA(600), PERM_WRITE);
	fd_close(&fd);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(F1_the_stop_of_the_last_ring_flushes),
		EACH(F1_what_is_given_after_the_stop_stays),
		EACH(F1_features_flush_while_no_ring_runs),
		EACH(F1_a_reset_flushes),
		EACH(F1_the_next_front_end_finds_nothing),
		EACH(F1_a_table_sent_again_drops_nothing),
		EACH(F1_a_removed_region_takes_what_pointed_there),
		EACH(F1_another_file_is_another_region),
	};

	return cmocka_run_group_tests_name("iotlb_flush", tests, NULL, NULL);
}
