/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: rings that stop while something is asked for, and what is known when they start again. */
#include "base/fd.h"
#include "suite_backend.h"
#include "work.h"

/* What the used rings hold counts as taken. */
static void take_all(struct front *f)
{
	struct ring_used_elem elem;

	for (unsigned i = 0; i < 2; i++)
		while (f->rings[i].num && ring_take(&f->rings[i], &elem))
			;
}

static bool is_net(const struct front *f)
{
	return f->subject->device == DEVICE_NET;
}

/* Where each ring is to go on. */
struct bases {
	uint16_t base[2];
};

static struct bases stop_all(struct front *f)
{
	struct bases bases = { 0 };

	for (unsigned i = 0; i < (is_net(f) ? 2 : 1); i++)
		bases.base[i] = front_ring_stop(f, i);
	return bases;
}

static void start_all(struct front *f, const struct bases *bases)
{
	for (unsigned i = 0; i < (is_net(f) ? 2 : 1); i++) {
		front_ring_announce(f, i, bases->base[i]);
		front_ring_enable(f, i, true);
		front_kick(f, i);
	}
}

/* A request that waits for its translation; the index of its miss. */
static unsigned park(struct front *f, struct span *ret_data)
{
	unsigned from;

	work_start(f);
	work_settle(f);
	*ret_data = front_alloc(f, WORK_BYTES);
	front_pattern(ret_data, 1);
	from = work_out_held(f, ret_data, 1, 1, (int)f->trial->patience_ms);
	EXPECT(f, f->n_misses > from, "a miss of data that is not known: there is none");
	return from;
}

static void while_parked(struct front *f)
{
	unsigned index = work_out_ring(f);
	struct span data;
	struct bases bases;

	park(f, &data);
	bases = stop_all(f);
	EXPECT_EQUAL(f, bases.base[index], (uint16_t)(ring_avail_index(&f->rings[index]) - 1),
	             "base of a ring whose last request has not begun");
	EXPECT(f, !work_out_done(f, FRONT_QUIET), "nothing to be used behind the stop");
}

static void restarted_while_parked(struct front *f)
{
	struct span data;
	struct bases bases;
	unsigned from = park(f, &data);

	bases = stop_all(f);
	for (unsigned i = from; i < f->n_misses; i++)
		front_refuse(f, &f->misses[i]);
	f->on_miss = NULL;
	start_all(f, &bases);
	work_expect_out(f);
	work_expect_saw(f, &data, 1);
	work_expect_works(f);
}

/* Refused for the run that has ended: nothing of the next one is meant by it. */
static void late_replies(struct front *f)
{
	struct span data;
	struct bases bases;
	unsigned from = park(f, &data), to = f->n_misses;

	if (!(f->misses[from].header.flags & VHU_FLAG_NEED_REPLY))
		trial_skip(f->trial, "its misses want no replies");
	bases = stop_all(f);
	start_all(f, &bases);
	work_linger(f, FRONT_QUIET);
	for (unsigned i = from; i < to; i++)
		front_refuse(f, &f->misses[i]);
	work_release(f, to);
	work_expect_out(f);
	work_expect_saw(f, &data, 1);
}

static void silence(struct front *f)
{
	struct span data;

	work_start(f);
	work_settle(f);
	stop_all(f);
	data = front_alloc(f, WORK_BYTES);
	work_out(f, &data, 1);
	front_push(f, &data);
	expect_invalidate(f, 0, UINT64_MAX);
	front_kick(f, 0);
	expect_no_miss(f);
	EXPECT(f, !work_out_done(f, FRONT_QUIET), "nothing to be used while rings are stopped");
}

static void forgotten_at_the_stop(struct front *f)
{
	struct span data = work_start_page(f), moved;
	struct bases bases;

	work_expect_writes(f, &data, 1);
	work_settle(f);
	take_all(f);
	bases = stop_all(f);
	front_pattern(&data, 2);
	moved = work_move(f, &data);
	front_fill(f, &data, 0xa5);
	start_all(f, &bases);
	work_warm_up(f);
	work_expect_reads(f, &moved, 1);
	work_expect_writes(f, &moved, 1);
	expect_bytes(f, &data, 0xa5, "what was mapped before the rings were stopped");
}

static void told_while_stopped(struct front *f)
{
	struct span data;
	struct bases bases;
	unsigned from;

	work_start(f);
	work_settle(f);
	take_all(f);
	bases = stop_all(f);
	data = front_alloc(f, WORK_BYTES);
	front_push(f, &data);
	start_all(f, &bases);
	work_warm_up(f);
	from = f->n_misses;
	work_out(f, &data, 1);
	work_expect_out(f);
	EXPECT_EQUAL(f, work_pages_missed(f, &data, from), 0,
	             "misses of a page that was told while rings were stopped");
}

static void set_status(struct front *f, uint64_t value)
{
	struct message message = msg_u64(VHU_FE_SET_STATUS, value);

	expect_ack(f, &message);
}

/* QEMU resets the status first and asks for the bases afterwards. */
static void status_0_first(struct front *f)
{
	unsigned index = work_out_ring(f);
	struct bases bases;

	work_start(f);
	work_expect_works(f);
	work_settle(f);
	take_all(f);
	set_status(f, 0);
	bases = stop_all(f);
	EXPECT_EQUAL(f, bases.base[index], ring_used_index(&f->rings[index]),
	             "base of a ring of which everything is used");
	set_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
	                      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	start_all(f, &bases);
	work_warm_up(f);
	work_expect_works(f);
}

