/* SPDX-License-Identifier: BSD-3-Clause */
/* When addresses are translated, and what a status means: rules M1, M2 and B1. */
#include <endian.h>

#include "stage.h"

static void M1_without_bit_33_addresses_are_plain(void **state)
{
	struct rig *rig = rig_new(*state);
	const struct rig_ring_config config = { .gpa = RING_GPA(0) };

	rig_open(rig, 0);
	rig_ring_start(rig, 0, &config);
	stage_ask(rig, 0, DATA_GPA(3), PAGE, 1);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	stage_expect_filled(rig, DATA_GPA(3), PAGE);
	rig_expect_no_miss(rig);
	/* Nobody is to be asked for what is nowhere: the request fails at once. */
	stage_clear(rig, DATA_GPA(4), PAGE);
	stage_ask_copy(rig, 0, rig->memory_size, 64, DATA_GPA(4), 64, 2);
	stage_expect_used_quietly(rig, 0, 2, 1);
	assert_int_equal(*(char *)rig_ptr(rig, DATA_GPA(4) + 63, 1), RIG_REFUSED);
	rig_expect_no_miss(rig);
	/* Nor is there anything to update. */
	assert_int_not_equal(rig_update(rig, DATA_IOVA(0), PAGE, DATA_GPA(0), PERM_RW), 0);
	rig_free(rig);
}

/* With live dirty logging both are sent again, under running rings. */
static void M1_what_is_sent_again_changes_nothing(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	const struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss miss;
	struct message message;

	rig_map(rig, DATA_IOVA(0), 4 * PAGE, DATA_GPA(0), PERM_RW);
	for (unsigned i = 0; i < 3; i++) {
		stage_ask(rig, 0, DATA_IOVA(0), PAGE, i);
		stage_expect_used(rig, 0, i, PAGE);
	}
	stage_ask(rig, 0, DATA_IOVA(1), PAGE, 3);
	miss = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	for (unsigned i = 0; i < 2; i++) {
		rig_set_features(rig, PLATFORM);
		message_init(&message, VHU_FE_SET_VRING_ADDR);
		message.header.size = sizeof(message.payload.addr);
		message.payload.addr = (struct vhu_vring_addr){
			.index = 0,
			.desc = config.iova,
			.avail = config.iova + 256,
			.used = config.iova + PAGE,
		};
		assert_int_equal(rig_call(rig, &message), 0);
	}
	/* The cache is there, the parked chain is, and so are the indices. */
	assert_int_equal(rig_stats(rig).iotlb_entries, 2);
	assert_int_equal(rig_stats(rig).flushes, 0);
	rig_expect_no_miss(rig);
	assert_true(rig_grant(rig, &miss));
	stage_expect_used(rig, 0, 3, PAGE);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 4);
	stage_expect_used_quietly(rig, 0, 4, PAGE);
	assert_int_equal(rig_ring_stop(rig, 0), 5);
	rig_free(rig);
}

static void M1_clearing_the_bit_drops_the_cache(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	const struct rig_ring_config plain = { .gpa = RING_GPA(0) };

	stage_give(rig, 0, 4, PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	assert_true(rig_stats(rig).iotlb_entries > 0);
	rig_set_features(rig, 0);
	assert_int_equal(rig_stats(rig).iotlb_entries, 0);
	/* The next run is plain, and the one after it knows nothing. */
	rig_ring_stop(rig, 0);
	rig_ring_start(rig, 0, &plain);
	stage_ask(rig, 0, DATA_GPA(1), PAGE, 2);
	stage_expect_used_quietly(rig, 0, 2, PAGE);
	rig_ring_stop(rig, 0);
	rig_set_features(rig, PLATFORM);
	stage_ring(rig, 0);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 3);
	stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	rig_free(rig);
}

/* What waits for a translation is done without one, and not left waiting. */
static void M1_clearing_the_bit_frees_what_waits(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	const struct rig_ring_config plain = { .gpa = RING_GPA(0) };
	struct rig_miss miss;

	/* An address that is a plain one, too. */
	stage_ask(rig, 0, DATA_GPA(3), PAGE, 1);
	miss = stage_expect_miss(rig, DATA_GPA(3), PERM_WRITE);
	rig_set_features(rig, 0);
	assert_int_equal(rig_set_vring_addr(rig, 0, &plain), 0);
	rig_refuse(rig, &miss);
	rig_kick(rig, 0);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	stage_expect_filled(rig, DATA_GPA(3), PAGE);
	rig_expect_no_miss(rig);
	rig_free(rig);
}

