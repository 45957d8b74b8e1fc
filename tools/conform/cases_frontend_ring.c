/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: how a front-end hands rings over, starts and stops them. */
#include <inttypes.h>

#include "observe.h"
#include "suite_frontend.h"
#include "vring/layout.h"

static void sizes(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_NUM)) {
			uint32_t num = w.message.payload.state.num;

			EXPECT_SEEN(&w, num && num <= 32768 && !(num & (num - 1)),
			            "a power of two up to 32768: it is %u", num);
		}
}

static void aligned(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_ADDR)) {
			const struct vhu_vring_addr *addr = &w.message.payload.addr;

			EXPECT_SEEN(&w,
			            !(addr->desc % RING_DESC_ALIGN ||
			              addr->avail % RING_AVAIL_ALIGN ||
			              addr->used % RING_USED_ALIGN),
			            "descriptors at a multiple of 16, available ring of 2, used "
			            "ring of 4");
		}
}

static void complete(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		if (walk_at(&w, VHU_FE_SET_VRING_KICK)) {
			unsigned index = (unsigned)(w.message.payload.u64 & VHU_VRING_INDEX_MASK);
			const struct told_ring *ring = &w.told.rings[index];

			EXPECT_SEEN(&w, ring->has_num && ring->has_addr && ring->has_base,
			            "size, base and addresses of ring %u before it is started",
			            index);
		}
}

static void expect_fd(const struct walk *w, bool must_read, bool must_write)
{
	const struct seen_fd *fd = &w->seen->fds[0];

	if (!w->seen->n_fds)
		return;
	EXPECT_SEEN(w, fd->kind == SEEN_EVENTFD || fd->kind == SEEN_PIPE || fd->kind == SEEN_SOCKET,
	            "an eventfd, or a pipe: it is %s", seen_kind_name(fd->kind));
	EXPECT_SEEN(w, (!must_read || fd->readable) && (!must_write || fd->writable),
	            "an fd that can be %s", must_read ? "read" : "written");
}

static void eventfds(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w)) {
		if (walk_at(&w, VHU_FE_SET_VRING_KICK))
			expect_fd(&w, true, false);
		if (walk_at(&w, VHU_FE_SET_VRING_CALL) || walk_at(&w, VHU_FE_SET_VRING_ERR))
			expect_fd(&w, false, true);
	}
}

static void expect_inside(const struct walk *w, unsigned index, const char *what, uint64_t uva,
                          uint64_t size)
{
	EXPECT_SEEN(w, told_inside(&w->told, uva, size) == size,
	            "the %s of ring %u, 0x%" PRIx64 " and %" PRIu64
	            " bytes, to lie in the memory that is shared",
	            what, index, uva, size);
}

static void addresses_inside(struct back *b)
{
	unsigned n = 0;
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w)) {
		const struct told_ring *ring;
		unsigned index = w.message.payload.state.index & VHU_VRING_INDEX_MASK;

		if (!walk_at(&w, VHU_FE_SET_VRING_ENABLE) || !w.message.payload.state.num ||
		    told_iommu(&w.told) || !w.told.rings[index].has_addr)
			continue;
		ring = &w.told.rings[index];
		expect_inside(&w, index, "descriptor table", ring->addr.desc, 16ull * ring->num);
		expect_inside(&w, index, "available ring", ring->addr.avail, 4 + 2ull * ring->num);
		expect_inside(&w, index, "used ring", ring->addr.used, 4 + 8ull * ring->num);
		n++;
	}
	if (!n)
		trial_skip(b->trial, "rings are named by I/O virtual addresses");
}

static void base_goes_on(struct back *b)
{
	uint32_t replied[TOLD_RINGS];
	bool has[TOLD_RINGS] = { false };
	unsigned n = 0;
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w)) {
		const struct vhu_vring_state *state = &w.message.payload.state;
		unsigned index = state->index & VHU_VRING_INDEX_MASK;

		if (w.seen->ours && w.seen->channel == MESSAGE_MAIN &&
		    w.seen->header.request == VHU_FE_GET_VRING_BASE) {
			replied[index] = state->num;
			has[index] = true;
		}
		if (!walk_at(&w, VHU_FE_SET_VRING_BASE) || !has[index])
			continue;
		EXPECT_SEEN(&w, state->num == replied[index] || state->num == 0,
		            "ring %u to go on at %u, where it was stopped, or to begin at 0", index,
		            replied[index]);
		n++;
	}
	if (!n)
		trial_skip(b->trial, "no ring was stopped and started again");
}

