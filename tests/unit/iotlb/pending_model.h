/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of pending misses beside a list of them that is kept in the plainest
 * way, page by page and without hints: both_...() does a thing to both, and
 * both_compare() holds what waiters were told against each other.
 *
 * Thread: the test's.
 */
#ifndef UNIT_IOTLB_PENDING_MODEL_H
#define UNIT_IOTLB_PENDING_MODEL_H

#include <string.h>

#include "desk.h"

#define MODEL_MAX 512u
#define WAITS_MAX 64u
#define FEW_SLOTS 8u

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

static inline void model_remove(struct model *model, unsigned at)
{
	model->n--;
	memmove(&model->misses[at], &model->misses[at + 1],
	        (model->n - at) * sizeof(model->misses[0]));
}

/* Ends a live miss; one whose answer is still to come stays. */
static inline void model_retire(struct model *model, unsigned at)
{
	model->misses[at].n_waits = 0;
	if (model->misses[at].state == SENT)
		model->misses[at].state = ORPHAN;
	else
		model_remove(model, at);
}

static inline void model_resolve(struct model *model, unsigned at, enum pending_verdict verdict,
                                 bool all)
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

static inline struct model_miss *model_find(struct model *model, uint64_t page, uint8_t perm)
{
	for (unsigned i = 0; i < model->n; i++) {
		struct model_miss *miss = &model->misses[i];

		if (miss->state != ORPHAN && miss->perm == perm && miss->addr / PAGE == page)
			return miss;
	}
	return NULL;
}

static inline void model_join(struct model *model, struct model_miss *miss, uint64_t addr,
                              unsigned ring, unsigned slot)
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

static inline void model_want(struct model *model, const struct hole *hole, unsigned ring,
                              unsigned slot)
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

static inline unsigned model_unanswered(const struct model *model)
{
	unsigned n = 0;

	for (unsigned i = 0; i < model->n; i++)
		n += model->misses[i].state == SENT || model->misses[i].state == ORPHAN;
	return n;
}

static inline void both_want(struct desk *desk, struct model *model, const struct hole *hole,
                             unsigned ring, unsigned slot)
{
	assert_true(pending_want(desk->table, hole, ring, slot));
	model_want(model, hole, ring, slot);
}

/* The oldest unsent one, behind all that were sent. */
static inline void both_next(struct desk *desk, struct model *model)
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

static inline void model_unsend(struct model *model, unsigned n)
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

static inline void both_unsend(struct desk *desk, struct model *model, unsigned n)
{
	pending_unsend(desk->table, n);
	model_unsend(model, n);
}

static inline void both_update(struct desk *desk, struct model *model, struct range range,
                               uint8_t perm)
{
	pending_update(desk->table, range, perm);
	for (unsigned at = model->n; at-- > 0;) {
		const struct model_miss *miss = &model->misses[at];

		if (miss->state != ORPHAN && (miss->perm & perm) == miss->perm &&
		    range_has(range, miss->addr))
			model_resolve(model, at, PENDING_FILLED, true);
	}
}

static inline void both_disturb(struct desk *desk, struct model *model, struct range range)
{
	pending_disturb(desk->table, range);
	for (unsigned at = 0; at < model->n; at++) {
		struct model_miss *miss = &model->misses[at];
		const struct range page = { miss->addr & ~(PAGE - 1), miss->addr | (PAGE - 1) };

		if (range_overlaps(page, range))
			miss->disturbed = true;
	}
}

static inline void both_reply(struct desk *desk, struct model *model, bool refused)
{
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

static inline void both_judge(struct desk *desk, struct model *model)
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

static inline void both_drop_ring(struct desk *desk, struct model *model, unsigned ring)
{
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

static inline void both_restart(struct desk *desk, struct model *model)
{
	pending_restart(desk->table);
	model_unsend(model, model->n);
	model->answered = model->seq;
}

static inline void both_fail(struct desk *desk, struct model *model)
{
	pending_fail(desk->table);
	model_unsend(model, model->n);
	model->answered = model->seq;
	while (model->n)
		model_resolve(model, model->n - 1, PENDING_REFUSED, true);
}

static inline void both_compare(const struct desk *desk, const struct model *model)
{
	assert_true(pending_check(desk->table));
	assert_int_equal(pending_unanswered(desk->table), model_unanswered(model));
	assert_int_equal(pending_answered(desk->table), model->answered);
	for (unsigned ring = 0; ring < RINGS; ring++)
		assert_memory_equal(desk->heard[ring], model->heard[ring],
		                    sizeof(model->heard[ring]));
}

#endif
