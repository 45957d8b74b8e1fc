/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups in the middle of changes of the map, wherever the reader may be
 * interrupted, for however many of the writer's steps, once and twice: the answer
 * is one that the map gives before or after a change that was under way meanwhile.
 */
#include "interleave.h"

#include <pthread.h>

/* The writer's lock: whoever waits for it waits for the end of the change. */
static int lock(pthread_mutex_t *mutex);
static int unlock(pthread_mutex_t *mutex);
#define pthread_mutex_lock   lock
#define pthread_mutex_unlock unlock

#include "iotlb/btree_node.c"

#include "iotlb/btree.c"
#undef KEEP
#include "iotlb/change.c"
#include "iotlb/entry.c"
#include "iotlb/iotlb.c"
#include "iotlb/lookup.c"
#include "iotlb/pagehash.c"
#include "iotlb/pagehash_slot.c"

#define PAGE     UINT64_C(4096)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* Interruptions behind this many loads find the same as earlier ones. */
#define LOADS_MOST 20u
/* Runs of one place of one scene. */
#define WAYS_MOST 3000u

enum what {
	NO_MORE,
	UPDATE,
	INVALIDATE,
	FLUSH,
};

struct step {
	enum what what;
	uint64_t at, size, to; /* bytes */
	uint8_t perm;
};

/* In pages. */
#define PAGES(first, n, to, perm)                               \
	{                                                       \
		UPDATE, (first)*PAGE, (n)*PAGE, (to)*PAGE, perm \
	}
#define BYTES(at, n, to, perm)          \
	{                               \
		UPDATE, at, n, to, perm \
	}
#define GONE(first, n)                                   \
	{                                                \
		INVALIDATE, (first)*PAGE, (n)*PAGE, 0, 0 \
	}

struct scene {
	const char *name;
	uint64_t bound;
	unsigned crowd; /* of pages elsewhere, to begin with, or of less than pages */
	bool small;
	struct step before[4], change[6];
	uint64_t at[4]; /* where it is looked up; 0: no more */
};

#define FAR  (UINT64_C(1) << 14) /* a page that shares its row and place with one below */
#define MANY 1000

static const struct scene scenes[] = {
	{ "a page goes and comes",
	  MANY,
	  0,
	  false,
	  { PAGES(5, 1, 50, 3) },
	  { GONE(5, 1), PAGES(5, 1, 70, 3), PAGES(5, 1, 90, 1), PAGES(5, 1, 90, 3) },
	  { 5 * PAGE + 8 } },
	{ "its slot is another's",
	  MANY,
	  0,
	  false,
	  { PAGES(5, 1, 50, 3) },
	  { GONE(5, 1), PAGES(FAR + 5, 1, 200, 3), GONE(FAR + 5, 1), PAGES(5 + 64, 1, 300, 3) },
	  { 5 * PAGE, (FAR + 5) * PAGE, (5 + 64) * PAGE } },
	{ "several are cut and joined",
	  MANY,
	  0,
	  false,
	  { PAGES(16, 16, 100, 3) },
	  { GONE(20, 1), PAGES(20, 1, 104, 3), PAGES(24, 2, 300, 3), GONE(16, 4) },
	  { 17 * PAGE, 20 * PAGE, 24 * PAGE, 31 * PAGE } },
	{ "one grows downwards",
	  MANY,
	  0,
	  false,
	  { PAGES(8, 4, 100, 3) },
	  { PAGES(7, 1, 99, 3), GONE(7, 2), PAGES(6, 3, 98, 3), PAGES(12, 1, 104, 3) },
	  { 7 * PAGE, 8 * PAGE, 10 * PAGE, 12 * PAGE } },
	{ "an id is another's",
	  MANY,
	  0,
	  false,
	  { PAGES(8, 4, 100, 3) },
	  { GONE(8, 4), PAGES(12, 4, 200, 3), GONE(12, 4), PAGES(8, 8, 300, 1) },
	  { 9 * PAGE, 13 * PAGE } },
	{ "less than a page",
	  MANY,
	  0,
	  false,
	  { BYTES(0x5100, 0x100, 0x9100, 3), BYTES(0x5300, 0x100, 0xa300, 3) },
	  { GONE(5, 1), PAGES(5, 1, 50, 3), BYTES(0x5100, 0x100, 0x9100, 3) },
	  { 0x5180, 0x5380, 0x5280 } },
	{ "everything goes",
	  MANY,
	  0,
	  false,
	  { PAGES(5, 1, 50, 3), PAGES(16, 4, 100, 3) },
	  { { .what = FLUSH }, PAGES(5, 1, 70, 3), { .what = FLUSH }, PAGES(16, 8, 200, 3) },
	  { 5 * PAGE, 17 * PAGE } },
	{ "rows come and go",
	  MANY,
	  17,
	  false,
	  { PAGES(5, 1, 50, 3) },
	  { PAGES(1031, 1, 500, 3), PAGES(1033, 1, 600, 3), GONE(1000, 4), GONE(1004, 9) },
	  { 5 * PAGE, 1002 * PAGE, 1013 * PAGE, 1033 * PAGE } },
	{ "at the bound",
	  3,
	  0,
	  false,
	  { PAGES(5, 1, 50, 3), PAGES(16, 4, 100, 3) },
	  { PAGES(30, 1, 300, 3), PAGES(40, 1, 400, 3), PAGES(50, 4, 500, 3), GONE(51, 1) },
	  { 5 * PAGE, 17 * PAGE, 52 * PAGE } },
	{ "nodes are divided and joined",
	  MANY,
	  20,
	  true,
	  { BYTES(0x5100, 0x100, 0x9100, 3) },
	  { BYTES(0x5400, 0x80, 0x9700, 3), GONE(1004, 9), GONE(1000, 4), GONE(5, 1) },
	  { 0x5180, 1000 * PAGE + 16, 1010 * PAGE + 16, 1019 * PAGE + 16 } },
};