static void again_and_again(struct front *f)
{
	work_start(f);
	for (unsigned i = 0; i < 25; i++) {
		struct bases bases;

		work_settle(f);
		take_all(f);
		bases = stop_all(f);
		start_all(f, &bases);
		work_warm_up(f);
		work_expect_works(f);
	}
}

static void disabled_while_parked(struct front *f)
{
	struct span data;
	unsigned from = park(f, &data);

	front_ring_enable(f, work_out_ring(f), false);
	front_ring_enable(f, work_out_ring(f), true);
	work_release(f, from);
	work_expect_out(f);
	work_expect_works(f);
}

static void disconnected_while_parked(struct front *f)
{
	struct span data;

	park(f, &data);
	f->on_miss = NULL;
	work_start(f);
	work_expect_works(f);
}

static void back_channel_ends(struct front *f)
{
	struct span data;

	park(f, &data);
	link_close(&f->back);
	front_wait_used(f, work_out_ring(f), 1, FRONT_QUIET);
	expect_alive(f);
	stop_all(f);
	expect_serves_anew(f);
}

/* The old one is closed when the new one is there. */
static void another_back_channel(struct front *f)
{
	struct span data;

	park(f, &data);
	f->on_miss = NULL;
	f->back_filler = f->back.fd;
	f->back.fd = -1;
	front_open_back(f, 0);
	fd_close(&f->back_filler);
	work_expect_out(f);
	work_expect_saw(f, &data, 1);
}

static void while_stopped(struct front *f)
{
	struct bases bases;
	struct span data = work_start_page(f);

	work_expect_writes(f, &data, 1);
	work_settle(f);
	take_all(f);
	bases = stop_all(f);
	front_push(f, &data);
	expect_invalidate(f, data.addr, RAM_PAGE);
	front_unmap(f, data.addr, RAM_PAGE);
	front_fill(f, &data, 0xa5);
	start_all(f, &bases);
	work_warm_up(f);
	work_in(f, &data, 1);
	work_nudge(f);
	work_linger(f, FRONT_QUIET);
	expect_bytes(f, &data, 0xa5, "memory that was invalidated while rings were stopped");
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb-stop.while-parked",
		.title = "GET_VRING_BASE is answered while a miss is not, and names the request "
			 "that waits",
		.rule = "vhost-user: Ring states; S5",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = while_parked,
		.explain = "A front-end serves no miss while it waits for the reply. The "
			   "request has not begun: its index is where the ring goes on.",
	},
	{
		.id = "iotlb-stop.restarted-while-parked",
		.title = "the request that waited is done after the restart",
		.rule = "vhost-user: Ring states; S5",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = restarted_while_parked,
	},
	{
		.id = "iotlb-stop.late-replies",
		.title = "replies that come after the restart are not taken for those to the new "
			 "misses",
		.rule = "S9",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = late_replies,
		.explain = "Replies carry no address. QEMU refuses what is left over "
			   "when a device stops; counted wrong, requests of the next run "
			   "fail.",
	},
	{
		.id = "iotlb-stop.silence",
		.title = "nothing is sent while all rings are stopped",
		.rule = "vhost-user: Suspended device state; S6",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = silence,
	},
	{
		.id = "iotlb-stop.forgotten-at-the-stop",
		.title = "what was known is forgotten when the last ring stops",
		.rule = "F1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = forgotten_at_the_stop,
		.explain = "Front-ends stop listening to the IOMMU then, and send no "
			   "INVALIDATE of what is unmapped afterwards.",
	},
	{
		.id = "iotlb-stop.told-while-stopped",
		.title = "what is told while rings are stopped is known when they start",
		.rule = "F1, U5",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = told_while_stopped,
	},
	{
		.id = "iotlb-stop.invalidated-while-stopped",
		.title = "what is invalidated while rings are stopped is gone when they start",
		.rule = "vhost-user: Suspended device state",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = while_stopped,
	},
	{
		.id = "iotlb-stop.status-0-first",
		.title = "status 0 in front of GET_VRING_BASE loses no index",
		.rule = "B1",
		.level = LEVEL_CONTRACT,
		.needs = { .features = FRONT_IOMMU,
	                   .protocol = VHU_BIT(VHU_PROTOCOL_F_STATUS),
	                   .device = DEVICE_IO,
	                   .echo = true },
		.backend = status_0_first,
		.explain = "QEMU does it in this order.",
	},
	{
		.id = "iotlb-stop.again-and-again",
		.title = "25 restarts with everything asked for again",
		.rule = "vhost-user: Ring states",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 20,
		.backend = again_and_again,
	},
	{
		.id = "iotlb-stop.disabled-while-parked",
		.title = "a ring is disabled and enabled while a miss is unanswered",
		.rule = "S5",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = disabled_while_parked,
	},
	{
		.id = "iotlb-stop.disconnected-while-parked",
		.title = "the connection ends while a miss is unanswered",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = disconnected_while_parked,
	},
	{
		.id = "iotlb-stop.back-channel-ends",
		.title = "the back-channel ends while a miss is unanswered, and nobody dies",
		.rule = "vhost-user: Back-end communication; S11",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = back_channel_ends,
	},
	{
		.id = "iotlb-stop.another-back-channel",
		.title = "what is still wanted is asked for by the new back-channel",
		.rule = "S9",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = another_back_channel,
	},
};

const struct conform_area area_iotlb_stop = AREA(
	"iotlb-stop", "stops, restarts, and ends while something is asked for", cases);
