/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which cases are tried, and what came of them. The same for both directions:
 * what a trial is performed with is the caller's.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_SUITE_H
#define CONFORM_SUITE_H

#include <stdbool.h>
#include <stdint.h>

#include "trial.h"

struct suite {
	const struct conform_area *const *areas;
	unsigned n_areas;
	struct trial *trials; /* in the order of areas and cases */
	unsigned n_trials;
	unsigned n_done;  /* of them were performed, or found not applicable */
	bool interrupted; /* by a signal; the rest was not tried */
};

struct suite_choice {
	const char *only; /* globs of ids, separated by commas; NULL: all */
	uint64_t seed;
	unsigned patience_ms;
};

/* 0, -ENOENT: the choice matches nothing; -ENOMEM. suite_done() in any case. */
int suite_choose(struct suite *suite, const struct conform_area *const *areas, unsigned n_areas,
                 const struct suite_choice *choice);
void suite_done(struct suite *suite);

/*
 * Performs all in order; @perform returns false where going on makes no sense: the
 * rest are errors, with the reason it has set for the one it was given. On a
 * terminal a line on stderr says how far it is. SIGINT ends it after the trial.
 */
void suite_run(struct suite *suite, bool (*perform)(struct trial *trial, void *opaque),
               void *opaque);

/* How many of an area (NULL: of all) have the verdict; @level -1: of any level. */
unsigned suite_count(const struct suite *suite, const struct conform_area *area, int level,
                     enum verdict verdict);

/* Whether nothing failed that must not; @strict: the contract counts, too. */
bool suite_is_fine(const struct suite *suite, bool strict);

/* The area's @i-th case; NULL: there are no more. */
const struct conform_case *area_case(const struct conform_area *area, unsigned i);

const struct conform_case *suite_find(const struct conform_area *const *areas, unsigned n_areas,
                                      const char *id, const struct conform_area **ret_area);

/* --list and --explain, on stdout. */
void suite_print_list(const struct suite *suite);
void suite_print_case(const struct conform_case *which, const struct conform_area *area);

#endif
