/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bench the ring tests share: memory seen by the driver in one piece and by
 * the device through one of several translators, which cut it up. That the device
 * sees pieces which are apart although they are neighbours for the driver takes
 * further mappings of the same file.
 */
#ifndef TEST_VRING_RIG_H
#define TEST_VRING_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those before it */
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vring/driver.h"
#include "vring/layout.h"
#include "vring/vring.h"

#define RIG_PAGES 256u
#define RIG_SIZE  (RIG_PAGES * TRANSLATE_PAGE)
#define RIG_HOLES 64u

/* Parts cross pages where they are long enough. */
#define RIG_DESC   0x0800u
#define RIG_AVAIL  0x5ffau
#define RIG_USED   0x7ffcu
#define RIG_TABLES 0x10ff8u /* table_entries * 16 * num, up to RIG_DATA */
#define RIG_DATA   0x40000u

enum rig_cut {
	RIG_IDENTITY, /* one piece at the very addresses */
	RIG_BYTES,    /* a piece for each byte */
	RIG_ODD,      /* pieces of 37 bytes */
	RIG_PAGEWISE, /* pages in another order */
	RIG_CUTS,
};

static const char *const rig_cut_names[RIG_CUTS] = { "identity", "bytes", "odd", "pagewise" };

struct rig {
	enum rig_cut cut;
	char *mem;      /* the driver's view; also where the device's addresses start */
	char *alias;    /* the same */
	char *shuffled; /* the same, page i at place (i * 7 + 3) % RIG_PAGES */
	struct translate_view view;

	/* What the walk does not know. */
	struct range lost[4];
	unsigned n_lost;
	uint64_t asked; /* walks, answered or not */

	struct hole holes_at[RIG_HOLES];
	struct hole_list holes;

	struct vring_driver *driver;
	struct vring ring;
	struct vring_config config;
};

static inline unsigned rig_place(unsigned page)
{
	return (page * 7 + 3) % RIG_PAGES;
}

static inline uint64_t rig_addr(const struct rig *rig, uint32_t offset)
{
	return (uintptr_t)rig->mem + offset;
}

static inline void rig_piece(const struct rig *rig, uint32_t offset, struct walk *ret)
{
	uint32_t size, at;
	char *from = rig->mem;

	switch (rig->cut) {
	case RIG_BYTES:
	case RIG_ODD:
		size = rig->cut == RIG_BYTES ? 1 : 37;
		from = offset / size % 2 ? rig->alias : rig->mem;
		break;
	case RIG_PAGEWISE:
		size = TRANSLATE_PAGE;
		at = offset / size;
		from = rig->shuffled + (rig_place(at) - (ptrdiff_t)at) * (ptrdiff_t)size;
		break;
	default: size = RIG_SIZE;
	}
	at = offset % size;
	*ret = (struct walk){ .ptr = from + offset, .before = at, .after = size - at };
	if (ret->after > RIG_SIZE - offset)
		ret->after = RIG_SIZE - offset;
	ret->perm = PERM_RW;
}

static inline bool rig_walk(struct translate_view *view, uint64_t addr, uint8_t perm,
                            struct walk *ret)
{
	struct rig *rig = view->source;
	uint64_t offset = addr - (uintptr_t)rig->mem;

	(void)perm;
	rig->asked++;
	ret->after = 1;
	if (offset >= RIG_SIZE)
		return false;
	rig_piece(rig, (uint32_t)offset, ret);
	for (unsigned i = 0; i < rig->n_lost; i++) {
		if (range_has(rig->lost[i], addr)) {
			ret->after = rig->lost[i].last - addr + 1;
			return false;
		}
		if (rig->lost[i].start > addr && rig->lost[i].start - addr < ret->after)
			ret->after = rig->lost[i].start - addr;
	}
	return true;
}

static inline char *rig_map_file(int fd)
{
	char *ptr = mmap(NULL, RIG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(ptr != MAP_FAILED);
	return ptr;
}

static inline void rig_init(struct rig *rig, enum rig_cut cut, bool can_miss)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);

	*rig = (struct rig){ .cut = cut };
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, RIG_SIZE), 0);
	rig->mem = rig_map_file(fd);
	rig->alias = rig_map_file(fd);
	rig->shuffled = rig_map_file(fd);
	for (unsigned i = 0; i < RIG_PAGES; i++) {
		char *at = rig->shuffled + (size_t)rig_place(i) * TRANSLATE_PAGE;

		assert_ptr_equal(mmap(at, TRANSLATE_PAGE, PROT_READ | PROT_WRITE,
		                      MAP_SHARED | MAP_FIXED, fd, (off_t)i * TRANSLATE_PAGE),
		                 at);
	}
	close(fd);
	assert_int_equal(translate_view_init(&rig->view, cut == RIG_PAGEWISE ? 64 : 0), 0);
	translate_view_attach(&rig->view, rig_walk, rig, can_miss);
	rig->holes = (struct hole_list){ .holes = rig->holes_at, .cap = RIG_HOLES };
}

