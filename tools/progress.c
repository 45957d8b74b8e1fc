/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS INT64_C(100000000)
#define MIB         1048576.0

int64_t progress_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void progress_start(struct progress *progress, const char *what, uint64_t total)
{
	*progress = (struct progress){ .what = what,
		                       .total = total,
		                       .start_ns = progress_now_ns(),
		                       .live = isatty(STDERR_FILENO) };
}

void progress_show(struct progress *progress, uint64_t done, uint64_t misses)
{
	int64_t now;
	double seconds;

	if (!progress->live)
		return;
	now = progress_now_ns();
	if (now - progress->shown_ns < INTERVAL_NS)
		return;
	progress->shown_ns = now;
	seconds = (double)(now - progress->start_ns) / 1e9;
	fprintf(stderr, "\r%-8s %6.0f of %.0f MiB  %6.0f MiB/s  %llu misses\033[K", progress->what,
	        (double)done / MIB, (double)progress->total / MIB,
	        seconds > 0 ? (double)done / MIB / seconds : 0, (unsigned long long)misses);
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->live && progress->shown_ns)
		fprintf(stderr, "\r\033[K");
}
