/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The test of the trap test: a back-end that is broken (broken.h) is caught, by
 * each kind of trap. Nothing is left to luck: the disk's engine holds what was
 * issued until an acknowledgement has come, or for much longer than one takes.
 *
 * What is broken may hang or die when it is taken down: each run is a process of
 * its own, which ends as soon as it has seen what there is to see.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broken.h"
#include "late.h"
#include "support/check.h"
#include "verdict.h"

#define LONGEST_MS 20000u
#define LATE_US    20000u
#define CAUGHT     0
#define WRONG      1

/* What has been seen ends the process: the threads are left as they are. */
static void seen(void)
{
	fprintf(stderr, "%s\n", verdict_text());
	_exit(verdict_now() == VERDICT_VIOLATION ? CAUGHT : WRONG);
}

static void attack(unsigned marks)
{
	const struct run_config config = {
		.engine = &engine_late,
		.n_workers = 2,
		.rings = broken.rings,
		.regions = broken.regions,
		.sleepy = broken.sleepy,
		.depth = broken.sleepy ? 1 : 0,
		.poll_us = broken.poll_us,
		.entries = broken.entries,
		.marks = marks,
		.late_us = broken.late_us ? broken.late_us : LATE_US,
		.longest_ms = LONGEST_MS,
		.seed = marks,
		.seen = seen,
	};
	struct run_result result;

	run(&config, &result);
	fprintf(stderr, "nothing seen in %llu rounds\n", (unsigned long long)result.rounds);
	_exit(WRONG);
}

static void is_caught(unsigned marks)
{
	pid_t child;
	int status = -1;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		attack(marks);
	for (unsigned ms = 0; ms < LONGEST_MS && waitpid(child, &status, WNOHANG) == 0; ms += 5)
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	if (status == -1) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		fail_msg("not caught: %s", broken.what);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != CAUGHT)
		fail_msg("not caught: %s (status %d)", broken.what, status);
}

static void I2_a_broken_back_end_is_caught(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BROKEN_MARKS && broken.marks[i]; i++)
		is_caught(broken.marks[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(I2_a_broken_back_end_is_caught),
	};

	return cmocka_run_group_tests_name(broken.what, tests, NULL, NULL);
}