static inline void rig_done(struct rig *rig)
{
	vring_driver_free(rig->driver);
	vring_done(&rig->ring);
	translate_view_done(&rig->view);
	munmap(rig->mem, RIG_SIZE);
	munmap(rig->alias, RIG_SIZE);
	munmap(rig->shuffled, RIG_SIZE);
}

static inline void rig_lose(struct rig *rig, uint32_t offset, uint32_t len)
{
	assert_true(rig->n_lost < 4);
	assert_true(range_make(rig_addr(rig, offset), len, &rig->lost[rig->n_lost++]));
	translate_forget(&rig->view, RANGE_ALL);
}

static inline void rig_find(struct rig *rig)
{
	rig->n_lost = 0;
	rig->holes.n = 0;
	rig->holes.more = false;
}

static inline struct vring_config rig_config(const struct rig *rig, uint16_t num, bool event_idx,
                                             bool indirect)
{
	return (struct vring_config){
		.num = num,
		.event_idx = event_idx,
		.indirect = indirect,
		.desc = rig_addr(rig, RIG_DESC),
		.avail = rig_addr(rig, RIG_AVAIL),
		.used = rig_addr(rig, RIG_USED),
	};
}

/* A started, mapped ring; the driver's part is left as it is: zero. */
static inline void rig_start(struct rig *rig, uint16_t num, bool event_idx, bool indirect)
{
	rig->config = rig_config(rig, num, event_idx, indirect);
	assert_int_equal(vring_start(&rig->ring, &rig->config), 0);
	assert_int_equal(vring_map(&rig->ring, &rig->view, &rig->holes), 0);
	assert_true(vring_check(&rig->ring));
}

/* The same with a driver on the other side. */
static inline void rig_start_both(struct rig *rig, uint16_t num, bool event_idx, bool indirect,
                                  uint16_t table_entries)
{
	struct vring_driver_config config = {
		.num = num,
		.event_idx = event_idx,
		.desc = rig->mem + RIG_DESC,
		.avail = rig->mem + RIG_AVAIL,
		.used = rig->mem + RIG_USED,
		.tables = indirect ? rig->mem + RIG_TABLES : NULL,
		.tables_addr = rig_addr(rig, RIG_TABLES),
		.table_entries = table_entries,
	};

	assert_true(RIG_TABLES + 16u * num * table_entries <= RIG_DATA);
	assert_int_equal(vring_driver_new(&config, &rig->driver), 0);
	rig_start(rig, num, event_idx, indirect);
}

/* What the driver writes, by hand. */
static inline void rig_set16(struct rig *rig, uint32_t offset, uint16_t value)
{
	value = htole16(value);
	memcpy(rig->mem + offset, &value, sizeof(value));
}

static inline uint16_t rig_get16(const struct rig *rig, uint32_t offset)
{
	uint16_t value;

	memcpy(&value, rig->mem + offset, sizeof(value));
	return le16toh(value);
}

static inline void rig_set_avail(struct rig *rig, uint16_t index)
{
	rig_set16(rig, RIG_AVAIL + RING_INDEX_OFFSET, index);
}

static inline void rig_set_head(struct rig *rig, uint16_t index, uint16_t head)
{
	rig_set16(rig, RIG_AVAIL + avail_entry_offset(rig->config.num, index), head);
}

/* @desc in the machine's byte order. */
static inline void rig_set_desc(struct rig *rig, uint32_t table, unsigned i, struct ring_desc desc)
{
	struct ring_desc raw = {
		.addr = htole64(desc.addr),
		.len = htole32(desc.len),
		.flags = htole16(desc.flags),
		.next = htole16(desc.next),
	};

	memcpy(rig->mem + table + i * sizeof(raw), &raw, sizeof(raw));
}

/* xorshift: the same sequence on each run. */
static inline uint32_t rig_random(uint64_t *state, uint32_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 32) % below;
}

#endif
