/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: when addresses are translated at all, and what features change about it. */
#include "suite_backend.h"
#include "work.h"

static void plain_without_the_feature(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	work_start_rings(f, NULL);
	work_expect_works(f);
	EXPECT_EQUAL(f, f->n_misses, 0, "misses without bit 33");
}

/* Once per queue pair, when a migration begins. */
static void features_again(struct front *f)
{
	struct span data = work_start_page(f);
	unsigned from;

	work_expect_reads(f, &data, 1);
	from = f->n_misses;
	for (unsigned i = 0; i < 3; i++)
		front_set_features(f, FRONT_IOMMU);
	work_out(f, &data, 1);
	work_expect_out(f);
	EXPECT_EQUAL(f, f->n_misses - from, 0, "misses behind features that have not changed");
	work_expect_works(f);
}

static void features_again_while_parked(struct front *f)
{
	struct span data = work_start_page(f);
	unsigned from;

	front_pattern(&data, 1);
	from = f->n_misses;
	f->on_miss = work_hold;
	work_out(f, &data, 1);
	work_linger(f, FRONT_QUIET);
	front_set_features(f, FRONT_IOMMU);
	work_release(f, from);
	work_expect_out(f);
	work_expect_saw(f, &data, 1);
}

static void addresses_again(struct front *f)
{
	struct span data = work_start_page(f);

	work_expect_reads(f, &data, 1);
	for (unsigned i = 0; i < 2; i++) {
		struct message addr;

		if (!f->rings[i].num)
			continue;
		addr = front_ring_addr(f, i);
		expect_ack(f, &addr);
	}
	work_warm_up(f);
	work_expect_works(f);
}

/* The rings' addresses mean something else now; whatever happens, nobody must die. */
static void cleared_while_rings_run(struct front *f)
{
	struct message features;

	work_start(f);
	features = msg_u64(VHU_FE_SET_FEATURES,
	                   VHU_BIT(VIRTIO_F_VERSION_1) | VHU_BIT(VHU_F_PROTOCOL_FEATURES));
	if (front_try(f, &features)) {
		front_kick(f, 0);
		work_linger(f, FRONT_QUIET);
		expect_alive(f);
		front_ring_stop(f, 0);
	}
	expect_serves_anew(f);
	work_start(f);
	work_expect_works(f);
}

static void stop_all(struct front *f)
{
	front_ring_stop(f, 0);
	if (f->subject->device == DEVICE_NET)
		front_ring_stop(f, 1);
}

/* What was known under the old features is not known any more. */
static void cleared_and_set(struct front *f)
{
	struct span data = work_start_page(f), moved;

	work_expect_writes(f, &data, 1);
	work_settle(f);
	stop_all(f);
	front_set_features(f, 0);
	front_set_features(f, FRONT_IOMMU);
	front_pattern(&data, 2);
	moved = work_move(f, &data);
	front_fill(f, &data, 0xa5);
	work_start_rings(f, NULL);
	work_expect_reads(f, &moved, 1);
	work_expect_writes(f, &moved, 1);
	expect_bytes(f, &data, 0xa5, "what was mapped before bit 33 was cleared");
}

static void before_features(struct front *f)
{
	struct message update = msg_update(UINT64_C(0x100000000), RAM_PAGE, 0, PERM_RW);

	front_connect(f);
	front_negotiate_protocol(f, &(struct front_setup){ 0 });
	expect_survives(f, &update);
	work_start(f);
	work_expect_works(f);
}

static void without_the_feature(struct front *f)
{
	struct message invalidate = msg_invalidate(0, UINT64_MAX);

	front_open(f, &(struct front_setup){ 0 });
	work_start_rings(f, NULL);
	if (!front_try(f, &invalidate) && f->main.fd < 0) {
		expect_serves_anew(f);
		return;
	}
	work_expect_works(f);
	EXPECT_EQUAL(f, f->n_misses, 0, "misses without bit 33");
}

