/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any history of the table of pending misses, held against a plain list after
 * each step; or with hints, where only the promises to those who wait are
 * checked: whoever waits is told, and never of more than he waits for.
 */
#include "input.h"
#include "unit/iotlb/pending_model.h"

#define STEPS_MAX  128u
#define PAGES      12u
#define LONG_PAGES 160u /* more than the window */

static struct desk desk;
static struct model model;

/* In a small space; now and then at its very end. */
static struct range next_range(struct input *input)
{
	unsigned what = input_u8(input);
	uint64_t start = what % PAGES * PAGE, len = (1 + input_below(input, 4)) * PAGE;

	if (what >= 128) {
		start += input_u16(input) % PAGE;
		len = 1 + input_u16(input) % (3 * PAGE);
	}
	return (struct range){ start, start + (len - 1) };
}

static struct hole next_hole(struct input *input)
{
	struct range range = next_range(input);

	return (struct hole){ range.start, range_size(range),
		              (uint8_t)(1 + input_below(input, 3)) };
}

/* Once in a while far more than may be asked at a time. */
static struct hole next_long_hole(struct input *input)
{
	struct hole hole = next_hole(input);

	hole.len = LONG_PAGES * PAGE;
	return hole;
}

static void step_beside_model(struct input *input)
{
	unsigned what = input_below(input, 16), ring = what % RINGS;
	struct hole hole;

	switch (what) {
	case 0:
	case 1:
	case 2:
	case 3:
		hole = next_hole(input);
		both_want(&desk, &model, &hole, ring, input_below(input, FEW_SLOTS));
		break;
	case 4:
	case 5:
	case 6: both_next(&desk, &model); break;
	case 7: both_reply(&desk, &model, false); break;
	case 8: both_reply(&desk, &model, true); break;
	case 9:
		both_update(&desk, &model, next_range(input), (uint8_t)(1 + input_below(input, 3)));
		break;
	case 10: both_disturb(&desk, &model, next_range(input)); break;
	case 11: both_judge(&desk, &model); break;
	case 12: both_unsend(&desk, &model, input_below(input, 8)); break;
	case 13: both_drop_ring(&desk, &model, input_below(input, RINGS)); break;
	case 14: both_restart(&desk, &model); break;
	default: both_fail(&desk, &model); break;
	}
	both_compare(&desk, &model);
}

static void drop_ring(unsigned ring)
{
	pending_drop_ring(desk.table, ring);
	for (unsigned slot = 0; slot < FEW_SLOTS; slot++)
		desk.heard[ring][slot].waiting = 0;
}

/* Misses are not mute to one and not to the other at the same back-channel. */
static void step_alone(struct input *input, bool mute)
{
	unsigned what = input_below(input, 16), slot;
	struct hole hole;

	switch (what) {
	case 0:
	case 1:
	case 2:
	case 3:
		slot = input_below(input, FEW_SLOTS);
		hole = what ? next_hole(input) : next_long_hole(input);
		pending_want(desk.table, &hole, what, slot);
		break;
	case 4:
	case 5: pending_next(desk.table, mute, &hole); break;
	case 6:
		for (unsigned n = input_u8(input); n && pending_next(desk.table, mute, &hole); n--)
			;
		break;
	case 7: pending_reply(desk.table, false, &hole); break;
	case 8: pending_reply(desk.table, true, &hole); break;
	case 9:
		pending_update(desk.table, next_range(input), (uint8_t)(1 + input_below(input, 3)));
		break;
	case 10: pending_disturb(desk.table, next_range(input)); break;
	case 11: pending_judge(desk.table, &hole); break;
	case 12: pending_unsend(desk.table, input_below(input, 8)); break;
	case 13: drop_ring(input_below(input, RINGS)); break;
	case 14: pending_restart(desk.table); break;
	default: pending_fail(desk.table); break;
	}
}

/* Nobody is left waiting: the table had a place for each of them. */
static void expect_nobody_waits(void)
{
	struct hole hole;

	pending_fail(desk.table);
	for (unsigned ring = 0; ring < RINGS; ring++)
		for (unsigned slot = 0; slot < FEW_SLOTS; slot++)
			assert_int_equal(desk.heard[ring][slot].waiting, 0);
	assert_int_equal(pending_unanswered(desk.table), 0);
	assert_false(pending_next(desk.table, false, &hole));
	assert_true(pending_check(desk.table));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	unsigned mode = input_below(&input, 4);

	for (unsigned ring = 0; ring < RINGS; ring++)
		memset(desk.heard[ring], 0, FEW_SLOTS * sizeof(desk.heard[ring][0]));
	model.n = 0;
	model.seq = model.answered = 0;
	memset(model.heard, 0, sizeof(model.heard));
	desk.table = pending_new(&ops, &desk, mode >= 2);
	assert_non_null(desk.table);
	for (unsigned n = 0; n < STEPS_MAX && !input_is_over(&input); n++) {
		if (mode < 2)
			step_beside_model(&input);
		else
			step_alone(&input, mode == 3);
		assert_true(pending_check(desk.table));
	}
	expect_nobody_waits();
	pending_free(desk.table);
	return 0;
}
