/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: use of a translation after its removal was acknowledged. What was taken back
 * is filled with TAINT as soon as the reply is there; it is neither to be written
 * nor to be read from then on.
 */
#include "front_jam.h"
#include "suite_backend.h"
#include "work.h"

#include <string.h>

#include "base/clock.h"

#define TAINT 0xa5

/* Long enough for a device to be where it can't go on. */
#define SETTLE_MS 30

static void nap(struct front *f, int ms)
{
	uint64_t end = clock_ns() + (uint64_t)trial_left(f->trial, ms) * 1000000;

	while (clock_ns() < end)
		front_wait_used(f, 0, UINT16_MAX, 1);
}

static void spin(uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	while (clock_ns() < end)
		;
}

/* The first of a pair is known by now, the second will be missed. */
struct pair {
	struct span known, unknown;
};

static struct pair open_jammed(struct front *f)
{
	struct pair pair;

	front_open_jammable(f, &(struct front_setup){ .features = FRONT_IOMMU });
	work_start_rings(f, NULL);
	pair.known = front_alloc(f, WORK_BYTES);
	pair.unknown = front_alloc(f, WORK_BYTES);
	work_expect_writes(f, &pair.known, 1);
	front_pattern(&pair.known, 11);
	work_expect_reads(f, &pair.known, 1);
	work_settle(f);
	front_jam(f);
	return pair;
}

static void take_back_jammed(struct front *f, const struct span *span)
{
	nap(f, SETTLE_MS);
	expect_invalidate(f, span->addr & ~(RAM_PAGE - 1), RAM_PAGE);
	front_unmap(f, span->addr, RAM_PAGE);
	front_fill(f, span, TAINT);
	NOTE(f, "0x%llx is filled with 0x%02x: it is somebody else's now",
	     (unsigned long long)span->addr, TAINT);
	nap(f, SETTLE_MS);
	front_unjam(f);
	work_linger(f, FRONT_QUIET);
}

static void no_write_behind_the_reply(struct front *f)
{
	struct pair pair = open_jammed(f);

	work_in_batch(f, (struct span[]){ pair.known, pair.unknown }, 2);
	take_back_jammed(f, &pair.known);
	expect_bytes(f, &pair.known, TAINT, "memory whose INVALIDATE was acknowledged");
}

static void expect_not_tainted(struct front *f, const struct span *got)
{
	unsigned tainted = 0;

	for (uint32_t i = 32; i < WORK_SMALL; i++)
		tainted += (unsigned char)got->ptr[i] == TAINT;
	EXPECT(f, tainted < 16,
	       "nothing to be read behind the acknowledgement of INVALIDATE: %u bytes of what the "
	       "device has read were written there afterwards",
	       tainted);
}

static void no_read_behind_the_reply(struct front *f)
{
	struct pair pair = open_jammed(f);
	struct span got;

	front_pattern(&pair.unknown, 12);
	work_out_batch(f, (struct span[]){ pair.known, pair.unknown }, 2);
	take_back_jammed(f, &pair.known);
	if (work_batch_saw(f, 0, &got))
		expect_not_tainted(f, &got);
}

/* One page of the device's, two of memory in turn. */
struct turns {
	struct span spans[2];
	uint64_t uvas[2];
	uint64_t iova;
	unsigned now;
};

static void turn(struct front *f, struct turns *turns)
{
	front_unmap(f, turns->iova, RAM_PAGE);
	turns->now ^= 1;
	front_map(f, turns->iova, RAM_PAGE, turns->uvas[turns->now], PERM_RW);
}

static struct turns make_turns(struct front *f)
{
	struct turns turns = { .now = 1 };

	for (unsigned i = 0; i < 2; i++) {
		turns.spans[i] = front_alloc(f, WORK_BYTES);
		turns.uvas[i] = front_uva(f, &turns.spans[i], 0);
		turns.iova = turns.spans[i].addr;
		front_unmap(f, turns.iova, RAM_PAGE);
	}
	for (unsigned i = 0; i < 2; i++)
		turns.spans[i].addr = turns.iova;
	turn(f, &turns);
	return turns;
}

static void by_page(struct front *f, const struct turns *turns)
{
	expect_invalidate(f, turns->iova, RAM_PAGE);
}

static void by_flush(struct front *f, const struct turns *turns)
{
	(void)turns;
	expect_invalidate(f, 0, UINT64_MAX);
	work_push_rings(f);
}

static void by_update(struct front *f, const struct turns *turns)
{
	expect_update(f, turns->iova, RAM_PAGE, turns->uvas[turns->now ^ 1], PERM_RW);
}

static void by_no_permission(struct front *f, const struct turns *turns)
{
	expect_update(f, turns->iova, RAM_PAGE, turns->uvas[turns->now], 0);
}

