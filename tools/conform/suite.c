/* SPDX-License-Identifier: BSD-3-Clause */
#include "suite.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GLOB_MAX 256u

const struct conform_case *area_case(const struct conform_area *area, unsigned i)
{
	for (; area; area = area->more) {
		if (i < area->n_cases)
			return &area->cases[i];
		i -= area->n_cases;
	}
	return NULL;
}

static unsigned count_cases(const struct conform_area *area)
{
	unsigned n = 0;

	while (area_case(area, n))
		n++;
	return n;
}

static bool matches_one(const char *glob, size_t len, const char *id)
{
	char text[GLOB_MAX];

	if (len >= sizeof(text))
		return false;
	memcpy(text, glob, len);
	text[len] = 0;
	/* The name of an area means all of it. */
	if (!strncmp(id, text, len) && id[len] == '.')
		return true;
	return fnmatch(text, id, 0) == 0;
}

static bool matches(const char *only, const char *id)
{
	if (!only)
		return true;
	for (;;) {
		size_t len = strcspn(only, ",");

		if (matches_one(only, len, id))
			return true;
		if (!only[len])
			return false;
		only += len + 1;
	}
}

/* The same numbers for a case whichever others are chosen. */
static uint64_t mix(uint64_t seed, const char *id)
{
	uint64_t hash = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

	while (*id)
		hash = (hash ^ (unsigned char)*id++) * UINT64_C(0x100000001b3);
	return hash ? hash : 1;
}

static void add(struct suite *suite, const struct conform_area *area,
                const struct conform_case *which, const struct suite_choice *choice)
{
	suite->trials[suite->n_trials++] = (struct trial){
		.which = which,
		.level = which->level,
		.area = area,
		.verdict = VERDICT_ERROR,
		.reason = "it was not tried",
		.patience_ms = choice->patience_ms,
		.random = mix(choice->seed, which->id),
	};
}

int suite_choose(struct suite *suite, const struct conform_area *const *areas, unsigned n_areas,
                 const struct suite_choice *choice)
{
	const struct conform_case *which;
	unsigned n = 0;

	*suite = (struct suite){ .areas = areas, .n_areas = n_areas };
	for (unsigned i = 0; i < n_areas; i++)
		n += count_cases(areas[i]);
	suite->trials = calloc(n ? n : 1, sizeof(*suite->trials));
	if (!suite->trials)
		return -ENOMEM;
	for (unsigned i = 0; i < n_areas; i++)
		for (unsigned j = 0; (which = area_case(areas[i], j)); j++)
			if (matches(choice->only, which->id))
				add(suite, areas[i], which, choice);
	return suite->n_trials ? 0 : -ENOENT;
}

void suite_done(struct suite *suite)
{
	for (unsigned i = 0; i < suite->n_trials; i++)
		evidence_done(&suite->trials[i].evidence);
	free(suite->trials);
	*suite = (struct suite){ 0 };
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = 1;
}

static void give_up(struct suite *suite, const char *reason)
{
	for (unsigned i = suite->n_done; i < suite->n_trials; i++)
		trial_set(&suite->trials[i], VERDICT_ERROR, "not tried: %s", reason);
}

void suite_run(struct suite *suite, bool (*perform)(struct trial *trial, void *opaque),
               void *opaque)
{
	const struct sigaction action = { .sa_handler = on_signal };
	bool on_terminal = isatty(STDERR_FILENO), goes_on = true;
	struct sigaction before;

	sigaction(SIGINT, &action, &before);
	while (goes_on && !interrupted && suite->n_done < suite->n_trials) {
		struct trial *trial = &suite->trials[suite->n_done];

		if (on_terminal)
			fprintf(stderr, "\r\033[K%u/%u %s", suite->n_done + 1, suite->n_trials,
			        trial->which->id);
		goes_on = perform(trial, opaque);
		suite->n_done++;
		if (!goes_on)
			give_up(suite, "the peer is gone");
	}
	if (on_terminal)
		fputs("\r\033[K", stderr);
	sigaction(SIGINT, &before, NULL);
	suite->interrupted = interrupted;
	if (interrupted)
		give_up(suite, "interrupted");
}

unsigned suite_count(const struct suite *suite, const struct conform_area *area, int level,
                     enum verdict verdict)
{
	unsigned n = 0;

	for (unsigned i = 0; i < suite->n_trials; i++) {
		const struct trial *trial = &suite->trials[i];

		n += (!area || trial->area == area) && trial->verdict == verdict &&
		     (level < 0 || (int)trial->level == level);
	}
	return n;
}

/* What could not be judged is not fine either. */
bool suite_is_fine(const struct suite *suite, bool strict)
{
	return !suite_count(suite, NULL, LEVEL_MUST, VERDICT_FAIL) &&
	       !suite_count(suite, NULL, LEVEL_MUST, VERDICT_ERROR) &&
	       !(strict && (suite_count(suite, NULL, LEVEL_CONTRACT, VERDICT_FAIL) ||
	                    suite_count(suite, NULL, LEVEL_CONTRACT, VERDICT_ERROR)));
}

const struct conform_case *suite_find(const struct conform_area *const *areas, unsigned n_areas,
                                      const char *id, const struct conform_area **ret_area)
{
	const struct conform_case *which;

	for (unsigned i = 0; i < n_areas; i++)
		for (unsigned j = 0; (which = area_case(areas[i], j)); j++)
			if (!strcmp(which->id, id)) {
				*ret_area = areas[i];
				return which;
			}
	return NULL;
}

void suite_print_list(const struct suite *suite)
{
	for (unsigned i = 0; i < suite->n_trials; i++) {
		const struct conform_case *which = suite->trials[i].which;

		printf("%-48s %-8s %s\n", which->id, level_name(which->level), which->title);
	}
}

void suite_print_case(const struct conform_case *which, const struct conform_area *area)
{
	printf("%s\n  %s\n\n", which->id, which->title);
	printf("  area    %s: %s\n", area->name, area->title);
	printf("  level   %s\n", level_name(which->level));
	printf("  rule    %s\n", which->rule);
	printf("\n%s\n", which->explain ? which->explain : "The title says it all.");
}