static void M2_translation_needs_a_back_channel(void **state)
{
	struct rig_config config = *(const struct rig_config *)*state;

	config.protocol_without = VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ);
	for (unsigned i = 0; i < 2; i++) {
		struct rig *rig = rig_new(&config);
		struct rig_ring_config ring = stage_ring_config(0);

		rig_negotiate_protocol(rig);
		rig_set_features(rig, PLATFORM);
		rig_share(rig);
		ring.disabled = true;
		rig_ring_start(rig, 0, &ring);
		/* To disable a ring needs nothing. */
		rig_ring_enable(rig, 0, false);
		assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_ENABLE, 0, 1), 0);
		rig_expect_closed(rig);
		rig_free(rig);
		/* Negotiated, but never sent. */
		config.protocol_without = 0;
	}
}

static void M2_without_bit_33_no_back_channel_is_needed(void **state)
{
	struct rig_config config = *(const struct rig_config *)*state;
	const struct rig_ring_config ring = { .gpa = RING_GPA(0) };
	struct rig *rig;

	config.protocol_without = VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ);
	rig = rig_new(&config);
	rig_open(rig, 0);
	rig_ring_start(rig, 0, &ring);
	stage_ask(rig, 0, DATA_GPA(0), PAGE, 1);
	stage_expect_used(rig, 0, 1, PAGE);
	rig_free(rig);
}

/* QEMU sends status 0 before it asks where the rings stopped. */
static void B1_a_status_is_recorded_and_nothing_else(void **state)
{
	static const uint8_t values[] = { 0, 0x0f, 0x80, 0 };
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	struct rig_miss miss;

	stage_give(rig, 0, 1, PERM_RW);
	rig_map(rig, DATA_IOVA(1), PAGE, DATA_GPA(1), PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(1), PAGE, 1);
	miss = stage_expect_miss(rig, DATA_IOVA(1), PERM_WRITE);
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		assert_int_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, values[i]), 0);
		assert_int_equal(rig_get_u64(rig, VHU_FE_GET_STATUS), values[i]);
	}
	assert_int_equal(rig_stats(rig).iotlb_entries, 2);
	assert_true(rig_grant(rig, &miss));
	stage_expect_used(rig, 0, 1, PAGE);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 2);
	stage_expect_used_quietly(rig, 0, 2, PAGE);
	assert_int_equal(rig_set_u64(rig, VHU_FE_SET_STATUS, 0), 0);
	assert_int_equal(rig_ring_stop(rig, 0), 2);
	rig_free(rig);
}

static void store16(struct rig *rig, uint64_t gpa, uint16_t value)
{
	uint16_t *at = rig_ptr(rig, gpa, 2);

	__atomic_store_n(at, htole16(value), __ATOMIC_RELEASE);
}

static uint16_t load16(struct rig *rig, uint64_t gpa)
{
	return le16toh(__atomic_load_n((uint16_t *)rig_ptr(rig, gpa, 2), __ATOMIC_ACQUIRE));
}

/* SET_VRING_BASE says where to go on taking; where to go on giving is in the ring. */
static void B1_the_used_index_is_taken_from_the_ring(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);
	uint64_t avail = config.gpa + 256, used = config.gpa + PAGE;
	const uint64_t desc[2] = { htole64(DATA_IOVA(0)), htole64(UINT64_C(2) << 32 | 64) };
	uint32_t elem[2];

	stage_give(rig, 0, 1, PERM_RW);
	assert_int_equal(rig_update(rig, config.iova, 2 * PAGE, config.gpa, PERM_RW), 0);
	config.base = 0xfffe;
	config.disabled = true;
	rig_ring_start(rig, 0, &config);
	/* By hand: one chain, descriptor 5, at index 0xfffe. */
	memcpy(rig_ptr(rig, config.gpa + 5 * 16, 16), desc, 16);
	store16(rig, avail + 4 + 14 * 2, 5);
	store16(rig, avail + 2, 0xffff);
	store16(rig, used + 2, 0x1235);
	rig_ring_enable(rig, 0, true);
	for (int ms = 0; load16(rig, used + 2) == 0x1235 && ms < PEER_PATIENCE; ms++)
		poll(NULL, 0, 1);
	assert_int_equal(load16(rig, used + 2), 0x1236);
	memcpy(elem, rig_ptr(rig, used + 4 + 8 * 5, 8), 8);
	assert_int_equal(le32toh(elem[0]), 5);
	assert_int_equal(le32toh(elem[1]), 64);
	assert_int_equal(rig_get_vring_base(rig, 0), 0xffff);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(M1_without_bit_33_addresses_are_plain),
		EACH(M1_what_is_sent_again_changes_nothing),
		EACH(M1_clearing_the_bit_drops_the_cache),
		EACH(M1_clearing_the_bit_frees_what_waits),
		EACH(M2_translation_needs_a_back_channel),
		EACH(M2_without_bit_33_no_back_channel_is_needed),
		EACH(B1_a_status_is_recorded_and_nothing_else),
		EACH(B1_the_used_index_is_taken_from_the_ring),
	};

	return cmocka_run_group_tests_name("iotlb_mode", tests, NULL, NULL);
}
