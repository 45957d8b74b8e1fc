/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver's side by itself: what it writes, and what it takes from a device. */
#include "rig.h"

#define NUM 4u

static void new_judges_the_configuration(void **state)
{
	static _Alignas(16) char memory[4096];
	const struct vring_driver_config good = {
		.num = NUM, .desc = memory, .avail = memory + 1024, .used = memory + 2048
	};
	struct vring_driver_config config[10];

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct vring_driver *driver = NULL;

		config[i] = good;
		switch (i) {
		case 1: config[i].num = 0; break;
		case 2: config[i].num = 3; break;
		case 3: config[i].num = 32769; break;
		case 4: config[i].desc = memory + 8; break;
		case 5: config[i].avail = memory + 1025; break;
		case 6: config[i].used = memory + 2050; break;
		case 7: config[i].desc = NULL; break;
		case 8: config[i].used = NULL; break;
		case 9: config[i].tables = memory; break;
		}
		assert_int_equal(vring_driver_new(&config[i], &driver), i ? -EINVAL : 0);
		vring_driver_free(driver);
	}
}

static void start(struct rig *rig, bool event_idx, bool indirect)
{
	rig_init(rig, RIG_IDENTITY, true);
	memset(rig->mem, 0xa5, RIG_DATA);
	rig_start_both(rig, NUM, event_idx, indirect, 3);
}

static void the_parts_are_zeroed_and_no_more(void **state)
{
	(void)state;
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		static const char zeroes[16 * NUM];
		struct rig rig;

		start(&rig, event_idx, false);
		assert_memory_equal(rig.mem + RIG_DESC, zeroes, 16 * NUM);
		assert_memory_equal(rig.mem + RIG_AVAIL, zeroes, 4 + 2 * NUM + 2 * event_idx);
		assert_memory_equal(rig.mem + RIG_USED, zeroes, 4 + 8 * NUM + 2 * event_idx);
		assert_int_equal((uint8_t)rig.mem[RIG_DESC + 16 * NUM], 0xa5);
		assert_int_equal((uint8_t)rig.mem[RIG_AVAIL + 4 + 2 * NUM + 2 * event_idx], 0xa5);
		assert_int_equal((uint8_t)rig.mem[RIG_USED + 4 + 8 * NUM + 2 * event_idx], 0xa5);
		rig_done(&rig);
	}
}

static struct ring_desc desc_at(const struct rig *rig, uint32_t table, unsigned i)
{
	struct ring_desc desc;

	memcpy(&desc, rig->mem + table + 16 * i, sizeof(desc));
	return desc;
}

static const struct vring_buffer three[] = { { 0x1000, 16, false },
	                                     { 0x2000, 512, true },
	                                     { 0x3000, 1, true } };

static void a_chain_takes_descriptors_or_a_table(void **state)
{
	struct ring_desc desc;
	struct rig rig;
	int token;

	(void)state;
	start(&rig, false, false);
	assert_int_equal(vring_driver_add(rig.driver, three, 3, &token), 0);
	assert_int_equal(vring_driver_free_count(rig.driver), NUM - 3);
	desc = desc_at(&rig, RIG_DESC, 0);
	assert_int_equal(desc.flags, DESC_NEXT);
	assert_int_equal(desc.next, 1);
	desc = desc_at(&rig, RIG_DESC, 2);
	assert_int_equal(desc.addr, 0x3000);
	assert_int_equal(desc.flags, DESC_WRITE);
	rig_done(&rig);

	start(&rig, false, true);
	assert_int_equal(vring_driver_add(rig.driver, three, 3, &token), 0);
	assert_int_equal(vring_driver_add(rig.driver, three, 1, &token), 0);
	assert_int_equal(vring_driver_add(rig.driver, three, 3, &token), 0);
	assert_int_equal(vring_driver_free_count(rig.driver), NUM - 3);
	assert_int_equal(desc_at(&rig, RIG_DESC, 1).addr, 0x1000);
	desc = desc_at(&rig, RIG_DESC, 2);
	assert_int_equal(desc.flags, DESC_INDIRECT);
	assert_int_equal(desc.len, 48);
	assert_int_equal(desc.addr, rig_addr(&rig, RIG_TABLES + 2 * 3 * 16));
	desc = desc_at(&rig, RIG_TABLES, 2 * 3 + 1);
	assert_int_equal(desc.addr, 0x2000);
	assert_int_equal(desc.flags, DESC_WRITE | DESC_NEXT);
	assert_int_equal(desc.next, 2);
	rig_done(&rig);
}

static void what_does_not_fit_is_refused(void **state)
{
	static const struct vring_buffer wrong[] = { { 1, 1, true }, { 1, 1, false } };
	struct vring_buffer five[5] = { { 0 } };
	struct rig rig;

	(void)state;
	start(&rig, false, true);
	assert_int_equal(vring_driver_add(rig.driver, three, 0, NULL), -EINVAL);
	assert_int_equal(vring_driver_add(rig.driver, wrong, 2, NULL), -EINVAL);
	assert_int_equal(vring_driver_add(rig.driver, five, 5, NULL), -ENOSPC);
	/* Longer than a table: one by one. */
	assert_int_equal(vring_driver_add(rig.driver, five, 4, NULL), 0);
	assert_int_equal(vring_driver_free_count(rig.driver), 0);
	assert_int_equal(vring_driver_add(rig.driver, three, 1, NULL), -ENOSPC);
	assert_int_equal(vring_driver_add(rig.driver, three, 3, NULL), -ENOSPC);
	assert_int_equal(vring_driver_avail_index(rig.driver), 1);
	rig_done(&rig);
}

