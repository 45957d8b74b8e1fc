/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory table: what is refused, what is kept, what happens to rings that run. */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

#define MIB   (UINT64_C(1) << 20)
#define RING  UINT64_C(0x100000)
#define DATA  UINT64_C(0x200000)
#define OTHER UINT64_C(0x40000000) /* gpa and uva of memory of the test's own */
#define IOVA  UINT64_C(0x700000000)

static int make_file(uint64_t size)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct vhu_memory_region region(uint64_t addr, uint64_t size)
{
	return (struct vhu_memory_region){ .gpa = addr, .size = size, .uva = addr };
}

/* The rig's own regions come first where @own. Always has as many fds as regions. */
static void init_table(struct rig *rig, struct message *message, bool own,
                       const struct vhu_memory_region *more, const int *fds, unsigned n_more)
{
	unsigned n = 0;
	const struct vhu_region *mine = vhu_guestmem_regions(rig->mem, &n);

	if (!own)
		n = 0;
	message_init(message, VHU_FE_SET_MEM_TABLE);
	for (unsigned i = 0; i < n; i++) {
		message->payload.memory.regions[i] = (struct vhu_memory_region){
			mine[i].gpa, mine[i].size, rig_user_address(rig, mine[i].gpa), 0
		};
		message->fds[i] = mine[i].fd;
	}
	for (unsigned i = 0; i < n_more; i++) {
		message->payload.memory.regions[n + i] = more[i];
		message->fds[n + i] = fds[i];
	}
	message->payload.memory.n = message->n_fds = n + n_more;
	message->header.size = 8 + 32 * (n + n_more);
}

static uint64_t set_table(struct rig *rig, bool own, const struct vhu_memory_region *more,
                          const int *fds, unsigned n_more)
{
	struct message message;

	init_table(rig, &message, own, more, fds, n_more);
	return rig_call(rig, &message);
}

/* ADD_MEM_REG, or with fd -1 REM_MEM_REG. */
static uint64_t change_slot(struct rig *rig, struct vhu_memory_region which, int fd)
{
	struct message message;

	message_init(&message, fd < 0 ? VHU_FE_REM_MEM_REG : VHU_FE_ADD_MEM_REG);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = which;
	message.fds[0] = fd;
	message.n_fds = fd < 0 ? 0 : 1;
	return rig_call(rig, &message);
}

static void do_request(struct rig *rig)
{
	const struct vring_buffer buffer = { DATA, 16, true };
	uint32_t written;

	memset(rig_ptr(rig, DATA, 16), 0, 16);
	rig_add(rig, 0, &buffer, 1, NULL);
	rig_kick(rig, 0);
	rig_wait_used(rig, 0, &written);
	assert_int_equal(written, 16);
	assert_int_equal(*(char *)rig_ptr(rig, DATA, 1), RIG_FILL);
}

/* Whether the back-end has memory there: it takes an update only if so. */
static bool is_shared(struct rig *rig, uint64_t uva, uint64_t size)
{
	struct message message;

	message_init(&message, VHU_FE_IOTLB_MSG);
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb = (struct vhu_iotlb){
		.iova = IOVA, .size = size, .uaddr = uva, .perm = PERM_RW, .type = VHU_IOTLB_UPDATE
	};
	return rig_call(rig, &message) == 0;
}

static const struct refusal {
	const char *name;
	struct vhu_memory_region regions[2]; /* the second is used if it has a size */
	bool read_only;
	bool directory;
} refusals[] = {
	{ "empty", { { OTHER, 0, OTHER, 0 } } },
	{ "wraps in gpa", { { -4096ull, 8192, OTHER, 0 } } },
	{ "wraps in uva", { { OTHER, 8192, -4096ull, 0 } } },
	{ "wraps in the file", { { OTHER, 8192, OTHER, -4096ull } } },
	{ "everything there is", { { OTHER, UINT64_MAX, OTHER, 0 } } },
	{ "behind the end of the file", { { OTHER, MIB, OTHER, 4096 } } },
	{ "far behind the end of the file", { { OTHER, 4096, OTHER, UINT64_C(1) << 50 } } },
	{ "larger than the file", { { OTHER, MIB + 1, OTHER, 0 } } },
	{ "overlaps in gpa",
	  { { OTHER, 8192, OTHER, 0 }, { OTHER + 4096, 4096, OTHER + MIB, 0 } } },
	{ "overlaps in uva",
	  { { OTHER, 8192, OTHER, 0 }, { OTHER + MIB, 4096, OTHER + 4096, 0 } } },
	{ "the same twice", { { OTHER, 4096, OTHER, 0 }, { OTHER, 4096, OTHER, 0 } } },
	{ "overlaps by a byte",
	  { { OTHER, 4097, OTHER, 0 }, { OTHER + 4096, 1, OTHER + MIB, 0 } } },
	{ "an fd that can't be written", { { OTHER, 4096, OTHER, 0 } }, .read_only = true },
	{ "an fd that can't be mapped", { { OTHER, 4096, OTHER, 0 } }, .directory = true },
};