struct answer {
	bool found;
	struct walk walk;
};

static struct {
	const char *scene;
	struct iotlb *tlb;
	uint64_t addr;
	struct answer answer[CHANGES_MAX + 1]; /* behind each change */
} desk;

static int lock(pthread_mutex_t *mutex)
{
	(void)mutex;
	if (script.reads) {
		unsigned i = 0;

		while (script.end[i] < script.at)
			i++;
		script_go(script.end[i]);
		script.holds = true;
	}
	return 0;
}

static int unlock(pthread_mutex_t *mutex)
{
	(void)mutex;
	script.holds = false;
	return 0;
}

static void make(const struct step *step)
{
	const struct range range = { step->at, step->at + (step->size - 1) };

	switch (step->what) {
	case UPDATE: iotlb_update(desk.tlb, range, (char *)(uintptr_t)step->to, step->perm); break;
	case INVALIDATE: iotlb_invalidate(desk.tlb, range); break;
	default: iotlb_flush(desk.tlb);
	}
}

static void prepare(const struct scene *scene)
{
	uint64_t size = scene->small ? 256 : PAGE;

	desk.scene = scene->name;
	desk.tlb = iotlb_new(scene->bound);
	assert_non_null(desk.tlb);
	script.notes = false;
	for (uint64_t i = 0; i < scene->crowd; i++) {
		const struct step step = { UPDATE, (1000 + i) * PAGE, size, (2000 + 2 * i) * PAGE,
			                   3 };

		make(&step);
	}
	for (unsigned i = 0; i < COUNT(scene->before) && scene->before[i].what; i++)
		make(&scene->before[i]);
	script_begin();
	for (unsigned i = 0; i < COUNT(scene->change) && scene->change[i].what; i++) {
		make(&scene->change[i]);
		script_mark();
	}
	script_end();
}

static struct answer look_up(void)
{
	struct answer answer = { 0 };

	answer.found = iotlb_lookup(desk.tlb, desk.addr, 1, &answer.walk);
	return answer;
}

/* Without interruption, in the tree: as far as it goes in both directions. */
static struct answer look_in_tree(void)
{
	struct answer answer = { 0 };

	answer.found = tree_walk(desk.tlb, desk.addr, 1, &answer.walk);
	return answer;
}

static bool fits(const struct answer *answer, const struct answer *all)
{
	const struct walk *a = &answer->walk, *b = &all->walk;

	if (answer->found != all->found)
		return false;
	if (!answer->found)
		return a->after == b->after;
	return a->ptr == b->ptr && a->perm == b->perm && a->before <= b->before &&
	       a->after <= b->after;
}

static void look_up_interrupted(unsigned from)
{
	struct answer answer;
	bool right = false;

	reader_begin(from);
	answer = look_up();
	reader_end();
	for (unsigned i = 0; i <= script.n_changes; i++)
		right |= was_so(i) && fits(&answer, &desk.answer[i]);
	if (right)
		return;
	fail_msg("%s: at %#llx, stores %u to %u: %s, after %llu", desk.scene,
	         (unsigned long long)desk.addr, from, script.at, answer.found ? "found" : "nothing",
	         (unsigned long long)answer.walk.after);
}

/* From all places of the script, or many, before every load, on to others: far ones not all. */
static void interrupt_once(void)
{
	for (unsigned from = 0; from <= script.n; from += 1 + script.n / 128) {
		script.n_turns = 0;
		look_up_interrupted(from);
		script.n_turns = 1;
		for (unsigned to = from + 1; to <= script.n; to += 1 + (to - from) / 2) {
			script.turn[0] = (struct turn){ 1, to };
			do {
				script.turn[0].load++;
				look_up_interrupted(from);
			} while (script.next && script.turn[0].load < LOADS_MOST);
		}
	}
}

static uint64_t chosen;

static unsigned choose(unsigned below)
{
	chosen ^= chosen << 13;
	chosen ^= chosen >> 7;
	chosen ^= chosen << 17;
	return (unsigned)(chosen % below);
}

/* Twice or more, as far as there is time for: the same ones every time. */
static void interrupt_more(unsigned many)
{
	chosen = UINT64_C(0x9e3779b97f4a7c15);
	for (unsigned i = 0; i < many; i++) {
		unsigned from = choose(script.n + 1), load = 1, to = from;

		script.n_turns = 2 + choose(3);
		for (unsigned k = 0; k < script.n_turns; k++) {
			load += 1 + choose(6);
			to += choose((script.n - to) / 2 + 1);
			script.turn[k] = (struct turn){ load, to };
		}
		look_up_interrupted(from);
	}
}

static void check_scene(const struct scene *scene)
{
	for (unsigned k = 0; k < COUNT(scene->at) && scene->at[k]; k++) {
		desk.addr = scene->at[k];
		for (unsigned i = 0; i <= script.n_changes; i++) {
			struct answer answer;

			script_go(script.end[i]);
			desk.answer[i] = look_in_tree();
			answer = look_up();
			assert_true(fits(&answer, &desk.answer[i]));
		}
		interrupt_once();
		interrupt_more(WAYS_MOST);
	}
}

static void U2_an_interrupted_look_up_is_right(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(scenes); i++) {
		prepare(&scenes[i]);
		check_scene(&scenes[i]);
		script_go(script.n);
		assert_true(iotlb_check(desk.tlb));
		iotlb_free(desk.tlb);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U2_an_interrupted_look_up_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