/* Whether it is acknowledged or not, what comes next is what was asked for next. */
static void no_reply_wanted(struct front *f)
{
	struct message update, reply;
	struct span data = work_start_page(f);

	update = msg_update(data.addr, RAM_PAGE, front_uva(f, &data, 0), PERM_RW);
	front_send(f, &update);
	if (!link_recv(&f->main, &reply, FRONT_QUIET)) {
		message_close_fds(&reply);
		NOTE(f, "it is acknowledged though nobody has asked");
		EXPECT_EQUAL(f, reply.header.request, VHU_FE_IOTLB_MSG, "request of the reply");
	}
	expect_alive(f);
	front_pattern(&data, 3);
	work_expect_reads(f, &data, 1);
}

static void guest_physical_addresses(struct front *f)
{
	front_connect(f);
	if (ram_make(&f->ram))
		trial_error(f->trial, "no memory to share");
	for (unsigned i = 0; i < f->ram.n; i++)
		f->ram.regions[i].uva = f->ram.regions[i].gpa;
	front_open(f, &(struct front_setup){ .features = FRONT_IOMMU,
	                                     .protocol = VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES) });
	work_start_rings(f, NULL);
	work_expect_works(f);
	expect_canaries(f);
}

/* Nothing is taken over from one connection to the next. */
static void next_connection_knows_nothing(struct front *f)
{
	struct span data = work_start_page(f), moved;

	work_expect_writes(f, &data, 1);
	front_pattern(&data, 4);
	moved = work_move(f, &data);
	front_fill(f, &data, 0xa5);
	work_start(f);
	work_expect_reads(f, &moved, 1);
	work_expect_writes(f, &moved, 1);
	expect_bytes(f, &data, 0xa5, "what the last connection had mapped");
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb-mode.plain",
		.title = "without bit 33 addresses are guest physical, and nothing is asked for",
		.rule = "vhost-user: Memory access; M1",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .echo = true },
		.backend = plain_without_the_feature,
		.explain = "QEMU clears the bit when the machine has no IOMMU, whatever "
			   "the driver has accepted.",
	},
	{
		.id = "iotlb-mode.features-again",
		.title = "the same features once more lose nothing",
		.rule = "M1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = features_again,
		.explain = "Front-ends send them again when a migration begins.",
	},
	{
		.id = "iotlb-mode.features-again-while-parked",
		.title = "the same while a miss is unanswered",
		.rule = "M1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = features_again_while_parked,
	},
	{
		.id = "iotlb-mode.addresses-again",
		.title = "the same ring addresses once more lose nothing",
		.rule = "M1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = addresses_again,
	},
	{
		.id = "iotlb-mode.cleared-while-rings-run",
		.title = "bit 33 is cleared while rings run, and nobody dies",
		.rule = "M1",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = cleared_while_rings_run,
	},
	{
		.id = "iotlb-mode.cleared-and-set",
		.title = "bit 33 is cleared and set again: nothing is known any more",
		.rule = "M1, F1",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = cleared_and_set,
	},
	{
		.id = "iotlb-mode.before-features",
		.title = "an UPDATE before anything was negotiated kills nobody",
		.rule = "vhost-user: IOTLB_MSG",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = before_features,
	},
	{
		.id = "iotlb-mode.without-the-feature",
		.title = "an INVALIDATE without bit 33 changes nothing",
		.rule = "M1",
		.level = LEVEL_CONTRACT,
		.needs = { .device = DEVICE_IO, .echo = true },
		.backend = without_the_feature,
	},
	{
		.id = "iotlb-mode.no-reply-wanted",
		.title = "an UPDATE that wants no acknowledgement",
		.rule = "vhost-user: REPLY_ACK, IOTLB_MSG",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = no_reply_wanted,
	},
	{
		.id = "iotlb-mode.guest-physical-addresses",
		.title = "with GPA_ADDRESSES updates name guest physical addresses",
		.rule = "vhost-user: GPA_ADDRESSES; U7",
		.level = LEVEL_MUST,
		.needs = { .features = FRONT_IOMMU,
	                   .protocol = VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES),
	                   .device = DEVICE_IO,
	                   .echo = true },
		.backend = guest_physical_addresses,
	},
	{
		.id = "iotlb-mode.next-connection",
		.title = "the next connection knows nothing of what the last one was told",
		.rule = "F1",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = next_connection_knows_nothing,
	},
};

const struct conform_area area_iotlb_mode = AREA("iotlb-mode", "when addresses are translated",
                                                 cases);