static int refused_fd(const struct refusal *refusal)
{
	int file = make_file(MIB), fd;
	char path[64];

	if (!refusal->read_only && !refusal->directory)
		return file;
	snprintf(path, sizeof(path), refusal->directory ? "/" : "/proc/self/fd/%d", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	fd_close(&file);
	return fd;
}

static void a_refused_table_leaves_the_old_one_in_force(void **state)
{
	struct rig *rig = rig_new(*state);
	struct census before;

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	before = rig_census(rig);
	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *refusal = &refusals[i];
		int fd = refused_fd(refusal), fds[] = { fd, fd };
		unsigned n = refusal->regions[1].size ? 2 : 1;

		print_message("  %s\n", refusal->name);
		assert_int_not_equal(set_table(rig, false, refusal->regions, fds, n), 0);
		if (n == 1)
			assert_int_not_equal(change_slot(rig, refusal->regions[0], fd), 0);
		assert_true(is_shared(rig, rig_user_address(rig, 0), rig->memory_size));
		assert_false(is_shared(rig, OTHER, 1));
		fd_close(&fd);
	}
	rig_census(rig);
	census_check(before);
	rig_free(rig);
}

static void a_slot_may_not_overlap_what_is_there(void **state)
{
	struct rig *rig = rig_new(*state);
	int fd = make_file(MIB);
	uint64_t uva;

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	uva = rig_user_address(rig, 0);
	assert_int_not_equal(change_slot(rig, (struct vhu_memory_region){ 0, 4096, OTHER, 0 }, fd),
	                     0);
	assert_int_not_equal(
		change_slot(rig, (struct vhu_memory_region){ OTHER, 4096, uva, 0 }, fd), 0);
	assert_false(is_shared(rig, OTHER, 1));
	fd_close(&fd);
	rig_free(rig);
}

static void slots_come_and_go(void **state)
{
	struct rig *rig = rig_new(*state);
	struct vhu_memory_region slot = region(OTHER, MIB), wrong = slot;
	struct census before;
	int fd = make_file(MIB);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	before = rig_census(rig);
	assert_int_equal(change_slot(rig, slot, fd), 0);
	assert_true(is_shared(rig, OTHER, MIB));
	assert_false(is_shared(rig, OTHER, MIB + 1));
	wrong.gpa++;
	assert_int_not_equal(change_slot(rig, wrong, -1), 0);
	wrong = slot;
	wrong.uva++;
	assert_int_not_equal(change_slot(rig, wrong, -1), 0);
	wrong = slot;
	wrong.size--;
	assert_int_not_equal(change_slot(rig, wrong, -1), 0);
	assert_true(is_shared(rig, OTHER, MIB));
	assert_int_equal(change_slot(rig, slot, -1), 0);
	assert_int_not_equal(change_slot(rig, slot, -1), 0);
	assert_false(is_shared(rig, OTHER, 1));
	/* and the others are as they were */
	assert_true(is_shared(rig, rig_user_address(rig, 0), rig->memory_size));
	rig_census(rig);
	census_check(before);
	fd_close(&fd);
	rig_free(rig);
}

/* Front-ends send an fd with REM_MEM_REG, too. */
static void a_removal_may_come_with_an_fd(void **state)
{
	struct rig *rig = rig_new(*state);
	struct message message;
	struct census before;
	int fd = make_file(MIB);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	before = rig_census(rig);
	assert_int_equal(change_slot(rig, region(OTHER, MIB), fd), 0);
	message_init(&message, VHU_FE_REM_MEM_REG);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = region(OTHER, MIB);
	message.fds[0] = fd;
	message.n_fds = 1;
	assert_int_equal(rig_call(rig, &message), 0);
	rig_census(rig);
	census_check(before);
	fd_close(&fd);
	rig_free(rig);
}

