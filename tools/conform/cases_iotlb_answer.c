/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: answers to misses: refusals, and answers that are no answer. Permissions are in
 * cases_iotlb_permission.c.
 */
#include "blk.h"
#include "suite_backend.h"
#include "work.h"

#define STORM_MS    500
#define STORM_MAX   12u

#define TABLES_SIZE (64u * RING_TABLE * sizeof(struct ring_desc))

static void refused_read(struct front *f)
{
	struct span data = work_start_unmapped(f);

	work_out(f, &data, 1);
	work_expect_failed(f);
	work_expect_works(f);
}

static void refused_write(struct front *f)
{
	struct span data = work_start_unmapped(f);

	front_fill(f, &data, 0x5a);
	work_in(f, &data, 1);
	work_nudge(f);
	work_expect_failed(f);
	expect_bytes(f, &data, 0x5a, "memory that was refused");
	if (f->subject->device == DEVICE_BLK)
		work_expect_works(f);
}

static void one_of_several(struct front *f)
{
	struct span data[4];

	work_start(f);
	for (unsigned i = 0; i < 4; i++)
		data[i] = i == 1 ? work_unmapped(f) : front_alloc(f, WORK_BYTES);
	work_out_batch(f, data, 4);
	for (unsigned i = 0; i < 4; i++)
		EXPECT(f, work_out_done(f, (int)f->trial->patience_ms),
		       "four requests to be used, one of which was refused its data: %u are", i);
	for (unsigned i = 0; i < 4 && f->subject->device == DEVICE_BLK; i++)
		EXPECT(f, (f->io.status.ptr[i] == VIRTIO_BLK_S_OK) == (i != 1),
		       "only the second request to fail: the status of request %u is %u", i,
		       (unsigned char)f->io.status.ptr[i]);
}

/* What was refused is not remembered: the driver may map it later. */
static void refused_and_mapped_later(struct front *f)
{
	struct span data = work_start_unmapped(f);

	work_out(f, &data, 1);
	work_expect_failed(f);
	work_map(f, &data, PERM_RW);
	front_pattern(&data, 3);
	work_expect_reads(f, &data, 1);
}

static enum front_answer say_done(struct front *f, const struct front_miss *miss)
{
	if (f->n_misses - *(unsigned *)f->opaque > STORM_MAX)
		trial_fail(f->trial,
		           "no more than %u misses of a page for which there is no better answer: "
		           "there are more, and nothing ends them",
		           STORM_MAX);
	front_answer(f, miss, 0);
	return ANSWER_DONE;
}

/* An out whose misses are answered by @answer, which counts them. */
static void fails_by(struct front *f,
                     enum front_answer (*answer)(struct front *f, const struct front_miss *miss))
{
	struct span data = work_start_unmapped(f);
	unsigned from = f->n_misses;

	f->opaque = &from;
	f->on_miss = answer;
	work_out(f, &data, 1);
	work_expect_failed(f);
	f->on_miss = NULL;
	work_expect_works(f);
}

static void zero_and_no_update(struct front *f)
{
	fails_by(f, say_done);
}

static enum front_answer give_the_page_behind(struct front *f, const struct front_miss *miss)
{
	expect_update(f, (miss->iova & ~(RAM_PAGE - 1)) + RAM_PAGE, RAM_PAGE, f->ram.regions[0].uva,
	              PERM_RW);
	return say_done(f, miss);
}

static void not_covering(struct front *f)
{
	fails_by(f, give_the_page_behind);
}

static enum front_answer give_read_only(struct front *f, const struct front_miss *miss)
{
	struct span span = { miss->iova & ~(RAM_PAGE - 1), f->ram.regions[0].ptr + RAM_PAGE, 0 };

	expect_update(f, span.addr, RAM_PAGE, f->ram.regions[0].uva + RAM_PAGE, PERM_R);
	return say_done(f, miss);
}

/* The answer to a wish to write is one that allows to read: it can be no better. */
static void too_little_permission(struct front *f)
{
	struct span data = work_start_unmapped(f);
	unsigned from = f->n_misses;

	f->opaque = &from;
	work_in(f, &data, 1);
	from = f->n_misses;
	f->on_miss = give_read_only;
	for (unsigned i = 0; i < STORM_MS / 25; i++) {
		work_nudge(f);
		work_linger(f, 25);
	}
	f->on_miss = NULL;
	if (f->subject->device == DEVICE_BLK)
		work_expect_failed(f);
}

static void shown_behind_the_reply(struct front *f)
{
	struct span data = work_start_page(f);
	unsigned from;

	from = work_out_held(f, &data, 1, 1, (int)f->trial->patience_ms);
	EXPECT(f, f->n_misses > from, "a miss");
	if (!(f->misses[from].header.flags & VHU_FLAG_NEED_REPLY))
		trial_skip(f->trial, "its misses want no replies");
	front_push(f, &data);
	EXPECT(f, !work_out_done(f, FRONT_QUIET),
	       "the request not to be used while its miss has no reply");
	work_release(f, from);
	work_expect_out(f);
}

