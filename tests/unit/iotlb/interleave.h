/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reader beside the writer, in one thread and in any order of their steps: what
 * the writer stores is noted once, as a script, and replayed step by step before
 * chosen loads of the reader. Comes first, for it takes the place of what
 * <stdatomic.h> calls loads and stores; the code under test is included behind it.
 *
 * Steps are seen in the order of the program. That acquire and release keep them in
 * that order is for the thread sanitizer, and for test_readers.c on real threads.
 */
#ifndef TEST_IOTLB_INTERLEAVE_H
#define TEST_IOTLB_INTERLEAVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define STORES_MAX  1024u
#define CHANGES_MAX 16u
#define TURNS_MAX   8u

struct store {
	void *at;
	size_t size;
	unsigned char before[8], after[8];
};

/* Before the reader's load of that number, from 1 on, the script goes on to a store. */
struct turn {
	unsigned load, to;
};

static struct {
	struct store store[STORES_MAX];
	unsigned n;                    /* stores */
	unsigned at;                   /* so many of them have been made */
	unsigned end[CHANGES_MAX + 1]; /* of the script, behind each change; end[0] is 0 */
	unsigned n_changes;
	bool notes;

	/* the reader's run */
	bool reads, holds; /* it has the writer's lock, which ends the writer's turns */
	unsigned loads;
	struct turn turn[TURNS_MAX];
	unsigned n_turns, next;
	unsigned from; /* where the script was when it began */
	void (*meanwhile)(unsigned load);
} script;

static void script_go(unsigned to)
{
	for (; script.at < to; script.at++) {
		const struct store *store = &script.store[script.at];

		memcpy(store->at, store->after, store->size);
	}
	while (script.at > to) {
		const struct store *store = &script.store[--script.at];

		memcpy(store->at, store->before, store->size);
	}
}

static void note_store(void *at, const void *value, size_t size)
{
	struct store *store = &script.store[script.n];

	if (script.notes) {
		assert_true(script.n < STORES_MAX && size <= sizeof(store->before));
		store->at = at;
		store->size = size;
		memcpy(store->before, at, size);
		memcpy(store->after, value, size);
		script.at = ++script.n;
	}
	memcpy(at, value, size);
}

static void before_load(void)
{
	if (!script.reads)
		return;
	script.loads++;
	if (script.meanwhile) {
		script.reads = false;
		script.meanwhile(script.loads);
		script.reads = true;
	}
	for (; script.next < script.n_turns && script.turn[script.next].load == script.loads &&
	       !script.holds;
	     script.next++)
		script_go(script.turn[script.next].to);
}

#undef atomic_load_explicit
#define atomic_load_explicit(from, order)                                \
	__extension__({                                                  \
		__typeof__((void)0, *(from)) loaded_;                    \
                                                                         \
		before_load();                                           \
		memcpy(&loaded_, (const void *)(from), sizeof(loaded_)); \
		loaded_;                                                 \
	})

#undef atomic_store_explicit
#define atomic_store_explicit(to, value, order)                      \
	do {                                                         \
		__typeof__((void)0, *(to)) stored_ = (value);        \
                                                                     \
		note_store((void *)(to), &stored_, sizeof(stored_)); \
	} while (0)

/* From here on the writer's stores are noted. */
static inline void script_begin(void)
{
	memset(&script, 0, sizeof(script));
	script.notes = true;
}

/* A change of what is tested has ended. */
static inline void script_mark(void)
{
	assert_true(script.n_changes < CHANGES_MAX);
	assert_true(script.n > script.end[script.n_changes]);
	script.end[++script.n_changes] = script.n;
}

static inline void script_end(void)
{
	script_go(script.n);
	script.notes = false;
}

/* The reader begins when so many stores have been made. */
static inline void reader_begin(unsigned from)
{
	script_go(from);
	script.from = from;
	script.loads = script.next = 0;
	script.holds = false;
	script.reads = true;
}

static inline void reader_end(void)
{
	script.reads = false;
}

/*
 * Whether what a change left, 0 for what was there before all, was so at some
 * moment since the reader began. While a change is under way either may be.
 */
static inline bool was_so(unsigned change)
{
	unsigned first = change ? script.end[change - 1] + 1 : 0;
	unsigned last = change < script.n_changes ? script.end[change + 1] - 1 : script.n;

	return script.from <= last && script.at >= first;
}

/* All ways to go on before each of @loads loads; @read begins at turn[0].to. */
static inline void all_ways(unsigned loads, void (*read)(void))
{
	script.n_turns = loads;
	for (unsigned i = 0; i < loads; i++)
		script.turn[i] = (struct turn){ i + 1, 0 };
	for (;;) {
		unsigned i = loads;

		read();
		while (i > 0 && script.turn[i - 1].to == script.n)
			i--;
		if (i == 0)
			return;
		script.turn[i - 1].to++;
		for (unsigned k = i; k < loads; k++)
			script.turn[k].to = script.turn[i - 1].to;
	}
}

#endif
