/* SPDX-License-Identifier: BSD-3-Clause */
#include "evidence.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

void evidence_start(struct evidence *evidence)
{
	evidence_done(evidence);
	evidence->start_ns = clock_ns();
}

void evidence_done(struct evidence *evidence)
{
	for (unsigned i = 0; i < EVIDENCE_MAX; i++)
		free(evidence->lines[i].text);
	*evidence = (struct evidence){ 0 };
}

/* Behind the first lines the rest is a ring. */
static unsigned place(unsigned number)
{
	return number < EVIDENCE_FIRST ? number
	                               : EVIDENCE_FIRST + (number - EVIDENCE_FIRST) % EVIDENCE_LAST;
}

void evidence_add(struct evidence *evidence, enum evidence_kind kind, const char *format, ...)
{
	struct evidence_line *line = &evidence->lines[place(evidence->total)];
	va_list args;

	free(line->text);
	line->text = NULL;
	va_start(args, format);
	if (vasprintf(&line->text, format, args) < 0)
		line->text = NULL;
	va_end(args);
	line->kind = kind;
	line->us = (clock_ns() - evidence->start_ns) / 1000;
	evidence->total++;
}

unsigned evidence_count(const struct evidence *evidence)
{
	return evidence->total < EVIDENCE_MAX ? evidence->total : EVIDENCE_MAX;
}

const struct evidence_line *evidence_line(const struct evidence *evidence, unsigned i,
                                          unsigned *ret_missing)
{
	unsigned missing = evidence->total - evidence_count(evidence);

	*ret_missing = i == EVIDENCE_FIRST ? missing : 0;
	return &evidence->lines[place(i < EVIDENCE_FIRST ? i : i + missing)];
}

const char *evidence_kind_name(enum evidence_kind kind)
{
	static const char *const names[] = {
		[EVIDENCE_NOTE] = "note",
		[EVIDENCE_SENT] = "sent",
		[EVIDENCE_CAME] = "came",
		[EVIDENCE_EXPECTED] = "expected",
	};

	return names[kind];
}
