/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is thrown out at the bound: misses of the map against those of one whose
 * victim is drawn at random, both behind the same view, with and without a front
 * cache. Nothing is timed.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "iotlb/iotlb.h"
#include "pairs.h"
#include "random.h"
#include "results.h"
#include "sections.h"
#include "set.h"
#include "trace.h"

#define ZIPF_PAGES 65536u
#define ZIPF_BOUND 8192u
#define ZIPF_LOOKS 1000000u
#define ZIPF_S     0.9
#define SCAN_PAGES 10240u
#define SCAN_LOOKS 200000u
#define NAME_MAX   80u

/* A bounded map behind a view: ours, or the model's. */
struct cache {
	struct translate_view view;
	struct iotlb *tlb; /* or NULL, and: */
	struct random_map *model;
	uint64_t misses;
	uint64_t most; /* entries at a time; of ours */
};

static void cache_init(struct cache *cache, uint64_t bound, unsigned lines, uint64_t seed)
{
	*cache = (struct cache){ 0 };
	if (seed)
		cache->model = random_map_new(bound, seed);
	else
		cache->tlb = iotlb_new(bound);
	if ((!cache->model && !cache->tlb) || translate_view_init(&cache->view, lines))
		abort();
	if (cache->tlb)
		translate_view_attach(&cache->view, iotlb_walk, cache->tlb, true);
	else
		translate_view_attach(&cache->view, random_map_walk, cache->model, true);
}

static void cache_done(struct cache *cache)
{
	iotlb_free(cache->tlb);
	random_map_free(cache->model);
	translate_view_done(&cache->view);
}

static struct range pages_range(uint64_t page, uint64_t n)
{
	return (struct range){ page * TRANSLATE_PAGE, (page + n) * TRANSLATE_PAGE - 1 };
}

static void cache_fill(struct cache *cache, uint64_t page)
{
	struct range range = pages_range(page, 1);
	struct iotlb_stats stats;

	if (!cache->tlb) {
		random_map_update(cache->model, page);
		return;
	}
	/* No neighbour follows in memory. */
	if (iotlb_update(cache->tlb, range, (char *)(uintptr_t)(2 * range.start + TRANSLATE_PAGE),
	                 PERM_RW))
		translate_forget(&cache->view, range);
	iotlb_stats(cache->tlb, &stats);
	if (stats.entries > cache->most)
		cache->most = stats.entries;
}

static void cache_look(struct cache *cache, uint64_t page)
{
	if (!translate(&cache->view, page * TRANSLATE_PAGE, 1, PERM_RW, NULL, NULL))
		return;
	cache->misses++;
	cache_fill(cache, page);
}

static void cache_forget(struct cache *cache, uint64_t page, uint64_t n)
{
	if (cache->tlb)
		iotlb_invalidate(cache->tlb, pages_range(page, n));
	else
		random_map_invalidate(cache->model, page, n);
	translate_forget(&cache->view, pages_range(page, n));
}

/* Looks are drawn before: each cache gets the same ones. */
struct work {
	const char *name;
	uint64_t bound;
	struct bar bar;
	struct trace trace;
};

static void cache_run(struct cache *cache, const struct trace *trace)
{
	for (uint64_t i = 0; i < trace->n; i++) {
		const struct trace_event *event = &trace->events[i];

		if (event->forget)
			cache_forget(cache, event->page, event->pages);
		for (uint64_t k = 0; k < event->pages && !event->forget; k++)
			cache_look(cache, event->page + k);
	}
}

/* @seed 0: ours. */
static uint64_t misses_of(const struct work *work, unsigned lines, uint64_t seed)
{
	struct cache cache;
	uint64_t misses;

	cache_init(&cache, work->bound, lines, seed);
	cache_run(&cache, &work->trace);
	misses = cache.misses;
	cache_done(&cache);
	return misses;
}

static int measure(const struct work *work, unsigned lines)
{
	uint64_t misses = misses_of(work, lines, 0);
	double ratios[PAIRS];
	struct spread spread;
	char name[NAME_MAX];

	for (unsigned i = 0; i < PAIRS; i++)
		ratios[i] = (double)misses / (double)misses_of(work, lines, PAIRS_SEED + i);
	spread = spread_of(ratios, PAIRS);
	snprintf(name, sizeof(name), "misses, %s, bound %llu%s", work->name,
	         (unsigned long long)work->bound, lines ? ", front cache" : "");
	return result_add(&(struct result){
		.bench = IOTLB_BENCH,
		.name = name,
		.value = (double)misses,
		.unit = "misses",
		.against = "random",
		.spread = &spread,
		.bar = work->bar,
	});
}

static int measure_both(const struct work *work)
{
	return measure(work, 0) | measure(work, SET_LINES);
}

/* The first rank whose share of the whole, with all before it, reaches @u. */
static uint64_t rank_at(const double *shares, double u)
{
	uint64_t low = 0, high = ZIPF_PAGES - 1;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (shares[middle] < u)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int bench_zipf(void)
{
	static double shares[ZIPF_PAGES];
	struct work work = { "zipf 0.9", ZIPF_BOUND, { BAR_MOST, 1.0 } };
	uint64_t seed = PAIRS_SEED;
	double sum = 0;
	int err;

	for (unsigned i = 0; i < ZIPF_PAGES; i++)
		shares[i] = sum += pow(i + 1, -ZIPF_S);
	if (!trace_init(&work.trace, ZIPF_LOOKS))
		return 1;
	for (unsigned i = 0; i < ZIPF_LOOKS; i++) {
		double u = (double)(pairs_random(&seed) >> 11) / (double)(UINT64_C(1) << 53);
		uint64_t rank = rank_at(shares, u * sum);

		/* Neighbours in rank are none in address. */
		trace_add(&work.trace, rank * 40503 & (ZIPF_PAGES - 1), 1, false);
	}
	err = measure_both(&work);
	trace_done(&work.trace);
	return err;
}

static int bench_scan(void)
{
	struct work work = { .name = "cyclic scan", .bound = ZIPF_BOUND };
	int err;

	if (!trace_init(&work.trace, SCAN_LOOKS))
		return 1;
	for (unsigned i = 0; i < SCAN_LOOKS; i++)
		trace_add(&work.trace, i % SCAN_PAGES, 1, false);
	err = measure_both(&work);
	trace_done(&work.trace);
	return err;
}

/* Pages in use at a time: what a map without a bound comes to. */
static uint64_t pages_in_use(const struct trace *trace)
{
	struct cache cache;
	uint64_t most;

	cache_init(&cache, IOTLB_ENTRIES_DEFAULT, 0, 0);
	cache_run(&cache, trace);
	most = cache.most;
	cache_done(&cache);
	return most;
}

/* A half, a quarter; an eighth does not hold the pages of one request after another. */
static int bench_strict(void)
{
	struct work work = { .name = "strict VM" };
	int err;

	if (!trace_read(&work.trace, BENCH_FOLDER "/trace-strict.dat"))
		return 1;
	work.bound = pages_in_use(&work.trace);
	printf("strict VM: %llu pages in use at a time\n", (unsigned long long)work.bound);
	work.bar = (struct bar){ BAR_MOST, 1.0 };
	work.bound /= 2;
	err = measure_both(&work);
	work.bound /= 2;
	err |= measure_both(&work);
	work.bar.kind = BAR_NONE;
	work.bound /= 2;
	err |= measure_both(&work);
	trace_done(&work.trace);
	return err;
}

int bench_evict(void)
{
	return bench_zipf() | bench_strict() | bench_scan();
}
