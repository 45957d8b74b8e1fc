/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long random histories of the table of pending misses against a list that is
 * kept in the plainest way, page by page and without hints; and with hints, the
 * promises that hold whatever they did.
 */
#include <stdio.h>
#include <string.h>

#include "desk.h"

#define PAGES     24u
#define SPACE     (PAGES * PAGE)
#define MODEL_MAX 512u
#define WAITS_MAX 64u
#define FEW_SLOTS 8u
#define STEPS     20000u
#define SEEDS     6u

enum model_state {
	UNSENT,
	SENT,
	ANSWERED,
	ORPHAN,
};

struct model_wait {
	unsigned ring, slot;
	uint64_t addr;
	bool late;
};

/* A miss; the list of them is in the order of sending: answered, sent, unsent ones. */
struct model_miss {
	enum model_state state;
	uint64_t addr, want;
	uint8_t perm;
	bool disturbed;
	uint64_t seq;
	struct model_wait waits[WAITS_MAX];
	unsigned n_waits;
};

struct model {
	struct model_miss misses[MODEL_MAX];
	unsigned n;
	uint64_t seq; /* of the last one sent */
	uint64_t answered;
	struct heard heard[RINGS][FEW_SLOTS];
};

static uint64_t random_state;

static unsigned roll(unsigned sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % sides;
}

static void model_remove(struct model *model, unsigned at)
{
	model->n--;
	memmove(&model->misses[at], &model->misses[at + 1],
	        (model->n - at) * sizeof(model->misses[0]));
}

/* Ends a live miss; one whose answer is still to come stays. */
static void model_retire(struct model *model, unsigned at)
{
	model->misses[at].n_waits = 0;
	if (model->misses[at].state == SENT)
		model->misses[at].state = ORPHAN;
	else
		model_remove(model, at);
}

static void model_resolve(struct model *model, unsigned at, enum pending_verdict verdict, bool all)
{
	struct model_miss *miss = &model->misses[at];

	for (unsigned i = 0; i < miss->n_waits; i++) {
		const struct model_wait *wait = &miss->waits[i];
		struct heard *heard = &model->heard[wait->ring][wait->slot];
		bool spared = !all && (wait->late || wait->addr != miss->addr);

		heard->waiting--;
		if (verdict == PENDING_RETRY)
			heard->retry++;
		else if (verdict == PENDING_REFUSED && !spared)
			heard->refused++;
		else
			heard->filled++;
	}
	model_retire(model, at);
}

static struct model_miss *model_find(struct model *model, uint64_t page, uint8_t perm)
{
	for (unsigned i = 0; i < model->n; i++) {
		struct model_miss *miss = &model->misses[i];

		if (miss->state != ORPHAN && miss->perm == perm && miss->addr / PAGE == page)
			return miss;
	}
	return NULL;
}

static void model_join(struct model *model, struct model_miss *miss, uint64_t addr, unsigned ring,
                       unsigned slot)
{
	for (unsigned i = 0; i < miss->n_waits; i++)
		if (miss->waits[i].ring == ring && miss->waits[i].slot == slot)
			return;
	assert_true(miss->n_waits < WAITS_MAX);
	miss->waits[miss->n_waits++] = (struct model_wait){ ring, slot, addr,
		                                            miss->state != UNSENT };
	model->heard[ring][slot].waiting++;
	if (miss->state == SENT && miss->seq > model->heard[ring][slot].ticket)
		model->heard[ring][slot].ticket = miss->seq;
}

static void model_want(struct model *model, const struct hole *hole, unsigned ring, unsigned slot)
{
	uint64_t last = hole->addr + hole->len - 1;

	for (uint64_t addr = hole->addr; addr <= last; addr = (addr / PAGE + 1) * PAGE) {
		struct model_miss *miss = model_find(model, addr / PAGE, hole->perm);
		uint64_t end = addr | (PAGE - 1);

		if (!miss) {
			assert_true(model->n < MODEL_MAX);
			miss = &model->misses[model->n++];
			*miss = (struct model_miss){ .addr = addr, .perm = hole->perm };
			miss->want = addr == hole->addr ? hole->len
			                                : (end < last ? end : last) - addr + 1;
		}
		model_join(model, miss, addr, ring, slot);
	}
}

static unsigned model_unanswered(const struct model *model)
{
	unsigned n = 0;

	for (unsigned i = 0; i < model->n; i++)
		n += model->misses[i].state == SENT || model->misses[i].state == ORPHAN;
	return n;
}

static void step_want(struct desk *desk, struct model *model)
{
	struct hole hole = { .addr = roll(SPACE - 1), .perm = (uint8_t)(1 + roll(3)) };
	unsigned ring = roll(RINGS), slot = roll(FEW_SLOTS);

	hole.len = 1 + roll(roll(2) ? 64 : 5 * PAGE);
	if (hole.len > SPACE - hole.addr)
		hole.len = SPACE - hole.addr;
	assert_true(pending_want(desk->table, &hole, ring, slot));
	model_want(model, &hole, ring, slot);
}

