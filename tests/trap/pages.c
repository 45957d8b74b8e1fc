/* SPDX-License-Identifier: BSD-3-Clause */
#include "pages.h"

#include <inttypes.h>
#include <string.h>

#include "load.h"
#include "memory/translate.h"
#include "verdict.h"

/* Fixed pages, and the two halves of the others: a flush in two ranges takes one each. */
#define FIXED_IOVA UINT64_C(0x10000000)
#define LOW_IOVA   UINT64_C(0x20000000)
#define HIGH_IOVA  UINT64_C(0x100000000)
#define GAP_START  UINT64_C(0xfee00000)
#define GAP_END    UINT64_C(0xfef00000)
#define HALF_PAGES 96u

#define RANGE_MAX  8u

static const char *const way_names[WAY_END] = {
	[WAY_INVALIDATE] = "an invalidation",
	[WAY_RANGE] = "an invalidation of several pages",
	[WAY_NOTHING] = "an update with permission 0",
	[WAY_REPLACE] = "an update to another frame",
	[WAY_LESS] = "an update to read only",
	[WAY_FLUSH] = "a flush",
	[WAY_FLUSH_LOW] = "the lower half of a flush",
	[WAY_FLUSH_HIGH] = "the upper half of a flush",
	[WAY_SLOT] = "the removal of its region",
	[WAY_TABLE] = "a memory table without its region",
	[WAY_ADD] = "an addition",
};

const char *pages_way_name(enum way way)
{
	return way_names[way];
}

void pages_init(struct pages *pages, struct frames *frames, const char *subject, uint64_t seed)
{
	memset(pages, 0, sizeof(*pages));
	pages->frames = frames;
	pages->subject = subject;
	pages->random = seed;
}

void pages_connect(struct pages *pages, int main_fd, int back_fd)
{
	pages->main.fd = main_fd;
	pages->back.fd = back_fd;
}

static uint64_t iova_of(const struct pages *pages, unsigned index)
{
	unsigned moving = index - pages->n_fixed;

	if (index < pages->n_fixed)
		return FIXED_IOVA + (uint64_t)index * PAGE;
	if (moving < HALF_PAGES)
		return LOW_IOVA + (uint64_t)moving * PAGE;
	return HIGH_IOVA + (uint64_t)(moving - HALF_PAGES) * PAGE;
}

/* Wide: behind that of the page below. */
static unsigned new_frame(struct pages *pages, const struct page *page)
{
	unsigned behind = page > pages->all ? page[-1].frame + 1 : 0;

	if (pages->wide && behind && frames_take_this(pages->frames, behind))
		return behind;
	return frames_take(pages->frames, pattern_random(&pages->random));
}

struct page *pages_add(struct pages *pages, bool fixed)
{
	struct page *page = &pages->all[pages->n];

	pages->n_fixed += fixed;
	*page = (struct page){ .fixed = fixed, .frame = pages->n };
	pages->n++;
	page->iova = iova_of(pages, (unsigned)(page - pages->all));
	if (!fixed)
		page->frame = new_frame(pages, page);
	return page;
}

void *page_old_ptr(const struct pages *pages, const struct page *page)
{
	return page->going && page->old != page->frame ? frame_ptr(pages->frames, page->old) : NULL;
}

void pages_expect(struct pages *pages, const struct removal *removal)
{
	pages->acks[(pages->acks_at + pages->n_acks++) % PAGES_FIFO] = *removal;
	pages->n_going += removal->serial != 0;
}

static void send_iotlb(struct pages *pages, struct vhu_iotlb iotlb, const struct removal *removal)
{
	struct note note = {
		.header = { VHU_FE_IOTLB_MSG, VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY,
		            sizeof(iotlb) },
		.payload.iotlb = iotlb,
	};

	if (line_push(&pages->main, &note))
		verdict_set(VERDICT_FAULT, "%s: the back-end reads nothing", pages->subject);
	pages_expect(pages, removal);
}

void pages_send_update(struct pages *pages, const struct page *page, unsigned n, uint8_t perm,
                       const struct removal *removal)
{
	const struct vhu_iotlb iotlb = {
		.iova = page->iova,
		.size = (uint64_t)n * PAGE,
		.uaddr = perm ? (uintptr_t)page_ptr(pages, page) : 0,
		.perm = perm,
		.type = VHU_IOTLB_UPDATE,
	};

	send_iotlb(pages, iotlb, removal);
}

