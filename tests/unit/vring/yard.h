/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring in memory that ends where its parts end, for whoever fills it with
 * garbage: a step beyond is seen at once.
 *
 * Thread: the test's.
 */
#ifndef UNIT_VRING_YARD_H
#define UNIT_VRING_YARD_H

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

	/* of whoever fills it */
	uint64_t seed;
	unsigned taken, broken, tables;
};

#define ZONE_PAGES 2u
#define ZONE_SIZE  (ZONE_PAGES * TRANSLATE_PAGE)

static inline bool yard_walk(struct translate_view *view, uint64_t addr, uint8_t perm,
                             struct walk *ret)
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

static inline void zone_make(struct zone *zone, uint64_t addr, uint32_t len)
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

static inline void yard_init(struct yard *yard, uint16_t num, bool event_idx, unsigned piece)
{
	*yard = (struct yard){ .piece = piece };
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

static inline void yard_done(struct yard *yard)
{
	for (unsigned i = 0; i < ZONES; i++)
		for (unsigned m = 0; m < 2; m++)
			munmap(yard->zones[i].map[m], ZONE_SIZE + 2 * TRANSLATE_PAGE);
	chain_done(&yard->chain);
	vring_done(&yard->ring);
	translate_view_done(&yard->view);
}

static inline void yard_check_chain(const struct yard *yard)
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

#endif