/* Behind the last byte that is allowed nothing is written, and the status can't be told. */
static void refused_status(struct front *f)
{
	struct blk_request request;
	struct span data = work_start_page(f);

	request = blk_request(f);
	front_unmap(f, request.status.addr, RAM_PAGE);
	blk_submit(f, 0, &request, VIRTIO_BLK_T_IN, 0, &data, 1);
	EXPECT(f, !front_wait_used(f, 0, 1, 2 * FRONT_QUIET),
	       "a request whose status byte was refused not to be used: the driver reads what "
	       "the byte held before");
	expect_alive(f);
	front_ring_stop(f, 0);
}

static void refused_table(struct front *f)
{
	struct ring_setup setup = { .num = 64, .indirect = true };
	struct span data;
	uint64_t tables;

	front_open(f, &(struct front_setup){ .features = FRONT_IOMMU | FRONT_INDIRECT });
	work_start_rings(f, &setup);
	data = front_alloc(f, WORK_BYTES);
	tables = f->rings[work_out_ring(f)].tables_addr;
	expect_invalidate(f, tables, TABLES_SIZE);
	front_unmap(f, tables, TABLES_SIZE);
	work_out(f, &data, 1);
	EXPECT(f, !work_out_done(f, 2 * FRONT_QUIET),
	       "a request whose indirect table was refused not to be used");
	expect_alive(f);
	front_ring_stop(f, 0);
}

/* What becomes of this back-channel is the back-end's affair; nobody must die of it. */
static void unasked_reply(struct front *f)
{
	const struct message request = { .header = { VHU_BE_IOTLB_MSG, VHU_FLAG_VERSION, 0 } };

	work_start(f);
	link_reply_u64(&f->back, &request, 0);
	link_reply_u64(&f->back, &request, 1);
	expect_silence(f);
	expect_alive(f);
	work_start(f);
	work_expect_works(f);
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb-answer.refused-read",
		.title = "a request whose data is refused fails, and the queue goes on",
		.rule = "S4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = refused_read,
		.explain = "How does a back-end that caches no invalid entries tell an "
			   "access failure from a miss? By the reply, which it asks for. "
			   "Who does not ask waits for ever, and all requests behind it, "
			   "too.",
	},
	{
		.id = "iotlb-answer.refused-write",
		.title = "what is refused is not written",
		.rule = "vhost-user: IOMMU support; S4",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = refused_write,
	},
	{
		.id = "iotlb-answer.one-of-several",
		.title = "one request of four is refused its data, the others are done",
		.rule = "S4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = one_of_several,
	},
	{
		.id = "iotlb-answer.refused-and-mapped-later",
		.title = "a page that was refused once is asked for again",
		.rule = "vhost-user: IOMMU support; S4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = refused_and_mapped_later,
		.explain = "Refusals are not remembered: the driver maps the page and "
			   "tries again.",
	},
	{
		.id = "iotlb-answer.zero-and-no-update",
		.title = "success without an update: the request fails after a few misses",
		.rule = "S4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = zero_and_no_update,
	},
	{
		.id = "iotlb-answer.not-covering",
		.title = "an update of the page behind: the request fails after a few misses",
		.rule = "S4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = not_covering,
	},
	{
		.id = "iotlb-answer.too-little-permission",
		.title = "a permission that does not suffice is no reason to ask for ever",
		.rule = "S4",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = too_little_permission,
		.explain = "A front-end that has no better answer gives the same each "
			   "time. A back-end that asks until it likes the answer keeps "
			   "both busy and does nothing else.",
	},
	{
		.id = "iotlb-answer.used-behind-the-reply",
		.title = "a request is not shown as used while its miss has no reply",
		.rule = "S10",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = shown_behind_the_reply,
		.explain = "The front-end is still at work at the miss; if the driver "
			   "learns that the request is done it unmaps the page, and the "
			   "front-end's look at the page table becomes a fault in the "
			   "guest's log.",
	},
	{
		.id = "iotlb-answer.refused-status-byte",
		.title = "a request whose status byte is refused is never shown as used",
		.rule = "S4b",
		.level = LEVEL_CONTRACT,
		.needs = { .features = FRONT_IOMMU, .device = DEVICE_BLK },
		.backend = refused_status,
		.explain = "The driver would read what the byte held before, and that "
			   "may be a zero: success.",
	},
	{
		.id = "iotlb-answer.refused-indirect-table",
		.title = "a request whose indirect table is refused is never shown as used",
		.rule = "S4b",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.backend = refused_table,
	},
	{
		.id = "iotlb-answer.unasked-reply",
		.title = "replies to misses that were never sent kill nobody",
		.rule = "vhost-user: Back-end communication; S9",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = unasked_reply,
	},
};

const struct conform_area area_iotlb_answer = AREA(
	"iotlb-answer", "answers to misses, good and bad", cases, .more = &more_iotlb_answer);