static void as_many_slots_as_are_promised(void **state)
{
	struct rig *rig = rig_new(*state);
	int fd = make_file(4096);
	uint64_t max;

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	max = rig_get_u64(rig, VHU_FE_GET_MAX_MEM_SLOTS);
	assert_in_range(max, 32, 4096);
	/* one is taken by the rig's own memory */
	for (uint64_t i = 1; i < max; i++)
		assert_int_equal(change_slot(rig, region(OTHER + i * 8192, 4096), fd), 0);
	assert_int_not_equal(change_slot(rig, region(OTHER, 4096), fd), 0);
	assert_int_equal(change_slot(rig, region(OTHER + 8192, 4096), -1), 0);
	assert_int_equal(change_slot(rig, region(OTHER, 4096), fd), 0);
	fd_close(&fd);
	rig_free(rig);
}

static void an_empty_table_takes_all_memory_away(void **state)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_int_equal(set_table(rig, false, NULL, NULL, 0), 0);
	assert_false(is_shared(rig, rig_user_address(rig, 0), 1));
	rig_share(rig);
	assert_true(is_shared(rig, rig_user_address(rig, 0), rig->memory_size));
	rig_free(rig);
}

/* The same numbers and the same file: the mapping and what is known of it stay. */
static void F1_a_region_that_stays_keeps_its_translations(void **state)
{
	struct rig *rig = rig_new(*state);
	struct vhu_memory_region slot = region(OTHER, MIB);
	int fd = make_file(MIB);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_int_equal(rig_update(rig, IOVA, 4096, DATA, PERM_RW), 0);
	assert_int_equal(set_table(rig, true, &slot, &fd, 1), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 1);
	assert_true(is_shared(rig, OTHER, 4096));
	assert_int_equal(rig_update(rig, IOVA + 8192, 4096, DATA, PERM_RW), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 2);
	/* is_shared() has mapped the slot's first page at IOVA */
	assert_int_equal(change_slot(rig, slot, -1), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 1);
	fd_close(&fd);
	rig_free(rig);
}

