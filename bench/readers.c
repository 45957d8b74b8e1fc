/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readers beside each other, and beside the writer: threads on processors of
 * their own that share the map and nothing else. A reader translates a batch and
 * touches the data of each buffer. The writer changes the map alone: that
 * workers are told is the session's protocol, and another figure.
 *
 * Threads: the section's own reads; a helper reads or writes.
 */
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "figures.h"
#include "results.h"
#include "sections.h"
#include "set.h"

#define BATCH       32u
#define BUFFER      64u
#define OTHER_PAGES 1024u  /* of the writer, above the readers' */
#define PERIOD      10000u /* ns: 100,000 a second */
#define PACED_LEAST 95000  /* made of the 100,000, or nothing was measured */
#define NAME_MAX    64u

/* What a worker has for itself shares no cache line with another's. */
struct reader {
	alignas(128) struct translate_view view;
	struct iov_list iov;
	uint64_t pages;
	uint64_t at; /* in the sequence of chance */
};

struct bench {
	struct set *set;
	struct reader reader, second; /* this thread's and a helper's */
	uint64_t period;              /* of the writer's rounds in ns; 0: without pause */

	/* The helper's, to be read when it has ended: of the last time, and of all. */
	uint64_t times, ns;
	uint64_t all_times, all_ns;
	_Atomic bool begun, end;
};

static void reader_init(struct reader *reader, const struct set *set, uint64_t pages)
{
	*reader = (struct reader){ .pages = pages };
	if (translate_view_init(&reader->view, SET_LINES))
		abort();
	translate_view_attach(&reader->view, iotlb_walk, set->tlb, true);
}

static void reader_done(struct reader *reader)
{
	translate_view_done(&reader->view);
	iov_list_done(&reader->iov);
}

static uint64_t read_batch(struct reader *reader)
{
	uint64_t sum = 0;

	reader->iov.n = 0;
	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t r = pairs_nth(reader->at++);
		uint64_t addr = (r >> 32 & (reader->pages - 1)) * TRANSLATE_PAGE + set_offset(r);

		if (translate(&reader->view, addr, BUFFER, PERM_RW, &reader->iov, NULL))
			abort();
	}
	for (unsigned i = 0; i < reader->iov.n; i++)
		sum += *(const volatile uint64_t *)reader->iov.iov[i].iov_base;
	return sum;
}

static uint64_t run_reader(void *opaque, uint64_t n)
{
	struct bench *b = opaque;
	uint64_t sum = 0;

	while (n--)
		sum += read_batch(&b->reader);
	return sum;
}

static bool goes_on(const struct bench *b)
{
	return !atomic_load_explicit(&b->end, memory_order_relaxed);
}

static void *help_reading(void *opaque)
{
	struct bench *b = opaque;
	uint64_t start;

	pairs_pin(1);
	read_batch(&b->second);
	atomic_store(&b->begun, true);
	start = pairs_now();
	for (b->times = 0; goes_on(b); b->times++)
		read_batch(&b->second);
	b->ns = pairs_now() - start;
	return NULL;
}

static void write_round(struct bench *b, uint64_t round)
{
	uint64_t page = b->set->n - OTHER_PAGES + (round * 7 & (OTHER_PAGES - 1));

	set_invalidate(b->set, page);
	set_update(b->set, page);
}

/* Does not sleep, for that takes longer than a round. */
static void *help_writing(void *opaque)
{
	struct bench *b = opaque;
	uint64_t start, due;

	pairs_pin(1);
	write_round(b, 0);
	atomic_store(&b->begun, true);
	due = start = pairs_now();
	for (b->times = 0; goes_on(b);) {
		if (b->period && pairs_now() < due)
			continue;
		due += b->period;
		write_round(b, b->times++);
	}
	b->ns = pairs_now() - start;
	return NULL;
}

/* The ns of @n batches of this thread with a helper beside it. */
static uint64_t run_beside(struct bench *b, uint64_t n, void *(*help)(void *opaque))
{
	pthread_t helper;
	uint64_t start, ns;

	atomic_store(&b->begun, false);
	atomic_store(&b->end, false);
	if (pthread_create(&helper, NULL, help, b))
		abort();
	while (!atomic_load(&b->begun))
		;
	start = pairs_now();
	run_reader(b, n);
	ns = pairs_now() - start;
	atomic_store(&b->end, true);
	pthread_join(helper, NULL);
	b->all_times += b->times;
	b->all_ns += b->ns;
	return ns;
}