static void nothing_is_shown_before_the_kick_is_decided(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, false, false);
	assert_false(vring_driver_kick_needed(rig.driver));
	assert_int_equal(vring_driver_add(rig.driver, three, 1, NULL), 0);
	assert_int_equal(rig_get16(&rig, RIG_AVAIL + RING_INDEX_OFFSET), 0);
	assert_true(vring_driver_kick_needed(rig.driver));
	assert_int_equal(rig_get16(&rig, RIG_AVAIL + RING_INDEX_OFFSET), 1);
	assert_false(vring_driver_kick_needed(rig.driver));
	rig_set16(&rig, RIG_USED + RING_FLAGS_OFFSET, USED_NO_KICK);
	assert_int_equal(vring_driver_add(rig.driver, three, 1, NULL), 0);
	assert_false(vring_driver_kick_needed(rig.driver));
	rig_done(&rig);
}

static void kicks_follow_the_event_index(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, true, false);
	rig_set16(&rig, RIG_USED + avail_event_offset(NUM), 1);
	assert_int_equal(vring_driver_add(rig.driver, three, 1, NULL), 0);
	assert_false(vring_driver_kick_needed(rig.driver));
	assert_int_equal(vring_driver_add(rig.driver, three, 1, NULL), 0);
	assert_int_equal(vring_driver_add(rig.driver, three, 1, NULL), 0);
	assert_true(vring_driver_kick_needed(rig.driver));
	assert_int_equal(vring_driver_add(rig.driver, three, 1, NULL), 0);
	assert_false(vring_driver_kick_needed(rig.driver));
	rig_done(&rig);
}

static void use(struct rig *rig, uint32_t id, uint16_t index)
{
	uint32_t le = htole32(id);

	memcpy(rig->mem + RIG_USED + used_elem_offset(NUM, (uint16_t)(index - 1)), &le, 4);
	rig_set16(rig, RIG_USED + RING_INDEX_OFFSET, index);
}

static void what_a_device_may_not_return_is_refused(void **state)
{
	static const struct {
		const char *name;
		uint32_t id;
		uint16_t index;
	} cases[] = {
		{ "outside of the ring", NUM, 1 },
		{ "far outside", UINT32_MAX, 1 },
		{ "the same in its lower half", 0x10000, 1 },
		{ "in mid-chain", 1, 1 },
		{ "not outstanding", 3, 1 },
		{ "more than is outstanding", 0, 2 },
		{ "an index that goes back", 0, 0xffff },
	};
	uint32_t written;
	void *token;
	int error;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig rig;

		print_message("  %s\n", cases[i].name);
		start(&rig, false, false);
		assert_int_equal(vring_driver_add(rig.driver, three, 3, &token), 0);
		use(&rig, cases[i].id, cases[i].index);
		assert_false(vring_driver_get(rig.driver, &token, &written, &error));
		assert_int_equal(error, -EPROTO);
		assert_int_equal(vring_driver_free_count(rig.driver), 1);
		rig_done(&rig);
	}
}

static void a_chain_comes_back_once(void **state)
{
	uint32_t written;
	struct rig rig;
	void *token;
	int error, tag;

	(void)state;
	start(&rig, false, false);
	assert_int_equal(vring_driver_add(rig.driver, three, 3, &tag), 0);
	assert_int_equal(vring_driver_add(rig.driver, three, 1, NULL), 0);
	assert_false(vring_driver_get(rig.driver, &token, &written, &error));
	assert_int_equal(error, 0);
	use(&rig, 0, 1);
	assert_true(vring_driver_get(rig.driver, &token, &written, &error));
	assert_ptr_equal(token, &tag);
	assert_int_equal(vring_driver_free_count(rig.driver), 3);
	use(&rig, 0, 2);
	assert_false(vring_driver_get(rig.driver, &token, &written, &error));
	assert_int_equal(error, -EPROTO);
	rig_done(&rig);
}

static void arming_and_quiet_are_stated(void **state)
{
	uint32_t flags = RIG_AVAIL + RING_FLAGS_OFFSET, event = RIG_AVAIL + used_event_offset(NUM);
	struct rig rig;

	(void)state;
	start(&rig, false, false);
	vring_driver_quiet(rig.driver);
	assert_int_equal(rig_get16(&rig, flags), AVAIL_NO_CALL);
	assert_false(vring_driver_arm(rig.driver));
	assert_int_equal(rig_get16(&rig, flags), 0);
	rig_set16(&rig, RIG_USED + RING_INDEX_OFFSET, 1);
	assert_true(vring_driver_arm(rig.driver));
	rig_done(&rig);

	start(&rig, true, false);
	vring_driver_quiet(rig.driver);
	assert_int_equal(rig_get16(&rig, event), 0xffff);
	assert_false(vring_driver_arm(rig.driver));
	assert_int_equal(rig_get16(&rig, event), 0);
	assert_int_equal(rig_get16(&rig, flags), 0);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_judges_the_configuration),
		cmocka_unit_test(the_parts_are_zeroed_and_no_more),
		cmocka_unit_test(a_chain_takes_descriptors_or_a_table),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(nothing_is_shown_before_the_kick_is_decided),
		cmocka_unit_test(kicks_follow_the_event_index),
		cmocka_unit_test(what_a_device_may_not_return_is_refused),
		cmocka_unit_test(a_chain_comes_back_once),
		cmocka_unit_test(arming_and_quiet_are_stated),
	};

	return cmocka_run_group_tests_name("vring/driver", tests, NULL, NULL);
}