static void stopped_before_the_end(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		walk_at(&w, VHU_FE_SET_VRING_KICK);
	if (!b->record.ended)
		trial_skip(b->trial, "the front-end did not end its connection while it was "
		                     "observed");
	for (unsigned i = 0; i < TOLD_RINGS; i++)
		EXPECT(b, !w.told.rings[i].started,
		       "each ring to be stopped by GET_VRING_BASE before the connection is closed: "
		       "ring %u was not",
		       i);
}

static void enabled_by_message(struct back *b)
{
	struct walk w;

	walk_start(&w, b);
	while (walk_next(&w))
		walk_at(&w, VHU_FE_SET_VRING_KICK);
	if (!(w.told.features & VHU_BIT(VHU_F_PROTOCOL_FEATURES)))
		trial_skip(b->trial, "rings are enabled without a message: bit 30 is not set");
	for (unsigned i = 0; i < TOLD_RINGS; i++)
		EXPECT(b, !w.told.rings[i].started || w.told.rings[i].enabled,
		       "each ring that is started to be enabled: ring %u is not", i);
}

static void used(struct back *b)
{
	if (b->device == DEVICE_ANY)
		trial_skip(b->trial, "needs --type=blk or net");
	back_open(b, BACK_ANY);
	back_expect_goes_on(b);
}

static const struct conform_case cases[] = {
	{
		.id = "fe-ring.size",
		.title = "a ring's size is a power of two",
		.rule = "virtio 1.2, 2.7; vhost-user: SET_VRING_NUM",
		.level = LEVEL_MUST,
		.frontend = sizes,
	},
	{
		.id = "fe-ring.aligned",
		.title = "the parts of a ring are aligned",
		.rule = "virtio 1.2, 2.7",
		.level = LEVEL_MUST,
		.frontend = aligned,
	},
	{
		.id = "fe-ring.complete",
		.title = "a ring is started when everything was said of it",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.frontend = complete,
		.explain = "SET_VRING_NUM, SET_VRING_BASE and SET_VRING_ADDR come, in any order, "
			   "before\n"
			   "SET_VRING_KICK: a back-end may begin at once.",
	},
	{
		.id = "fe-ring.eventfds",
		.title = "kick, call and error are fds that can be waited for or signalled",
		.rule = "vhost-user: SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR",
		.level = LEVEL_MUST,
		.frontend = eventfds,
	},
	{
		.id = "fe-ring.inside",
		.title = "without an IOMMU rings lie in the memory that is shared",
		.rule = "vhost-user: SET_VRING_ADDR; Memory access",
		.level = LEVEL_MUST,
		.frontend = addresses_inside,
	},
	{
		.id = "fe-ring.enabled",
		.title = "a ring that is started is enabled, too",
		.rule = "vhost-user: Ring states; SET_VRING_ENABLE",
		.level = LEVEL_MUST,
		.frontend = enabled_by_message,
	},
	{
		.id = "fe-ring.base-goes-on",
		.title = "a ring goes on where GET_VRING_BASE said it was",
		.rule = "vhost-user: GET_VRING_BASE, SET_VRING_BASE",
		.level = LEVEL_MUST,
		.frontend = base_goes_on,
	},
	{
		.id = "fe-ring.stopped",
		.title = "rings are stopped before the connection is closed",
		.rule = "vhost-user: Ring states; GET_VRING_BASE",
		.level = LEVEL_SHOULD,
		.needs.device = DEVICE_IO,
		.frontend = stopped_before_the_end,
	},
	{
		.id = "fe-ring.used",
		.title = "requests come, and more when they are done",
		.rule = "vhost-user: Ring states; virtio 1.2, 2.7",
		.level = LEVEL_MUST,
		.frontend = used,
	},
};

const struct conform_area area_fe_ring = AREA("fe-ring", "rings, their start and stop", cases);
