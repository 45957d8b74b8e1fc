/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One live line on a terminal, as long as that is wide; nothing at all where standard
 * error is none, or one that can't clear a line.
 *
 * Thread: any one.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	int64_t start_ns, shown_ns;
	bool live;
};

int64_t progress_now_ns(void);

void progress_start(struct progress *progress);

/* Whether it is time to show a line; cheap enough for each request. */
static inline bool progress_due(const struct progress *progress, int64_t now_ns)
{
	return progress->live && now_ns - progress->shown_ns >= INT64_C(400000000);
}

/* Shows a line in place of the last one. */
void progress_show(struct progress *progress, int64_t now_ns, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Clears the line, if there is one, for what comes in its place. */
void progress_make_way(void);

#endif