/* The oldest unsent one, behind all that were sent. */
static void step_next(struct desk *desk, struct model *model)
{
	struct model_miss *miss = NULL;
	struct hole hole;
	unsigned at;

	for (at = 0; at < model->n; at++)
		if (model->misses[at].state == UNSENT)
			break;
	if (at < model->n && model_unanswered(model) < PENDING_WINDOW)
		miss = &model->misses[at];
	assert_int_equal(pending_next(desk->table, false, &hole), miss != NULL);
	if (!miss)
		return;
	assert_int_equal(hole.addr, miss->addr);
	assert_int_equal(hole.perm, miss->perm);
	assert_int_equal(hole.len, 0);
	miss->state = SENT;
	miss->seq = ++model->seq;
	for (unsigned i = 0; i < miss->n_waits; i++)
		model->heard[miss->waits[i].ring][miss->waits[i].slot].ticket = miss->seq;
}

static void model_unsend(struct model *model, unsigned n)
{
	for (unsigned at = model->n; at-- > 0 && n > 0;) {
		struct model_miss *miss = &model->misses[at];

		if (miss->state != SENT && miss->state != ORPHAN)
			continue;
		n--;
		if (miss->state == SENT)
			miss->state = UNSENT;
		else
			model_remove(model, at);
	}
}

static void step_unsend(struct desk *desk, struct model *model)
{
	unsigned n = roll(4);

	pending_unsend(desk->table, n);
	model_unsend(model, n);
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

static void step_update(struct desk *desk, struct model *model)
{
	struct range range = random_range();
	uint8_t perm = (uint8_t)(1 + roll(3));

	pending_update(desk->table, range, perm);
	for (unsigned at = model->n; at-- > 0;) {
		const struct model_miss *miss = &model->misses[at];

		if (miss->state != ORPHAN && (miss->perm & perm) == miss->perm &&
		    range_has(range, miss->addr))
			model_resolve(model, at, PENDING_FILLED, true);
	}
}

static void step_disturb(struct desk *desk, struct model *model)
{
	struct range range = random_range();

	pending_disturb(desk->table, range);
	for (unsigned at = 0; at < model->n; at++) {
		struct model_miss *miss = &model->misses[at];
		const struct range page = { miss->addr & ~(PAGE - 1), miss->addr | (PAGE - 1) };

		if (range_overlaps(page, range))
			miss->disturbed = true;
	}
}

static void step_reply(struct desk *desk, struct model *model)
{
	bool refused = roll(3) == 0;
	enum pending_outcome expected = PENDING_ANSWER_NONE;
	struct hole hole;
	unsigned at;

	for (at = 0; at < model->n; at++)
		if (model->misses[at].state == SENT || model->misses[at].state == ORPHAN)
			break;
	if (at < model->n) {
		struct model_miss *miss = &model->misses[at];

		model->answered = miss->seq;
		expected = refused ? PENDING_ANSWER_NACK : PENDING_ANSWERED;
		if (miss->state == ORPHAN) {
			expected = PENDING_ANSWER_VOID;
			model_remove(model, at);
		} else {
			miss->state = ANSWERED;
			if (refused)
				model_resolve(model, at, PENDING_REFUSED, false);
		}
	}
	assert_int_equal(pending_reply(desk->table, refused, &hole), expected);
}

static void step_judge(struct desk *desk, struct model *model)
{
	unsigned unsatisfied = 0;
	struct hole hole;

	for (unsigned at = model->n; at-- > 0;) {
		bool disturbed = model->misses[at].disturbed;

		if (model->misses[at].state != ANSWERED)
			continue;
		unsatisfied += !disturbed;
		model_resolve(model, at, disturbed ? PENDING_RETRY : PENDING_REFUSED, false);
	}
	assert_int_equal(pending_judge(desk->table, &hole), unsatisfied);
}

static void step_drop_ring(struct desk *desk, struct model *model)
{
	unsigned ring = roll(RINGS);

	pending_drop_ring(desk->table, ring);
	for (unsigned slot = 0; slot < FEW_SLOTS; slot++)
		desk->heard[ring][slot].waiting = model->heard[ring][slot].waiting = 0;
	for (unsigned at = model->n; at-- > 0;) {
		struct model_miss *miss = &model->misses[at];
		unsigned left = 0;

		if (miss->state == ORPHAN)
			continue;
		for (unsigned i = 0; i < miss->n_waits; i++)
			if (miss->waits[i].ring != ring)
				miss->waits[left++] = miss->waits[i];
		miss->n_waits = left;
		if (!left)
			model_retire(model, at);
	}
}

static void step_restart(struct desk *desk, struct model *model)
{
	pending_restart(desk->table);
	model_unsend(model, model->n);
	model->answered = model->seq;
}

static void step_fail(struct desk *desk, struct model *model)
{
	pending_fail(desk->table);
	model_unsend(model, model->n);
	model->answered = model->seq;
	while (model->n)
		model_resolve(model, model->n - 1, PENDING_REFUSED, true);
}

static void compare(const struct desk *desk, const struct model *model)
{
	assert_true(pending_check(desk->table));
	assert_int_equal(pending_unanswered(desk->table), model_unanswered(model));
	assert_int_equal(pending_answered(desk->table), model->answered);
	for (unsigned ring = 0; ring < RINGS; ring++)
		assert_memory_equal(desk->heard[ring], model->heard[ring],
		                    sizeof(model->heard[ring]));
}

typedef void step_fn(struct desk *desk, struct model *model);

static step_fn *random_step(void)
{
	static const struct {
		unsigned weight;
		step_fn *run;
	} steps[] = {
		{ 300, step_want },  { 300, step_next },     { 200, step_reply },
		{ 90, step_update }, { 40, step_disturb },   { 40, step_judge },
		{ 10, step_unsend }, { 10, step_drop_ring }, { 3, step_restart },
		{ 2, step_fail },
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
			compare(desk, model);
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
