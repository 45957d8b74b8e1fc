/* SPDX-License-Identifier: BSD-3-Clause */
/* The second region of memory, taken out while requests run and put in again. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "pages.h"
#include "support/peer.h"
#include "verdict.h"

/* Messages with fds go out by themselves, behind all that was collected. */
static void send_whole(struct pages *pages, const struct message *message)
{
	struct pollfd poller = { .fd = pages->main.fd, .events = POLLOUT };
	int error = 0;

	while (pages->main.out_end && !error) {
		poll(&poller, 1, 10);
		error = line_flush(&pages->main);
	}
	if (!error)
		error = peer_send(pages->main.fd, message);
	if (error)
		verdict_set(VERDICT_FAULT, "%s: a memory table can't be sent: %s", pages->subject,
		            strerror(-error));
}

static struct vhu_memory_region describe(const struct frames_region *region)
{
	return (struct vhu_memory_region){ region->gpa, region->size, region->uva, 0 };
}

static void send_slot(struct pages *pages, uint32_t request)
{
	const struct frames_region *region = &pages->frames->regions[1];
	struct message message;

	message_init(&message, request);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = describe(region);
	if (request == VHU_FE_ADD_MEM_REG) {
		message.fds[0] = region->fd;
		message.n_fds = 1;
	}
	send_whole(pages, &message);
}

static void send_table(struct pages *pages)
{
	const struct frames_region *region = &pages->frames->regions[0];
	struct message message;

	message_init(&message, VHU_FE_SET_MEM_TABLE);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = (uint32_t)(offsetof(struct vhu_memory, regions) +
	                                 sizeof(struct vhu_memory_region));
	message.payload.memory.n = 1;
	message.payload.memory.regions[0] = describe(region);
	message.fds[0] = region->fd;
	message.n_fds = 1;
	send_whole(pages, &message);
}

bool pages_remove_region(struct pages *pages, enum way way)
{
	const struct removal removal = { .way = way, .serial = pages->serial + 1 };

	if (pages->n_going || !pages->frames->regions[1].shared)
		return false;
	pages->serial++;
	frames_withhold(pages->frames, 1);
	for (unsigned i = pages->n_fixed; i < pages->n; i++) {
		struct page *page = &pages->all[i];

		if (!frame_is_in(pages->frames, page->frame, 1))
			continue;
		pages_begin(pages, page, removal.serial);
		pages->frames->all[page->old].iova = page->iova;
	}
	if (way == WAY_SLOT)
		send_slot(pages, VHU_FE_REM_MEM_REG);
	else
		send_table(pages);
	pages_expect(pages, &removal);
	return true;
}

bool pages_add_region(struct pages *pages)
{
	const struct removal none = { .way = WAY_ADD };

	if (pages->n_going || pages->region_comes || pages->frames->regions[1].shared)
		return false;
	frames_readmit(pages->frames, 1);
	send_slot(pages, VHU_FE_ADD_MEM_REG);
	pages_expect(pages, &none);
	pages->region_comes = true;
	return true;
}

void pages_region_acknowledged(struct pages *pages, const struct removal *removal)
{
	if (removal->way == WAY_ADD) {
		pages->region_comes = false;
		frames_shared(pages->frames, 1);
		return;
	}
	frames_removed(pages->frames, 1, removal->serial, pages_way_name(removal->way));
	for (unsigned i = pages->n_fixed; i < pages->n; i++) {
		struct page *page = &pages->all[i];

		if (page->going != removal->serial)
			continue;
		page->going = 0;
		page->gone = removal->serial;
		pages_land(pages, page);
		pages->trapped++;
	}
}