static void send_invalidate(struct pages *pages, uint64_t iova, uint64_t size,
                            const struct removal *removal)
{
	const struct vhu_iotlb iotlb = {
		.iova = iova,
		.size = size,
		.type = VHU_IOTLB_INVALIDATE,
	};

	send_iotlb(pages, iotlb, removal);
}

void pages_begin(struct pages *pages, struct page *page, uint64_t serial)
{
	page->given = false;
	page->going = serial;
	page->old = page->frame;
	if (page->fixed)
		return;
	page->frame = new_frame(pages, page);
	if (page->user)
		io_fill(page->user, page->part, page_ptr(pages, page));
}

/* Of the pages from first to last all go, but those that are on their way already. */
static void begin_all(struct pages *pages, const struct removal *removal)
{
	for (unsigned i = removal->first; i <= removal->last; i++) {
		struct page *page = &pages->all[i];

		if (page->going)
			page->given = false;
		else
			pages_begin(pages, page, removal->serial);
	}
}

static bool remove_one(struct pages *pages, struct removal *removal, struct page *page)
{
	uint8_t perm = 0;

	if (!page->given || page->going || page->perm != PERM_RW ||
	    (page->fixed && removal->way != WAY_INVALIDATE))
		return false;
	if (removal->way == WAY_LESS) {
		page->going = removal->serial;
		page->old = page->frame;
		page->perm = perm = PERM_READ;
	} else {
		pages_begin(pages, page, removal->serial);
	}
	if (removal->way == WAY_REPLACE) {
		page->given = true;
		perm = PERM_RW;
	}
	if (removal->way == WAY_INVALIDATE)
		send_invalidate(pages, page->iova, PAGE, removal);
	else
		pages_send_update(pages, page, 1, perm, removal);
	return true;
}

static bool remove_range(struct pages *pages, struct removal *removal)
{
	unsigned n = 2 + (unsigned)(pattern_random(&pages->random) % (RANGE_MAX - 1));
	const struct page *first = &pages->all[removal->first], *last;

	removal->last = removal->first + n - 1;
	if (removal->last >= pages->n)
		return false;
	last = &pages->all[removal->last];
	/* Not over the hole between the halves: it would be a flush of much more. */
	if (last->iova - first->iova != (n - 1) * (uint64_t)PAGE)
		return false;
	begin_all(pages, removal);
	send_invalidate(pages, first->iova, (uint64_t)n * PAGE, removal);
	return true;
}

static bool remove_all(struct pages *pages, struct removal *removal)
{
	unsigned middle = pages->n_fixed + HALF_PAGES;

	if (middle > pages->n)
		middle = pages->n;
	removal->first = removal->way == WAY_FLUSH_HIGH ? middle : 0;
	removal->last = (removal->way == WAY_FLUSH_LOW ? middle : pages->n) - 1;
	begin_all(pages, removal);
	switch (removal->way) {
	case WAY_FLUSH_LOW: send_invalidate(pages, 0, GAP_START, removal); break;
	case WAY_FLUSH_HIGH: send_invalidate(pages, GAP_END, -GAP_END, removal); break;
	default: send_invalidate(pages, 0, 0, removal);
	}
	return true;
}

bool pages_remove(struct pages *pages, enum way way, enum frame_state mark)
{
	unsigned lowest = pages->rings ? 0 : pages->n_fixed;
	struct removal removal = {
		.way = way,
		.mark = mark,
		.serial = pages->serial + 1,
		.first = lowest + (unsigned)(pattern_random(&pages->random) % (pages->n - lowest)),
	};
	bool done;

	if (pages->n_going >= GOING_MAX || pages->main.out_end > LINE_ROOM)
		return false;
	removal.last = removal.first;
	if (way == WAY_RANGE)
		done = remove_range(pages, &removal);
	else if (way < WAY_FLUSH)
		done = remove_one(pages, &removal, &pages->all[removal.first]);
	else
		done = remove_all(pages, &removal);
	if (done)
		pages->serial++;
	return done;
}

void pages_flush(struct pages *pages, bool odd)
{
	const struct removal none = { 0 };

	for (unsigned i = 0; i < pages->n; i++)
		pages->all[i].given = false;
	if (odd) {
		send_invalidate(pages, 0, GAP_START, &none);
		send_invalidate(pages, GAP_END, -GAP_END, &none);
	} else {
		send_invalidate(pages, 0, 0, &none);
	}
}

void pages_land(struct pages *pages, struct page *page)
{
	if (page->user)
		io_land(page->user, page->part, frame_ptr(pages->frames, page->old));
}
