/* SPDX-License-Identifier: BSD-3-Clause */
#include "pages.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "late.h"
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

/* Sockets hold this much without anybody reading. */
#define GOING_MAX 48u
#define RANGE_MAX 8u
#define LINE_ROOM (LINE_BYTES / 2)

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

struct page *pages_add(struct pages *pages, bool fixed)
{
	struct page *page = &pages->all[pages->n];

	pages->n_fixed += fixed;
	*page = (struct page){ .fixed = fixed, .frame = pages->n };
	pages->n++;
	page->iova = iova_of(pages, (unsigned)(page - pages->all));
	if (!fixed)
		page->frame = frames_take(pages->frames, pattern_random(&pages->random));
	return page;
}

static struct page *page_at(struct pages *pages, uint64_t iova)
{
	for (unsigned i = 0; i < pages->n; i++)
		if (iova - pages->all[i].iova < PAGE)
			return &pages->all[i];
	return NULL;
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

static void send_update(struct pages *pages, const struct page *page, uint8_t perm,
                        const struct removal *removal)
{
	const struct vhu_iotlb iotlb = {
		.iova = page->iova,
		.size = PAGE,
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
	page->frame = frames_take(pages->frames, pattern_random(&pages->random));
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
		send_update(pages, page, perm, removal);
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
	struct removal removal = {
		.way = way,
		.mark = mark,
		.serial = pages->serial + 1,
		.first = (unsigned)(pattern_random(&pages->random) % pages->n),
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

static void trap_page(struct pages *pages, struct page *page, const struct removal *removal)
{
	enum frame_state mark = page->pinned ? FRAME_CANARY : removal->mark;
	const char *name = way_names[removal->way];

	page->going = 0;
	page->gone = removal->serial;
	if (page->fixed || removal->way == WAY_LESS) {
		mark = page->fixed ? FRAME_TRAPPED : FRAME_READ_ONLY;
		frame_mark(pages->frames, page->frame, mark, page->iova, removal->serial, name);
		pages->trapped++;
		return;
	}
	if (mark == FRAME_CANARY) {
		pages_land(pages, page);
		pages->canaries++;
	} else {
		pages->trapped++;
	}
	frame_put_away(pages->frames, page->old, mark, page->iova, removal->serial, name);
	if (mark != FRAME_CANARY)
		pages_land(pages, page);
}

static void acknowledged(struct pages *pages, const struct removal *removal)
{
	if (removal->way == WAY_ADD)
		pages_region_acknowledged(pages, removal);
	if (!removal->serial)
		return;
	if (removal->way >= WAY_SLOT) {
		pages_region_acknowledged(pages, removal);
	} else {
		for (unsigned i = removal->first; i <= removal->last; i++)
			if (pages->all[i].going == removal->serial)
				trap_page(pages, &pages->all[i], removal);
	}
	late_acknowledged();
	pages->n_going--;
	pages->rounds++;
	pages->ways[removal->way]++;
	frames_lift(pages->frames, pages->keep_away);
}

bool pages_take_acks(struct pages *pages)
{
	int error = line_pull(&pages->main), r;
	struct note note;

	if (error && error != -EAGAIN)
		verdict_set(VERDICT_FAULT, "%s: the main channel: %s", pages->subject,
		            strerror(-error));
	while ((r = line_next(&pages->main, &note)) == 1) {
		struct removal removal;

		if (!pages->n_acks || note.payload.u64) {
			verdict_set(VERDICT_FAULT, "%s: a reply nobody waits for, or of %" PRIu64,
			            pages->subject, note.payload.u64);
			return true;
		}
		removal = pages->acks[pages->acks_at++ % PAGES_FIFO];
		pages->n_acks--;
		acknowledged(pages, &removal);
	}
	return !error;
}

/* S1: not what it has, nor what it has asked for. */
static void take_miss(struct pages *pages, const struct vhu_iotlb *iotlb)
{
	struct page *page = page_at(pages, iotlb->iova);

	if (!page || pages->n_misses == PAGES_FIFO) {
		verdict_set(VERDICT_FAULT, "%s: a miss at 0x%" PRIx64, pages->subject, iotlb->iova);
		return;
	}
	if (page->given && !(iotlb->perm & ~page->perm) && !pages->evicts)
		verdict_set(VERDICT_FAULT,
		            "%s: a miss at 0x%" PRIx64 " for %u, which was given and not taken "
		            "away since (round %" PRIu64 ")",
		            pages->subject, iotlb->iova, iotlb->perm, pages->serial);
	pages->misses[(pages->misses_at + pages->n_misses++) % PAGES_FIFO] = (struct pages_miss){
		page, iotlb->perm
	};
}

static bool take_misses(struct pages *pages)
{
	int error = line_pull(&pages->back), r;
	struct note note;

	if (error && error != -EAGAIN)
		verdict_set(VERDICT_FAULT, "%s: the back-channel: %s", pages->subject,
		            strerror(-error));
	while ((r = line_next(&pages->back, &note)) == 1)
		take_miss(pages, &note.payload.iotlb);
	return !error;
}

/* False: it has to wait for an acknowledgement. */
static bool answer(struct pages *pages, const struct pages_miss *miss)
{
	const struct note reply = {
		.header = { VHU_BE_IOTLB_MSG, VHU_FLAG_VERSION | VHU_FLAG_REPLY,
		            sizeof(reply.payload.u64) },
	};
	const struct removal none = { 0 };
	struct page *page = miss->page;

	if ((page->going && page->old == page->frame) || pages->n_acks == PAGES_FIFO ||
	    pages->main.out_end > LINE_ROOM || pages->back.out_end > LINE_ROOM)
		return false;
	if (pages->frames->all[page->frame].state != FRAME_USED)
		frame_lift(pages->frames, page->frame);
	page->given = true;
	page->perm = PERM_RW;
	send_update(pages, page, PERM_RW, &none);
	line_push(&pages->back, &reply);
	pages->n_answers++;
	return true;
}

bool pages_turn(struct pages *pages)
{
	bool any = pages_take_acks(pages);
	int error;

	any |= take_misses(pages);
	while (pages->n_misses && answer(pages, &pages->misses[pages->misses_at % PAGES_FIFO])) {
		pages->misses_at++;
		pages->n_misses--;
		any = true;
	}
	error = line_flush(&pages->main);
	if (!error)
		error = line_flush(&pages->back);
	if (error)
		verdict_set(VERDICT_FAULT, "%s: can't be sent: %s", pages->subject,
		            strerror(-error));
	return any;
}
