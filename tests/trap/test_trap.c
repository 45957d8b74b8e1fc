/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rule I2, attacked: the moment a removal is acknowledged, the back-end's own
 * mapping of the page is made inaccessible, or filled with a canary, while
 * requests go on. With every engine, 2 and 4 workers.
 *
 *	test_trap [--rounds=N] [--seconds=N] [--seed=N]
 *
 * Rounds are those of all combinations together. With --seconds one combination
 * is run after the other until the time is over; the seed, by which a failure is
 * told, is another every time, and chooses with which one that begins.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "late.h"
#include "run.h"
#include "support/check.h"
#include "verdict.h"

#define BOTH     (RUN_TRAP | RUN_CANARY)
#define LATE_US  150u
#define PIECE_MS 5000u
#define POLL_US  100u
#define FEW      64u /* entries, of pages in use at a time */
#define FEW_WIDE 24u

static uint64_t rounds = 10000, seed, rounds_so_far;
static unsigned seconds;

static const struct run_config combinations[] = {
	{ .engine = &engine_inline, .n_workers = 2, .marks = BOTH },
	{ .engine = &engine_inline, .n_workers = 4, .marks = BOTH, .rings = true },
	{ .engine = &engine_threads, .n_workers = 2, .marks = BOTH, .rings = true },
	{ .engine = &engine_threads, .n_workers = 4, .marks = BOTH },
	{ .engine = &engine_uring, .n_workers = 2, .marks = BOTH },
	{ .engine = &engine_uring, .n_workers = 4, .marks = BOTH, .rings = true },
	{ .engine = &engine_memory, .n_workers = 2, .marks = BOTH, .rings = true },
	{ .engine = &engine_memory, .n_workers = 4, .marks = BOTH },
	{ .engine = &engine_late, .n_workers = 2, .marks = BOTH, .rings = true },
	{ .engine = &engine_late, .n_workers = 4, .marks = BOTH },
	{ .engine = &engine_memory, .n_workers = 2, .marks = BOTH, .entries = FEW },
	{ .engine = &engine_late, .n_workers = 4, .marks = BOTH, .entries = FEW, .rings = true },
	{ .engine = &engine_uring, .n_workers = 2, .marks = BOTH, .wide = true },
	{ .engine = &engine_late,
	  .n_workers = 4,
	  .marks = BOTH,
	  .wide = true,
	  .entries = FEW_WIDE },
	{ .engine = &engine_late, .n_workers = 4, .marks = BOTH, .sleepy = true, .depth = 1 },
	{ .engine = &engine_late,
	  .n_workers = 2,
	  .marks = BOTH,
	  .sleepy = true,
	  .depth = 2,
	  .rings = true },
	{ .engine = &engine_memory,
	  .n_workers = 4,
	  .marks = BOTH,
	  .sleepy = true,
	  .depth = 1,
	  .rings = true },
	{ .engine = &engine_memory, .n_workers = 2, .marks = BOTH, .poll_us = POLL_US },
	{ .engine = &engine_late,
	  .n_workers = 2,
	  .marks = BOTH,
	  .poll_us = POLL_US,
	  .rings = true },
	{ .engine = &engine_uring, .n_workers = 2, .marks = RUN_CANARY, .direct = true },
	{ .engine = &engine_threads, .n_workers = 4, .marks = RUN_CANARY, .direct = true },
};

static const struct run_config with_regions[] = {
	{ .engine = &engine_inline, .n_workers = 2, .marks = BOTH, .regions = true },
	{ .engine = &engine_threads, .n_workers = 2, .marks = BOTH, .regions = true },
	{ .engine = &engine_uring, .n_workers = 4, .marks = BOTH, .regions = true },
	{ .engine = &engine_memory, .n_workers = 4, .marks = BOTH, .regions = true },
	{ .engine = &engine_late, .n_workers = 2, .marks = BOTH, .regions = true },
};

#define COMBINATIONS (ARRAY_SIZE(combinations) + ARRAY_SIZE(with_regions))

static const struct run_config *combination(unsigned i)
{
	return i < ARRAY_SIZE(combinations) ? &combinations[i]
	                                    : &with_regions[i - ARRAY_SIZE(combinations)];
}

static void run_one(struct run_config config)
{
	struct run_result result;
	char text[80];

	config.late_us = LATE_US;
	config.seed = seed++;
	run_describe(&config, text, sizeof(text));
	run(&config, &result);
	if (verdict_now() != VERDICT_FINE)
		fail_msg("%s (seed %llu)", verdict_text(), (unsigned long long)config.seed);
	if (result.absent) {
		print_message("%s: not here\n", text);
		return;
	}
	print_message("%s: %llu rounds, %llu pages trapped, %llu canaries; %llu requests, "
	              "%llu misses; %u ms\n",
	              text, (unsigned long long)result.rounds, (unsigned long long)result.trapped,
	              (unsigned long long)result.canaries, (unsigned long long)result.requests,
	              (unsigned long long)result.misses, result.ms);
	assert_true(result.rounds > 0 && result.requests > 0);
	rounds_so_far += result.rounds;
}

static void I2_nothing_is_touched_behind_the_acknowledgement(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(combinations); i++) {
		struct run_config config = combinations[i];

		config.rounds = rounds / COMBINATIONS + 1;
		run_one(config);
	}
}

static void I2_nor_where_memory_was_removed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(with_regions); i++) {
		struct run_config config = with_regions[i];

		config.rounds = rounds / COMBINATIONS + 1;
		run_one(config);
	}
}

/* In pieces; the seed chooses the combination, too. */
static void I2_for_as_long_as_wanted(void **state)
{
	time_t end = time(NULL) + seconds;

	(void)state;
	while (time(NULL) < end) {
		struct run_config config = *combination((unsigned)(seed % COMBINATIONS));

		config.longest_ms = PIECE_MS;
		run_one(config);
	}
	print_message("%llu rounds\n", (unsigned long long)rounds_so_far);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'S' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'r': rounds = strtoull(optarg, NULL, 0); break;
		case 's': seconds = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'S': seed = strtoull(optarg, NULL, 0); break;
		default: exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(I2_nothing_is_touched_behind_the_acknowledgement),
		cmocka_unit_test(I2_nor_where_memory_was_removed),
	};
	const struct CMUnitTest for_long[] = {
		cmocka_unit_test(I2_for_as_long_as_wanted),
	};

	parse(argc, argv);
	if (!seed)
		seed = seconds ? (uint64_t)time(NULL) : 1;
	if (seconds)
		return cmocka_run_group_tests(for_long, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