/* Of two readers the slower counts. */
static uint64_t run_two(void *opaque, uint64_t n)
{
	struct bench *b = opaque;
	uint64_t ns = run_beside(b, n, help_reading);
	double second = b->times ? (double)b->ns / (double)b->times * (double)n : 1e18;

	return second > (double)ns ? (uint64_t)second : ns;
}

static uint64_t run_paced(void *opaque, uint64_t n)
{
	struct bench *b = opaque;

	b->period = PERIOD;
	return run_beside(b, n, help_writing);
}

static uint64_t run_unpaced(void *opaque, uint64_t n)
{
	struct bench *b = opaque;

	b->period = 0;
	return run_beside(b, n, help_writing);
}

/* What the writer came to meanwhile. */
static int report_writer(const struct bench *b, const char *what, struct bar bar)
{
	char name[NAME_MAX];
	const struct result result = {
		.bench = IOTLB_BENCH,
		.name = name,
		.value = b->all_ns ? (double)b->all_times * 1e9 / (double)b->all_ns : 0,
		.unit = "changes/s",
		.bar = bar,
	};

	snprintf(name, sizeof(name), "writer, %s, %llu pages", what,
	         (unsigned long long)b->reader.pages);
	return result_add(&result);
}

static int measure(struct bench *b, const char *what, pairs_fn *run, struct bar bar)
{
	const struct contender contenders[] = {
		{ what, run, b, true },
		{ "alone", run_reader, b },
	};
	char name[NAME_MAX];
	const struct figure figure = { name, 0, 1, bar, "ns/batch", .speed = true };

	snprintf(name, sizeof(name), "%s, %llu pages", what, (unsigned long long)b->reader.pages);
	b->all_times = b->all_ns = 0;
	return figures_measure(IOTLB_BENCH, contenders, 2, &figure, 1);
}

/*
 * Two readers of one map; and two that have a map and memory each, and so nothing to
 * share but what the machine's processors do.
 */
static int measure_two(struct bench *b, const struct set *other)
{
	struct bench apart = { .set = b->set };
	const struct contender contenders[] = {
		{ "two readers", run_two, b, true },
		{ "alone", run_reader, b },
		{ "two readers apart", run_two, &apart, true },
	};
	unsigned long long pages = b->reader.pages;
	char name[2][NAME_MAX];
	const struct figure figures[] = {
		{ name[0], 0, 1, { BAR_LEAST, 0.9 }, "ns/batch", .speed = true },
		{ name[1], 2, 1, { 0 }, "ns/batch", .speed = true },
	};
	int err;

	snprintf(name[0], sizeof(name[0]), "two readers, each, %llu pages", pages);
	snprintf(name[1], sizeof(name[1]), "two readers, a map each, %llu pages", pages);
	reader_init(&apart.reader, b->set, b->reader.pages);
	reader_init(&apart.second, other, b->reader.pages);
	err = figures_measure(IOTLB_BENCH, contenders, 3, figures, 2);
	reader_done(&apart.reader);
	reader_done(&apart.second);
	return err;
}

/* Readers of so many pages. */
static int bench_pages(uint64_t pages)
{
	/* Twice the pages, for their number is a power of two. */
	uint64_t entries = 2 * (pages > OTHER_PAGES ? pages : OTHER_PAGES);
	struct set set, other;
	struct bench b = { .set = &set };
	int err;

	set_init(&set, entries, SET_DENSE, 0, false);
	set_make_memory(&set);
	set_init(&other, entries, SET_DENSE, 0, false);
	set_make_memory(&other);
	reader_init(&b.reader, &set, pages);
	reader_init(&b.second, &set, pages);
	err = measure_two(&b, &other);
	set_done(&other);
	err |= measure(&b, "reader, 100000 changes/s", run_paced, (struct bar){ BAR_LEAST, 0.85 });
	err |= report_writer(&b, "beside the reader", (struct bar){ BAR_LEAST, PACED_LEAST });
	err |= measure(&b, "reader, changes without pause", run_unpaced, (struct bar){ 0 });
	err |= report_writer(&b, "without pause", (struct bar){ 0 });
	reader_done(&b.reader);
	reader_done(&b.second);
	set_done(&set);
	return err;
}

int bench_readers(void)
{
	if (pairs_processors() < 2)
		return result_skip(IOTLB_BENCH, "two readers; a reader and the writer",
		                   "there is but one processor");
	return bench_pages(SET_LIST) | bench_pages(65536);
}
