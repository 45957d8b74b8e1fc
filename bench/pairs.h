/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measures several ways of doing the same by turns, so that whatever else the
 * machine does meets all alike: what counts is the ratio of runs of one round.
 *
 * Thread: one.
 */
#ifndef BENCH_PAIRS_H
#define BENCH_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "judge.h"

/* Rounds that make a figure. */
#define PAIRS          9u
#define CONTENDERS_MAX 6u

/*
 * Does it @n times. What is returned keeps the compiler from leaving it out; of
 * a contender that is @timed it is the ns that count, which may be less than
 * all it took.
 */
typedef uint64_t pairs_fn(void *opaque, uint64_t n);

struct contender {
	const char *name;
	pairs_fn *run;
	void *opaque;
	bool timed;
};

struct turns {
	double ns[CONTENDERS_MAX][PAIRS]; /* a time, of each contender in each round */
};

/* @n contenders, at most CONTENDERS_MAX; @seconds: about the length of each run. */
void pairs_turns(const struct contender *contenders, unsigned n, double seconds, struct turns *ret);

/* Ratios of two contenders, round by round: the first's time over the second's. */
struct spread turns_ratio(const struct turns *turns, unsigned first, unsigned second);
/* The ns of one. */
struct spread turns_ns(const struct turns *turns, unsigned contender);

/*
 * The length of a run that is judged: a second, or VHU_BENCH_SECONDS where all of
 * it is but tried out; and of one that is only published.
 */
double pairs_seconds(void);
double pairs_seconds_brief(void);

/* Keeps the calling thread on a processor: the @i-th of those it may use, from the last on. */
void pairs_pin(unsigned i);
/* How many of them there are. */
unsigned pairs_processors(void);

uint64_t pairs_now(void);

/* The bench programs' source of chance: fast, and the same every time. */
#define PAIRS_SEED UINT64_C(88172645463325252)

static inline uint64_t pairs_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* The same without a chain of dependences: the @i-th of a sequence that looks random. */
static inline uint64_t pairs_nth(uint64_t i)
{
	i *= UINT64_C(0x9e3779b97f4a7c15);
	i ^= i >> 32;
	return i * UINT64_C(0xd6e8feb86659fd93);
}

#endif
