/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run of four cases whose verdicts a test chooses, and what is said of it: for tests of
 * reports.
 */
#ifndef TESTS_CONFORM_SOME_RUN_H
#define TESTS_CONFORM_SOME_RUN_H

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "suite.h"

static const struct conform_case some_cases[] = {
	{ .id = "a.one", .title = "the first", .rule = "R1", .level = LEVEL_MUST },
	{ .id = "a.two", .title = "the second", .rule = "R2", .level = LEVEL_SHOULD },
	{ .id = "a.three", .title = "the third", .rule = "R3", .level = LEVEL_CONTRACT },
	{ .id = "b.four", .title = "the fourth", .rule = "R4", .level = LEVEL_MUST },
};

static const struct conform_area area_a = { "a", "what a is", some_cases, 3 };
static const struct conform_area area_b = { "b", "what b is", some_cases + 3, 1 };
static const struct conform_area *const areas[] = { &area_a, &area_b };

#define N_CASES  4u
#define TEXT_MAX 65536u

static const struct report_head head = {
	.side = "back-end", .path = "/s", .name = "it", .type = "any", .seed = 1
};

/* Each verdict has the reason "because". */
static inline void make_run(struct suite *suite, const enum verdict verdicts[N_CASES])
{
	assert_int_equal(suite_choose(suite, areas, 2, &(struct suite_choice){ 0 }), 0);
	for (unsigned i = 0; i < N_CASES; i++) {
		trial_set(&suite->trials[i], verdicts[i], "%s",
		          verdicts[i] == VERDICT_PASS ? "" : "because");
		suite->n_done++;
	}
}

static const enum verdict of_each_kind[N_CASES] = { VERDICT_FAIL, VERDICT_FAIL, VERDICT_FAIL,
	                                            VERDICT_NOT_APPLICABLE };

static inline void expect_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at || (at != text && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("no line \"%s\" in:\n%s", line, text);
}

struct file {
	char path[32];
};

static inline struct file new_file(void)
{
	struct file file = { "/tmp/vhu-report-XXXXXX" };
	int fd = mkstemp(file.path);

	assert_true(fd >= 0);
	close(fd);
	return file;
}

/* Standard output while @act runs. */
static inline char *output_of(int (*act)(void *opaque), void *opaque, int *ret)
{
	struct file file = new_file();
	int before = dup(STDOUT_FILENO);
	char *text = calloc(1, TEXT_MAX);
	FILE *from;

	assert_true(text && before >= 0);
	fflush(stdout);
	assert_non_null(freopen(file.path, "we", stdout));
	*ret = act(opaque);
	fflush(stdout);
	assert_true(dup2(before, STDOUT_FILENO) >= 0);
	close(before);
	from = fopen(file.path, "re");
	assert_non_null(from);
	text[fread(text, 1, TEXT_MAX - 1, from)] = 0;
	fclose(from);
	unlink(file.path);
	return text;
}

#endif
