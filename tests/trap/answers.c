/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes from the back-end: acknowledgements, and traps behind them; misses. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "late.h"
#include "load.h"
#include "memory/translate.h"
#include "pages.h"
#include "verdict.h"

/* Pages of one answer, at most. */
#define GIVEN_MAX 16u

static void trap_page(struct pages *pages, struct page *page, const struct removal *removal)
{
	enum frame_state mark = page->pinned ? FRAME_CANARY : removal->mark;
	const char *name = pages_way_name(removal->way);

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
	frames_lift(pages->frames, pages->keep_away);
}

static bool take_acks(struct pages *pages)
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
	if (r < 0)
		verdict_set(VERDICT_FAULT, "%s: the main channel: no reply", pages->subject);
	return !error;
}

static struct page *page_at(struct pages *pages, uint64_t iova)
{
	for (unsigned i = 0; i < pages->n; i++)
		if (iova - pages->all[i].iova < PAGE)
			return &pages->all[i];
	return NULL;
}

/* S1: not what it has, nor what it has asked for. */
static void take_miss(struct pages *pages, const struct vhu_iotlb *iotlb)
{
	struct page *page = page_at(pages, iotlb->iova);

	if (!page || pages->n_misses == PAGES_FIFO) {
		verdict_set(VERDICT_FAULT, "%s: a miss at 0x%" PRIx64, pages->subject, iotlb->iova);
		return;
	}
	if (page->given && !(iotlb->perm & ~page->perm) && !pages->evicts && !pages->wide)
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
	if (r < 0)
		verdict_set(VERDICT_FAULT, "%s: the back-channel: no miss", pages->subject);
	return !error;
}

/* The page, and those behind it that one update gives with it; how many. */
static unsigned give(struct pages *pages, struct page *page)
{
	unsigned n = 0;

	do {
		page[n].given = true;
		page[n].perm = PERM_RW;
		n++;
	} while (pages->wide && n < GIVEN_MAX && &page[n] < &pages->all[pages->n] && !page->fixed &&
	         !page[n].going && page[n].iova == page->iova + n * (uint64_t)PAGE &&
	         page[n].frame == page->frame + n &&
	         pages->frames->all[page[n].frame].state == FRAME_USED);
	return n;
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

	/* Room for removals is left, and for flushes. */
	if ((page->going && page->old == page->frame) || pages->n_acks >= PAGES_FIFO / 2 ||
	    pages->main.out_end > LINE_ROOM || pages->back.out_end > LINE_ROOM)
		return false;
	if (pages->frames->all[page->frame].state != FRAME_USED)
		frame_lift(pages->frames, page->frame);
	pages_send_update(pages, page, give(pages, page), PERM_RW, &none);
	line_push(&pages->back, &reply);
	pages->n_answers++;
	return true;
}

bool pages_turn(struct pages *pages)
{
	bool any = take_acks(pages);
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
