/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rule I3 under a driver that flushes its whole domain every millisecond, as a
 * lazy one may, with 32 requests under way on each of two queues and two
 * workers: none fails, nothing is lost, and what is asked for again is what a
 * flush took and no more (a miss of what was given is a fault in pages.c).
 *
 *	test_storm [milliseconds per engine]
 */
#include <stdio.h>
#include <stdlib.h>

#include "late.h"
#include "run.h"
#include "support/check.h"
#include "verdict.h"

#define LATE_US 150u

static unsigned longest_ms = 1000;

static const struct run_config storms[] = {
	{ .engine = &engine_inline }, { .engine = &engine_threads }, { .engine = &engine_uring },
	{ .engine = &engine_memory }, { .engine = &engine_late },
};

static void I3_a_full_flush_every_millisecond_fails_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(storms); i++) {
		struct run_config config = storms[i];
		struct run_result result;

		config.n_workers = 2;
		config.n_queues = 2;
		config.depth = 32;
		config.late_us = LATE_US;
		config.flush_us = 1000;
		config.longest_ms = longest_ms;
		config.seed = i + 1;
		run(&config, &result);
		if (verdict_now() != VERDICT_FINE)
			fail_msg("%s", verdict_text());
		if (result.absent)
			continue;
		print_message("%s: %llu flushes, %llu requests, %llu misses; %u ms\n",
		              config.engine->name, (unsigned long long)result.flushes,
		              (unsigned long long)result.requests,
		              (unsigned long long)result.misses, result.ms);
		assert_true(result.flushes > 0 && result.requests > 0);
		/* What is given is asked for once, and once again after a flush. */
		assert_true(result.misses <= (result.flushes + 1) * result.pages);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(I3_a_full_flush_every_millisecond_fails_nothing),
	};

	if (argc > 1)
		longest_ms = (unsigned)strtoul(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
