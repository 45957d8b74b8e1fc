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

/* For people: what is wrong, with the evidence, then a verdict per area. */
void report_text(FILE *to, const struct suite *suite, const struct report_head *head);

/* TAP 13: what is wrong at level should is a "todo", so that harnesses go on. */
void report_tap(FILE *to, const struct suite *suite, const struct report_head *head);

/*
 * To a file, "-" for stdout: JUnit's XML, a suite per area; JSON, everything. 0 or
 * -errno; report_json(): -ENOTSUP in a build without json-c.
 */
int report_junit(const char *path, const struct suite *suite, const struct report_head *head);
int report_json(const char *path, const struct suite *suite, const struct report_head *head);

/*
 * Of reports of report_json(): on stdout a row for each case whose verdicts are not
 * all the same (@all: for each case, as a table in Markdown). 0: they are all the
 * same; 1: they are not; -errno, having said why on stderr.
 */
int report_compare(char *const *paths, unsigned n, bool all);

/* What --tap, --junit and --json make of it all. 0 or -errno, having said why on stderr. */
struct options;
int report_all(const struct suite *suite, const struct report_head *head,
               const struct options *options);

/* Opens @path for report_junit() and report_json(); NULL with errno. */
FILE *report_open(const char *path);
/* 0, or the -errno of whatever could not be written. */
int report_close(FILE *file);

#endif