/* Taken away at a time that differs from turn to turn, while the device writes. */
static void race_writes(struct front *f, unsigned n,
                        void (*remove)(struct front *f, const struct turns *turns))
{
	struct turns turns;

	work_start(f);
	turns = make_turns(f);
	for (unsigned i = 0; i < n; i++) {
		const struct span *old = &turns.spans[turns.now];

		work_in(f, old, 1);
		work_nudge(f);
		spin(trial_random(f->trial) % 100000);
		remove(f, &turns);
		front_fill(f, old, TAINT);
		turn(f, &turns);
		work_expect_in(f);
		expect_bytes(f, old, TAINT, "memory whose removal was acknowledged");
	}
	work_expect_works(f);
}

static void race_by_page(struct front *f)
{
	race_writes(f, 2000, by_page);
}

static void race_by_flush(struct front *f)
{
	race_writes(f, 300, by_flush);
}

static void race_by_update(struct front *f)
{
	race_writes(f, 1000, by_update);
}

static void race_by_no_permission(struct front *f)
{
	race_writes(f, 1000, by_no_permission);
}

static void race_reads(struct front *f)
{
	struct turns turns;

	work_start(f);
	turns = make_turns(f);
	for (unsigned i = 0; i < 500; i++) {
		const struct span *old = &turns.spans[turns.now],
				  *new = &turns.spans[turns.now ^ 1];

		front_pattern(old, i);
		work_out(f, old, 1);
		memcpy(new->ptr, old->ptr, WORK_BYTES);
		spin(trial_random(f->trial) % 100000);
		by_page(f, &turns);
		front_fill(f, old, TAINT);
		turn(f, &turns);
		work_expect_out(f);
		work_expect_saw(f, new, 1);
	}
}

static const struct conform_case cases[] = {
	{
		.id = "iotlb-race.no-write-behind-the-reply",
		.title = "nothing is written where an INVALIDATE was acknowledged, channel full",
		.rule = "vhost-user: IOMMU support (invalidation events); I2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = no_write_behind_the_reply,
		.explain = "Two requests are there, of which the first needs nothing and the "
			   "second a translation. The miss can't be sent, as the back-channel is "
			   "full. Meanwhile the page of the first is invalidated. Whoever has "
			   "looked it up before, and waits for the miss to be sent with the "
			   "pointer in hand, writes into memory that is somebody else's. A full "
			   "channel only makes the time longer in which that happens: it is there "
			   "with each miss.",
	},
	{
		.id = "iotlb-race.no-read-behind-the-reply",
		.title = "nothing is read where an INVALIDATE was acknowledged, channel full",
		.rule = "vhost-user: IOMMU support (invalidation events); I2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.backend = no_read_behind_the_reply,
		.explain = "The same with what the device reads: what is written into the page "
			   "behind the acknowledgement is not the device's to see.",
	},
	{
		.id = "iotlb-race.invalidate-while-writing",
		.title = "INVALIDATE of what is being written, 2000 times",
		.rule = "vhost-user: IOMMU support (invalidation events); I2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 30,
		.backend = race_by_page,
		.explain = "A page is taken back while the device may be writing into it, at a "
			   "moment that differs each time; it is granted again elsewhere.",
	},
	{
		.id = "iotlb-race.invalidate-while-reading",
		.title = "INVALIDATE of what is being read, 500 times",
		.rule = "vhost-user: IOMMU support (invalidation events); I2",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 30,
		.backend = race_reads,
	},
	{
		.id = "iotlb-race.flush-while-writing",
		.title = "everything is invalidated while the device writes, 300 times",
		.rule = "vhost-user: IOMMU support (invalidation events); I2, I3",
		.level = LEVEL_MUST,
		.needs = WORK_NEEDS,
		.seconds = 30,
		.backend = race_by_flush,
		.explain = "A guest in lazy mode flushes its whole domain under live requests. "
			   "The page of the data is granted elsewhere afterwards; the request "
			   "must succeed in the one place or the other.",
	},
	{
		.id = "iotlb-race.update-while-writing",
		.title = "an UPDATE that replaces what is being written, 1000 times",
		.rule = "U2, I2",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.seconds = 30,
		.backend = race_by_update,
		.explain = "An UPDATE of another place takes the place of the old one, and its "
			   "acknowledgement is the end of accesses to the old one.",
	},
	{
		.id = "iotlb-race.no-permission-while-writing",
		.title = "an UPDATE without permission of what is being written, 1000 times",
		.rule = "U4, I2",
		.level = LEVEL_CONTRACT,
		.needs = WORK_NEEDS,
		.seconds = 30,
		.backend = race_by_no_permission,
	},
};

const struct conform_area area_iotlb_race = AREA(
	"iotlb-race", "translations that are removed while they are used", cases);
