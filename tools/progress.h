/* SPDX-License-Identifier: BSD-3-Clause */
/* One live line on a terminal; nothing at all where stderr is none. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;
	uint64_t total; /* bytes */
	int64_t start_ns, shown_ns;
	bool live;
};

int64_t progress_now_ns(void);

void progress_start(struct progress *progress, const char *what, uint64_t total);
/* @misses since the start of the work. Cheap enough for each request. */
void progress_show(struct progress *progress, uint64_t done, uint64_t misses);
/* Clears the line. */
void progress_end(struct progress *progress);

#endif
