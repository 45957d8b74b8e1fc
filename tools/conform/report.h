/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the outcome of a suite is told: for people, for other programs, and one run
 * beside another. Each form has a file of its own.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_REPORT_H
#define CONFORM_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "suite.h"

/* What was judged. */
struct report_head {
	const char *side;  /* "back-end" or "front-end" */
	const char *path;  /* its socket */
	const char *name;  /* of its program, as far as that is known; may be empty */
	const char *type;  /* "blk", "net", "any" */
	const char *label; /* --label: what a table calls it; NULL: its name */
	uint64_t seed;
	bool strict;
	bool verbose; /* passes and evidence of all, too */
};

void report_text(FILE *to, const struct suite *suite, const struct report_head *head);

#endif
