/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of pending misses and what those who wait were told, for tests of it.
 *
 * Thread: the test's.
 */
#ifndef UNIT_IOTLB_DESK_H
#define UNIT_IOTLB_DESK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "iotlb/pending.h"

#define PAGE  UINT64_C(4096)
#define RINGS 4u
#define SLOTS 16384u

/* What a waiter was told. */
struct heard {
	unsigned waiting;
	unsigned filled, retry, refused;
	uint64_t ticket;
};

struct desk {
	struct pending *table;
	struct heard heard[RINGS][SLOTS];
};

static void hear_waits(void *opaque, unsigned ring, unsigned slot)
{
	((struct desk *)opaque)->heard[ring][slot].waiting++;
}

static void hear_resolved(void *opaque, unsigned ring, unsigned slot, enum pending_verdict verdict)
{
	struct heard *heard = &((struct desk *)opaque)->heard[ring][slot];

	assert_true(heard->waiting > 0);
	heard->waiting--;
	heard->filled += verdict == PENDING_FILLED;
	heard->retry += verdict == PENDING_RETRY;
	heard->refused += verdict == PENDING_REFUSED;
}

static void hear_ticket(void *opaque, unsigned ring, unsigned slot, uint64_t seq)
{
	struct heard *heard = &((struct desk *)opaque)->heard[ring][slot];

	/* Who joins what was sent long ago may wait for something later already. */
	if (seq > heard->ticket)
		heard->ticket = seq;
}

static const struct pending_ops ops = {
	.waits = hear_waits,
	.resolved = hear_resolved,
	.ticket = hear_ticket,
};

static inline int open_desk(void **state, bool hints)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	if (!desk)
		return -1;
	desk->table = pending_new(&ops, desk, hints);
	*state = desk;
	return desk->table ? 0 : -1;
}

static inline int with_hints(void **state)
{
	return open_desk(state, true);
}

static inline int without_hints(void **state)
{
	return open_desk(state, false);
}

static inline int close_desk(void **state)
{
	struct desk *desk = *state;
	bool good = pending_check(desk->table);

	pending_free(desk->table);
	free(desk);
	return good ? 0 : -1;
}

static inline bool try_want(struct desk *desk, uint64_t addr, uint64_t len, uint8_t perm,
                            unsigned ring, unsigned slot)
{
	const struct hole hole = { addr, len, perm };
	bool all = pending_want(desk->table, &hole, ring, slot);

	assert_true(pending_check(desk->table));
	return all;
}

static inline void want(struct desk *desk, uint64_t addr, uint64_t len, uint8_t perm, unsigned ring,
                        unsigned slot)
{
	assert_true(try_want(desk, addr, len, perm, ring, slot));
}

static inline void expect_miss(struct desk *desk, uint64_t addr, uint64_t len, uint8_t perm)
{
	struct hole miss;

	assert_true(pending_next(desk->table, false, &miss));
	assert_int_equal(miss.addr, addr);
	assert_int_equal(miss.len, len);
	assert_int_equal(miss.perm, perm);
	assert_true(pending_check(desk->table));
}

static inline void expect_no_miss(struct desk *desk)
{
	struct hole miss;

	assert_false(pending_next(desk->table, false, &miss));
}

static inline void update(struct desk *desk, uint64_t addr, uint64_t len, uint8_t perm)
{
	pending_update(desk->table, (struct range){ addr, addr + (len - 1) }, perm);
	assert_true(pending_check(desk->table));
}

static inline void reply(struct desk *desk, bool refused, enum pending_outcome outcome)
{
	struct hole miss;

	assert_int_equal(pending_reply(desk->table, refused, &miss), outcome);
	assert_true(pending_check(desk->table));
}

static inline unsigned judge(struct desk *desk)
{
	struct hole miss;
	unsigned unsatisfied = pending_judge(desk->table, &miss);

	assert_true(pending_check(desk->table));
	return unsatisfied;
}

static inline void expect_heard(const struct desk *desk, unsigned ring, unsigned slot,
                                struct heard expected)
{
	const struct heard *heard = &desk->heard[ring][slot];

	assert_int_equal(heard->waiting, expected.waiting);
	assert_int_equal(heard->filled, expected.filled);
	assert_int_equal(heard->retry, expected.retry);
	assert_int_equal(heard->refused, expected.refused);
}

#define HINTS(test)   cmocka_unit_test_setup_teardown(test, with_hints, close_desk)
#define NOHINTS(test) cmocka_unit_test_setup_teardown(test, without_hints, close_desk)

#endif
