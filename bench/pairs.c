/* SPDX-License-Identifier: BSD-3-Clause */
#include "pairs.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define NS_A_SECOND     1e9
#define SECONDS_DEFAULT 1.0

static volatile uint64_t sink;

uint64_t pairs_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double run(const struct contender *contender, uint64_t n)
{
	uint64_t start = pairs_now();
	uint64_t result = contender->run(contender->opaque, n);

	if (contender->timed)
		return (double)result;
	sink += result;
	return (double)(pairs_now() - start);
}

/* How often it goes in the time; warms caches on the way. */
static uint64_t calibrate(const struct contender *contender, double seconds)
{
	uint64_t n = 1;

	for (;;) {
		double ns = run(contender, n);

		if (ns >= seconds * NS_A_SECOND / 4)
			return (uint64_t)((double)n * seconds * NS_A_SECOND / ns) + 1;
		n *= ns < seconds * NS_A_SECOND / 64 ? 8 : 2;
	}
}

void pairs_turns(const struct contender *contenders, unsigned n, double seconds, struct turns *ret)
{
	uint64_t times[CONTENDERS_MAX];

	assert(n && n <= CONTENDERS_MAX);
	for (unsigned i = 0; i < n; i++)
		times[i] = calibrate(&contenders[i], seconds);
	for (unsigned round = 0; round < PAIRS; round++)
		for (unsigned i = 0; i < n; i++)
			ret->ns[i][round] = run(&contenders[i], times[i]) / (double)times[i];
}

struct spread turns_ratio(const struct turns *turns, unsigned first, unsigned second)
{
	double ratios[PAIRS];

	for (unsigned i = 0; i < PAIRS; i++)
		ratios[i] = turns->ns[first][i] / turns->ns[second][i];
	return spread_of(ratios, PAIRS);
}

struct spread turns_ns(const struct turns *turns, unsigned contender)
{
	double ns[PAIRS];

	for (unsigned i = 0; i < PAIRS; i++)
		ns[i] = turns->ns[contender][i];
	return spread_of(ns, PAIRS);
}

double pairs_seconds(void)
{
	const char *wanted = getenv("VHU_BENCH_SECONDS");
	double seconds = wanted ? strtod(wanted, NULL) : 0;

	return seconds > 0 ? seconds : SECONDS_DEFAULT;
}

double pairs_seconds_brief(void)
{
	return pairs_seconds() / 10;
}

/* Those of the process's first thread, before it was kept on one. */
static cpu_set_t processors;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_processors(void)
{
	if (sched_getaffinity(0, sizeof(processors), &processors))
		CPU_SET(0, &processors);
}

unsigned pairs_processors(void)
{
	pthread_once(&once, find_processors);
	return (unsigned)CPU_COUNT(&processors);
}

void pairs_pin(unsigned i)
{
	cpu_set_t one;

	i %= pairs_processors();
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		if (!CPU_ISSET(cpu, &processors) || i-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		/* A machine that refuses gives noisier figures, no wrong ones. */
		(void)sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}
