/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long random histories of the table of pending misses against a list that is
 * kept in the plainest way, page by page and without hints; and with hints, the
 * promises that hold whatever they did.
 */
#include "pending_model.h"

#define PAGES 24u
#define SPACE (PAGES * PAGE)
#define STEPS 20000u
#define SEEDS 6u

static uint64_t random_state;

static unsigned roll(unsigned sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % sides;
}

static struct range random_range(void)
{
	uint64_t start = roll(PAGES) * PAGE, len = (1 + roll(4)) * PAGE;

	if (!roll(4)) {
		start += roll(PAGE);
		len = 1 + roll(2 * PAGE);
	}
	return (struct range){ start, start + len - 1 };
}

static void step_want(struct desk *desk, struct model *model)
{
	struct hole hole = { .addr = roll(SPACE - 1), .perm = (uint8_t)(1 + roll(3)) };

	hole.len = 1 + roll(roll(2) ? 64 : 5 * PAGE);
	if (hole.len > SPACE - hole.addr)
		hole.len = SPACE - hole.addr;
	both_want(desk, model, &hole, roll(RINGS), roll(FEW_SLOTS));
}

static void step_unsend(struct desk *desk, struct model *model)
{
	both_unsend(desk, model, roll(4));
}

static void step_update(struct desk *desk, struct model *model)
{
	struct range range = random_range();

	both_update(desk, model, range, (uint8_t)(1 + roll(3)));
}

static void step_disturb(struct desk *desk, struct model *model)
{
	both_disturb(desk, model, random_range());
}

static void step_reply(struct desk *desk, struct model *model)
{
	both_reply(desk, model, roll(3) == 0);
}

static void step_drop_ring(struct desk *desk, struct model *model)
{
	both_drop_ring(desk, model, roll(RINGS));
}

typedef void step_fn(struct desk *desk, struct model *model);

static step_fn *random_step(void)
{
	static const struct {
		unsigned weight;
		step_fn *run;
	} steps[] = {
		{ 300, step_want },  { 300, both_next },     { 200, step_reply },
		{ 90, step_update }, { 40, step_disturb },   { 40, both_judge },
		{ 10, step_unsend }, { 10, step_drop_ring }, { 3, both_restart },
		{ 2, both_fail },
	};
	unsigned at = 0, left = roll(995);

	while (left >= steps[at].weight)
		left -= steps[at++].weight;
	return steps[at].run;
}

static void any_history_is_that_of_the_plain_list(void **state)
{
	struct model *model = calloc(1, sizeof(*model));

	assert_non_null(model);
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct desk *desk;

		assert_int_equal(without_hints(state), 0);
		desk = *state;
		memset(model, 0, sizeof(*model));
		random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
		for (unsigned step = 0; step < STEPS; step++) {
			random_step()(desk, model);
			both_compare(desk, model);
		}
		assert_int_equal(close_desk(state), 0);
	}
	free(model);
}

/* With hints a miss has any length: what holds is that nobody is forgotten. */
static void with_hints_nobody_is_forgotten_and_no_miss_overlaps(void **state)
{
	struct desk *desk;
	struct hole hole;

	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		assert_int_equal(with_hints(state), 0);
		desk = *state;
		random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
		for (unsigned step = 0; step < STEPS; step++) {
			hole = (struct hole){ roll(SPACE), 1 + roll(6 * PAGE),
				              (uint8_t)(1 + roll(3)) };
			pending_want(desk->table, &hole, roll(RINGS), roll(FEW_SLOTS));
			if (roll(3))
				pending_next(desk->table, false, &hole);
			if (roll(2))
				pending_reply(desk->table, !roll(3), &hole);
			if (roll(2))
				pending_update(desk->table, random_range(), PERM_RW);
			if (!roll(4))
				pending_judge(desk->table, &hole);
			assert_true(pending_check(desk->table));
		}
		pending_fail(desk->table);
		for (unsigned ring = 0; ring < RINGS; ring++)
			for (unsigned slot = 0; slot < FEW_SLOTS; slot++)
				assert_int_equal(desk->heard[ring][slot].waiting, 0);
		assert_false(pending_next(desk->table, false, &hole));
		assert_int_equal(close_desk(state), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_history_is_that_of_the_plain_list),
		cmocka_unit_test(with_hints_nobody_is_forgotten_and_no_miss_overlaps),
	};

	return cmocka_run_group_tests_name("pending_model", tests, NULL, NULL);
}
