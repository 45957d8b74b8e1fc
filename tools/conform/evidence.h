/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happened in a trial, line by line, for whoever has to act on its verdict:
 * what was sent, what came, what was expected. Written by the helpers that send,
 * receive and expect, so that a case says nothing twice. Knows no message and no
 * verdict.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_EVIDENCE_H
#define CONFORM_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

enum evidence_kind {
	EVIDENCE_NOTE,     /* what a case does or sees beside messages */
	EVIDENCE_SENT,     /* by us */
	EVIDENCE_CAME,     /* from the peer */
	EVIDENCE_EXPECTED, /* and did not happen: the last line of a failed trial */
};

/* The first and the latest lines are kept; how many were between is counted. */
#define EVIDENCE_FIRST 48u
#define EVIDENCE_LAST  112u
#define EVIDENCE_MAX   (EVIDENCE_FIRST + EVIDENCE_LAST)

struct evidence_line {
	enum evidence_kind kind;
	uint64_t us; /* since the trial's start */
	char *text;
};

/* Zero-initialised before evidence_start(). */
struct evidence {
	uint64_t start_ns;
	unsigned total; /* lines added, those that were let go included */
	struct evidence_line lines[EVIDENCE_MAX];
};

void evidence_start(struct evidence *evidence);
void evidence_done(struct evidence *evidence);

void evidence_add(struct evidence *evidence, enum evidence_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Lines that can be read, in order, and how many are missing in front of line @i. */
unsigned evidence_count(const struct evidence *evidence);
const struct evidence_line *evidence_line(const struct evidence *evidence, unsigned i,
                                          unsigned *ret_missing);

/* "sent", "came", ... */
const char *evidence_kind_name(enum evidence_kind kind);

#endif
