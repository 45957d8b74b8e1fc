/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings full of garbage: nothing outside of their parts is touched, everything stays sane. */
#include "yard.h"

static uint32_t chance(struct yard *yard, uint32_t below)
{
	return rig_random(&yard->seed, below);
}

/* Descriptors that are mostly right, so that the walk gets far. */
static void fill_descs(struct yard *yard, struct zone *zone)
{
	struct zone *table = &yard->zones[ZONE_TABLE];
	unsigned num = zone->len / 16;

	for (unsigned i = 0; i < num; i++) {
		struct ring_desc desc = {
			.addr = htole64(table->addr + 16 * chance(yard, num)),
			.len = htole32(16 * (1 + chance(yard, num / 4 + 1))),
			.flags = htole16((chance(yard, 3) ? DESC_NEXT : 0) |
			                 (i > num / 2 ? DESC_WRITE : 0)),
			.next = htole16((uint16_t)(i + 1 + chance(yard, num - i))),
		};

		if (!chance(yard, 4))
			desc.flags = htole16(DESC_INDIRECT | (chance(yard, 2) ? DESC_WRITE : 0));
		memcpy(zone->at[0] + 16 * i, &desc, sizeof(desc));
	}
}

static void fill_avail(struct yard *yard)
{
	uint16_t num = yard->config.num;
	char *avail = yard->zones[ZONE_AVAIL].at[0];
	uint16_t index = (uint16_t)(yard->ring.next_avail + chance(yard, num + 1u));

	index = htole16(index);
	memcpy(avail + RING_INDEX_OFFSET, &index, 2);
	for (unsigned i = 0; i < num; i++) {
		uint16_t head = htole16((uint16_t)chance(yard, num));

		memcpy(avail + RING_ENTRIES_OFFSET + 2 * i, &head, 2);
	}
}

static void flip_bytes(struct yard *yard)
{
	for (unsigned n = chance(yard, 6); n; n--) {
		struct zone *zone = &yard->zones[chance(yard, ZONES)];

		zone->at[0][chance(yard, zone->len)] ^= (char)(1 + chance(yard, 255));
	}
}

static int load_table(struct yard *yard)
{
	struct hole at[4];
	struct hole_list holes = { .holes = at, .cap = 4 };
	const char *fault = NULL;
	int rc = chain_load_table(&yard->chain, &yard->view, &holes, &fault);

	yard->tables++;
	if (rc == -EPROTO)
		return vring_break(&yard->ring, fault);
	assert_true(rc == 0 || rc == -EAGAIN);
	assert_true((rc == 0) == (holes.n == 0));
	return 0;
}

/* One chain. False: the ring has no more, or is broken. */
static bool serve_one(struct yard *yard)
{
	struct vring *ring = &yard->ring;
	int rc = vring_take(ring, &yard->chain);

	assert_true(vring_check(ring));
	if (rc <= 0)
		return false;
	yard->taken++;
	if (yard->chain.table.len && load_table(yard) < 0)
		return false;
	yard_check_chain(yard);
	if (chance(yard, 8) == 0) {
		vring_untake(ring, 1);
		return true;
	}
	vring_put(ring, yard->chain.head, (uint32_t)yard->chain.in_len);
	if (chance(yard, 2)) {
		vring_publish(ring);
		vring_wants_call(ring);
	}
	return true;
}

static void serve_garbage(struct yard *yard)
{
	struct vring *ring = &yard->ring;

	assert_int_equal(vring_map(ring, &yard->view, NULL), 0);
	for (unsigned i = 0; i <= yard->config.num; i++) {
		if (!serve_one(yard))
			break;
		if (chance(yard, 4) == 0)
			flip_bytes(yard);
		vring_publish(ring);
		vring_quiet(ring);
		vring_arm(ring);
		assert_true(vring_check(ring));
	}
	vring_publish(ring);
	vring_wants_call(ring);
	if (!ring->broken)
		return;
	yard->broken++;
	assert_non_null(ring->fault);
	yard->config.avail_base = (uint16_t)chance(yard, 65536);
	assert_int_equal(vring_start(ring, &yard->config), 0);
}

static void garbage_hurts_nobody(void **state)
{
	static const struct {
		uint16_t num;
		bool event_idx;
		unsigned piece;
		unsigned rounds;
	} yards[] = {
		{ 1, false, 0, 2000 },  { 1, true, 1, 2000 },     { 8, false, 0, 8000 },
		{ 8, true, 0, 8000 },   { 16, true, 1, 4000 },    { 64, false, 37, 2000 },
		{ 256, true, 0, 1000 }, { 256, true, 1000, 500 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(yards) / sizeof(yards[0]); i++) {
		struct yard yard;

		yard_init(&yard, yards[i].num, yards[i].event_idx, yards[i].piece);
		yard.seed = 0x123456789abcdef + yards[i].num;
		for (unsigned round = 0; round < yards[i].rounds; round++) {
			fill_descs(&yard, &yard.zones[ZONE_DESC]);
			fill_descs(&yard, &yard.zones[ZONE_TABLE]);
			fill_avail(&yard);
			flip_bytes(&yard);
			serve_garbage(&yard);
		}
		print_message("  num %u: %u taken, %u tables, %u broken\n", yards[i].num,
		              yard.taken, yard.tables, yard.broken);
		/* Garbage that is refused at once would test nothing. */
		assert_true(yard.taken > yards[i].rounds / 8);
		assert_true(yard.tables > yards[i].rounds / 16);
		assert_true(yard.broken > yards[i].rounds / 16);
		yard_done(&yard);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_hurts_nobody),
	};

	return cmocka_run_group_tests_name("vring/garbage", tests, NULL, NULL);
}