/* The same numbers, another file: whatever pointed there must go. */
static void F1_a_region_of_another_file_is_another(void **state)
{
	struct rig *rig = rig_new(*state);
	struct vhu_memory_region slot = region(OTHER, MIB);
	int fd = make_file(MIB), other = make_file(MIB);

	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_int_equal(set_table(rig, true, &slot, &fd, 1), 0);
	assert_true(is_shared(rig, OTHER, 4096));
	assert_int_equal(set_table(rig, true, &slot, &fd, 1), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 1);
	assert_int_equal(set_table(rig, true, &slot, &other, 1), 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	fd_close(&fd);
	fd_close(&other);
	rig_free(rig);
}

static void the_same_table_again_is_no_disturbance(void **state)
{
	struct rig *rig = rig_new(*state);

	rig_open(rig, 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
	for (unsigned i = 0; i < 20; i++) {
		do_request(rig);
		rig_share(rig);
	}
	rig_free(rig);
}

/* The memory of an issued request is not unmapped under the device. */
static void memory_is_removed_after_the_last_access(void **state)
{
	const struct vring_buffer buffer = { OTHER, 4096, true };
	const struct vring_buffer with_status[] = { buffer, { DATA, 1, true } };
	struct rig *rig = rig_new(*state);
	int fd = make_file(MIB);
	struct message message;
	uint32_t written;
	char byte;

	rig_open(rig, 0);
	assert_int_equal(change_slot(rig, region(OTHER, MIB), fd), 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
	rig_hold(rig);
	rig_add(rig, 0, &buffer, 1, NULL);
	rig_kick(rig, 0);
	rig_wait_submitted(rig, 1);
	message_init(&message, VHU_FE_REM_MEM_REG);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = region(OTHER, MIB);
	rig_send(rig, &message);
	rig_expect_silence(rig);
	rig_release(rig);
	assert_int_equal(rig_expect_u64(rig, VHU_FE_REM_MEM_REG), 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, RIG_FILL);
	rig_wait_used(rig, 0, &written);
	/* What lies there now can't be reached: that request fails, the ring goes on. */
	rig_add(rig, 0, with_status, 2, NULL);
	rig_kick(rig, 0);
	rig_wait_used(rig, 0, &written);
	assert_int_equal(rig_refused(rig), 1);
	assert_int_equal(*(char *)rig_ptr(rig, DATA, 1), RIG_REFUSED);
	do_request(rig);
	fd_close(&fd);
	rig_free(rig);
}

/* Requests run while the table changes again and again; none is lost or wrong. */
static void a_table_is_replaced_under_load(void **state)
{
	enum { ROUNDS = 100 };
	struct rig *rig = rig_new(*state);
	struct vhu_memory_region slot = region(OTHER, MIB);
	const struct vring_buffer buffer = { DATA, 4096, true };
	unsigned added = 0, used = 0;
	int fd = make_file(MIB);
	uint32_t written;

	rig_open(rig, 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < 4; i++, added++)
			rig_add(rig, 0, &buffer, 1, NULL);
		rig_kick(rig, 0);
		if (round % 2)
			assert_int_equal(change_slot(rig, slot, -1), 0);
		else
			assert_int_equal(set_table(rig, true, &slot, &fd, 1), 0);
		for (; added - used > 8; used++) {
			rig_wait_used(rig, 0, &written);
			assert_int_equal(written, 4096);
		}
	}
	rig_wait_submitted(rig, added);
	assert_int_equal(rig_ring_stop(rig, 0), added);
	assert_int_equal(rig_submitted(rig), added);
	fd_close(&fd);
	rig_free(rig);
}

static void U7_with_GPA_ADDRESSES_everything_is_named_by_gpa(void **state)
{
	struct rig_config config = *(const struct rig_config *)*state;
	struct rig *rig;
	int fd = make_file(MIB);

	config.gpa_addresses = true;
	rig = rig_new(&config);
	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	/* a region whose user address differs is refused */
	assert_int_not_equal(
		change_slot(rig, (struct vhu_memory_region){ OTHER, MIB, OTHER + MIB, 0 }, fd), 0);
	rig_map(rig, IOVA, 0x10000, RING, PERM_RW);
	rig_map(rig, DATA, 0x1000, DATA, PERM_RW);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING, .iova = IOVA });
	do_request(rig);
	rig_ring_stop(rig, 0);
	rig_set_features(rig, 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
	do_request(rig);
	fd_close(&fd);
	rig_free(rig);
}

static void mem_slots_need_their_feature(void **state)
{
	struct rig *rig = rig_new(&(struct rig_config){
		.protocol_without = VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) });
	int fd = make_file(MIB);

	rig_open(rig, 0);
	assert_int_not_equal(change_slot(rig, region(OTHER, MIB), fd), 0);
	assert_int_not_equal(change_slot(rig, region(OTHER, MIB), -1), 0);
	fd_close(&fd);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_WITH(a_refused_table_leaves_the_old_one_in_force, rig_one_thread),
		RIG_TEST_WITH(a_slot_may_not_overlap_what_is_there, rig_one_thread),
		RIG_TEST_WITH(slots_come_and_go, rig_one_thread),
		RIG_TEST_WITH(a_removal_may_come_with_an_fd, rig_one_thread),
		RIG_TEST_WITH(as_many_slots_as_are_promised, rig_one_thread),
		RIG_TEST_WITH(an_empty_table_takes_all_memory_away, rig_one_thread),
		RIG_TEST_WITH(F1_a_region_that_stays_keeps_its_translations, rig_one_thread),
		RIG_TEST_WITH(F1_a_region_of_another_file_is_another, rig_one_thread),
		RIG_TEST_BOTH(the_same_table_again_is_no_disturbance),
		RIG_TEST_BOTH(memory_is_removed_after_the_last_access),
		RIG_TEST_BOTH(a_table_is_replaced_under_load),
		RIG_TEST_BOTH(U7_with_GPA_ADDRESSES_everything_is_named_by_gpa),
		cmocka_unit_test(mem_slots_need_their_feature),
	};

	return cmocka_run_group_tests_name("session/msg_memory", tests, NULL, NULL);
}
