/* SPDX-License-Identifier: BSD-3-Clause */
/* What evictions are measured against, and by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory/translate_inline.h"
#include "pairs.h"
#include "random.h"
#include "trace.h"

#define BOUND 64u
#define PAGES 256u

static bool has(struct random_map *map, uint64_t page)
{
	struct translate_view view = { .source = map };
	struct walk walk;

	return random_map_walk(&view, page * TRANSLATE_PAGE + 9, PERM_READ, &walk);
}

static unsigned count(struct random_map *map)
{
	unsigned n = 0;

	for (uint64_t page = 0; page < PAGES; page++)
		n += has(map, page);
	return n;
}

static void random_map_holds_its_bound_and_the_newest(void **state)
{
	struct random_map *map = random_map_new(BOUND, PAIRS_SEED);

	assert_non_null(map);
	for (uint64_t page = 0; page < PAGES; page++) {
		random_map_update(map, page);
		assert_true(has(map, page));
		assert_int_equal(count(map), page < BOUND ? page + 1 : BOUND);
	}
	random_map_free(map);
}

/* With a victim at random some of the oldest are there still; the oldest first leaves none. */
static void random_map_keeps_no_order(void **state)
{
	struct random_map *map = random_map_new(BOUND, PAIRS_SEED);
	unsigned old = 0;

	assert_non_null(map);
	for (uint64_t page = 0; page < 2 * BOUND; page++)
		random_map_update(map, page);
	for (uint64_t page = 0; page < BOUND; page++)
		old += has(map, page);
	assert_in_range(old, 1, BOUND - 1);
	random_map_free(map);
}

static void random_map_forgets_exactly(void **state)
{
	struct random_map *map = random_map_new(BOUND, PAIRS_SEED);

	assert_non_null(map);
	for (uint64_t page = 0; page < 32; page++)
		random_map_update(map, page);
	random_map_invalidate(map, 8, 4);
	random_map_invalidate(map, 8, 4);
	for (uint64_t page = 0; page < 32; page++)
		assert_int_equal(has(map, page), page < 8 || page >= 12);
	random_map_update(map, 8);
	assert_int_equal(count(map), 29);
	random_map_free(map);
}

static void trace_that_comes_along_is_one(void **state)
{
	uint64_t looks = 0, forgets = 0;
	struct trace trace;

	assert_true(trace_read(&trace, BENCH_FOLDER "/trace-strict.dat"));
	for (uint64_t i = 0; i < trace.n; i++) {
		assert_true(trace.events[i].pages > 0);
		assert_true(trace.events[i].page + trace.events[i].pages <= RANDOM_PAGES);
		looks += !trace.events[i].forget;
		forgets += trace.events[i].forget;
	}
	assert_true(looks > 1000 && forgets > 1000);
	trace_done(&trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_map_holds_its_bound_and_the_newest),
		cmocka_unit_test(random_map_keeps_no_order),
		cmocka_unit_test(random_map_forgets_exactly),
		cmocka_unit_test(trace_that_comes_along_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
