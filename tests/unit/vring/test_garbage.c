/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings full of garbage: nothing outside of their parts is touched, everything stays sane. */
#include "rig.h"

/*
 * Zones for garbage: each part, and a table, ends where its mapping ends, with
 * nothing accessible behind. Two mappings of each, so that it can be cut.
 */
enum { ZONE_DESC, ZONE_AVAIL, ZONE_USED, ZONE_TABLE, ZONES };

struct zone {
	uint64_t addr; /* for the device */
	uint32_t len;
	char *map[2];
	char *at[2];
};

struct yard {
	struct zone zones[ZONES];
	unsigned piece; /* length of pieces; 0: one */
	struct translate_view view;
	struct vring ring;
	struct vring_config config;
	struct chain chain;
	uint64_t seed;

	unsigned taken, broken, tables;
};

#define ZONE_PAGES 2u
#define ZONE_SIZE  (ZONE_PAGES * TRANSLATE_PAGE)

static bool yard_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	struct yard *yard = view->source;

	(void)perm;
	for (unsigned i = 0; i < ZONES; i++) {
		struct zone *zone = &yard->zones[i];
		uint64_t offset = addr - zone->addr;
		uint64_t piece = yard->piece ? yard->piece : zone->len;

		if (offset >= zone->len)
			continue;
		ret->ptr = zone->at[offset / piece % 2] + offset;
		ret->before = offset % piece;
		ret->after = piece - offset % piece;
		if (ret->after > zone->len - offset)
			ret->after = zone->len - offset;
		ret->perm = PERM_RW;
		return true;
	}
	ret->after = 1;
	return false;
}

static void zone_make(struct zone *zone, uint64_t addr, uint32_t len)
{
	int fd = memfd_create("zone", MFD_CLOEXEC);

	assert_true(fd >= 0 && len <= ZONE_SIZE);
	assert_int_equal(ftruncate(fd, ZONE_SIZE), 0);
	zone->addr = addr;
	zone->len = len;
	for (unsigned i = 0; i < 2; i++) {
		char *map = mmap(NULL, ZONE_SIZE + 2 * TRANSLATE_PAGE, PROT_NONE,
		                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		assert_true(map != MAP_FAILED);
		zone->map[i] = map;
		map += TRANSLATE_PAGE;
		assert_ptr_equal(
			mmap(map, ZONE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0),
			map);
		zone->at[i] = map + ZONE_SIZE - len;
	}
	close(fd);
}

static void yard_init(struct yard *yard, uint16_t num, bool event_idx, unsigned piece)
{
	*yard = (struct yard){ .piece = piece, .seed = 0x123456789abcdef + num };
	zone_make(&yard->zones[ZONE_DESC], 0, desc_table_size(num));
	zone_make(&yard->zones[ZONE_AVAIL], 0x100000, avail_ring_size(num, event_idx));
	zone_make(&yard->zones[ZONE_USED], 0x200000, used_ring_size(num, event_idx));
	zone_make(&yard->zones[ZONE_TABLE], 0x300000, desc_table_size(num));
	assert_int_equal(translate_view_init(&yard->view, 0), 0);
	translate_view_attach(&yard->view, yard_walk, yard, true);
	yard->config = (struct vring_config){ .num = num,
		                              .event_idx = event_idx,
		                              .indirect = true,
		                              .desc = yard->zones[ZONE_DESC].addr,
		                              .avail = yard->zones[ZONE_AVAIL].addr,
		                              .used = yard->zones[ZONE_USED].addr };
	assert_int_equal(vring_start(&yard->ring, &yard->config), 0);
}

static void yard_done(struct yard *yard)
{
	for (unsigned i = 0; i < ZONES; i++)
		for (unsigned m = 0; m < 2; m++)
			munmap(yard->zones[i].map[m], ZONE_SIZE + 2 * TRANSLATE_PAGE);
	chain_done(&yard->chain);
	vring_done(&yard->ring);
	translate_view_done(&yard->view);
}

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

static void check_chain(const struct yard *yard)
{
	const struct chain *chain = &yard->chain;
	struct range range = { 0x300000, 0x300fff };
	uint64_t out = 0, in = 0;

	assert_true(chain->head < yard->config.num);
	assert_true(chain->n <= 2 * yard->config.num && chain->n_out <= chain->n);
	for (unsigned i = 0; i < chain->n; i++) {
		assert_int_equal(chain->segments[i].perm,
		                 i < chain->n_out ? PERM_READ : PERM_WRITE);
		*(i < chain->n_out ? &out : &in) += chain->segments[i].len;
	}
	assert_true(out == chain->out_len && in == chain->in_len);
	assert_true(!chain->n || chain_pages(chain) || !(out + in));
	chain_overlaps(chain, range);
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
	check_chain(yard);
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
