/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end has told, message by message. */
#include "support/check.h"

#include <linux/virtio_config.h>
#include <stdlib.h>

#include "messages.h"
#include "told.h"

static void take(struct told *told, struct message message)
{
	told_take(told, &message);
}

static struct told *new_told(void)
{
	struct told *told = malloc(sizeof(*told));

	assert_non_null(told);
	told_start(told, 7, 9);
	return told;
}

static struct message with_region(uint32_t request, uint64_t gpa, uint64_t size, uint64_t uva)
{
	struct message message = msg_of_table(request, -1);

	message.payload.single.region = (struct vhu_memory_region){ gpa, size, uva, 0 };
	return message;
}

static void the_newest_of_each_is_told(void **state)
{
	struct told *told = new_told();
	struct message channel = msg_fd(VHU_FE_SET_BACKEND_REQ_FD, 5);

	(void)state;
	assert_int_equal(told->offered, 7);
	assert_int_equal(told->offered_protocol, 9);
	assert_false(told->has_features || told->has_protocol || told->has_back_channel);
	take(told, msg_u64(VHU_FE_SET_PROTOCOL_FEATURES, 3));
	take(told, msg_u64(VHU_FE_SET_FEATURES, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)));
	assert_true(told_iommu(told));
	take(told, msg_u64(VHU_FE_SET_FEATURES, VHU_BIT(VHU_F_PROTOCOL_FEATURES)));
	assert_false(told_iommu(told));
	assert_true(told->has_features && told->has_protocol);
	assert_int_equal(told->protocol, 3);
	take(told, msg_empty(VHU_FE_SET_OWNER));
	take(told, msg_empty(VHU_FE_SET_OWNER));
	assert_int_equal(told->owners, 2);
	take(told, msg_u64(VHU_FE_SET_STATUS, 15));
	assert_int_equal(told->status, 15);
	take(told, channel);
	assert_true(told->has_back_channel);
	told_start(told, 1, 2);
	assert_false(told->has_features || told->has_back_channel || told->owners);
	free(told);
}

/* What is needed before a ring is served, and what ends that. */
static void a_ring_runs_when_all_was_said_of_it(void **state)
{
	const struct message addr = msg_of_table(VHU_FE_SET_VRING_ADDR, -1);
	const struct message steps[] = {
		msg_state(VHU_FE_SET_VRING_NUM, 2, 64),
		addr,
		msg_state(VHU_FE_SET_VRING_ENABLE, 2, 1),
		msg_vring_fd(VHU_FE_SET_VRING_KICK, 2, -1),
	};

	(void)state;
	for (unsigned missing = 0; missing <= ARRAY_SIZE(steps); missing++) {
		struct told *told = new_told();

		take(told, msg_u64(VHU_FE_SET_FEATURES, VHU_BIT(VHU_F_PROTOCOL_FEATURES)));
		for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
			struct message message = steps[i];

			if (message.header.request == VHU_FE_SET_VRING_ADDR)
				message.payload.addr.index = 2;
			if (i != missing)
				take(told, message);
		}
		assert_int_equal(told_runs(told, 2), missing == ARRAY_SIZE(steps));
		assert_int_equal(told_any_started(told), missing != ARRAY_SIZE(steps) - 1);
		assert_false(told_runs(told, 1) || told_runs(told, 3));
		take(told, msg_state(VHU_FE_GET_VRING_BASE, 2, 0));
		assert_false(told_runs(told, 2) || told_any_started(told));
		free(told);
	}
}

static void without_bit_30_rings_are_enabled(void **state)
{
	struct told *told = new_told();

	(void)state;
	take(told, msg_u64(VHU_FE_SET_FEATURES, VHU_BIT(VIRTIO_F_VERSION_1)));
	assert_true(told->rings[0].enabled && told->rings[TOLD_RINGS - 1].enabled);
	take(told, msg_state(VHU_FE_SET_VRING_ENABLE, 0, 0));
	assert_false(told->rings[0].enabled);
	free(told);
}

static void regions_come_and_go(void **state)
{
	struct told *told = new_told();
	struct message table = msg_empty(VHU_FE_SET_MEM_TABLE);

	(void)state;
	table.payload.memory.n = 1;
	table.payload.memory.regions[0] = (struct vhu_memory_region){ 0, 0x1000, 0x5000, 0 };
	take(told, table);
	take(told, with_region(VHU_FE_ADD_MEM_REG, 0x1000, 0x1000, 0x6000));
	take(told, with_region(VHU_FE_ADD_MEM_REG, 0x9000, 0x1000, 0x9000));
	assert_int_equal(told->n_regions, 3);
	/* Of another size, it is another one. */
	take(told, with_region(VHU_FE_REM_MEM_REG, 0, 0x800, 0x5000));
	assert_int_equal(told->n_regions, 3);
	take(told, with_region(VHU_FE_REM_MEM_REG, 0, 0x1000, 0x5000));
	assert_int_equal(told->n_regions, 2);
	assert_int_equal(told_inside(told, 0x5000, 1), 0);
	assert_int_equal(told_inside(told, 0x6000, 0x1000), 0x1000);
	take(told, table);
	assert_int_equal(told->n_regions, 1);
	/* A count that is a lie takes in no more than a table can have. */
	table.payload.memory.n = UINT32_MAX;
	take(told, table);
	assert_int_equal(told->n_regions, VHU_MEMORY_REGIONS_MAX);
	for (unsigned i = 0; i < 2 * TOLD_REGIONS; i++)
		take(told, with_region(VHU_FE_ADD_MEM_REG, i << 20, 0x1000, i << 20));
	assert_int_equal(told->n_regions, TOLD_REGIONS);
	free(told);
}

static void what_lies_inside_is_counted_across_regions(void **state)
{
	static const struct {
		uint64_t uva, len, inside;
	} table[] = {
		{ 0x10000, 0x1000, 0x1000 },
		{ 0x10800, 0x1000, 0x1000 },
		{ 0x10000, 0x2000, 0x2000 },
		{ 0x10000, 0x2001, 0x2000 },
		{ 0x11fff, 1, 1 },
		{ 0x12000, 1, 0 },
		{ 0xffff, 2, 0 },
		{ 0x10000, 0, 0 },
		{ 0x10000, UINT64_MAX, 0x2000 },
	};
	struct told *told = new_told();

	(void)state;
	take(told, with_region(VHU_FE_ADD_MEM_REG, 0, 0x1000, 0x11000));
	take(told, with_region(VHU_FE_ADD_MEM_REG, 0x1000, 0x1000, 0x10000));
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(told_inside(told, table[i].uva, table[i].len), table[i].inside);
	/* Two that reach around are no reason to count for ever. */
	take(told, with_region(VHU_FE_ADD_MEM_REG, 0, UINT64_MAX / 2 + 16, 0x20000));
	take(told, with_region(VHU_FE_ADD_MEM_REG, 0, UINT64_MAX, UINT64_MAX / 2));
	assert_true(told_inside(told, 0x20000, UINT64_MAX) == UINT64_MAX);
	free(told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_of_each_is_told),
		cmocka_unit_test(a_ring_runs_when_all_was_said_of_it),
		cmocka_unit_test(without_bit_30_rings_are_enabled),
		cmocka_unit_test(regions_come_and_go),
		cmocka_unit_test(what_lies_inside_is_counted_across_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
