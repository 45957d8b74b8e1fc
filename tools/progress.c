/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int64_t progress_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void progress_start(struct progress *progress)
{
	int64_t now = progress_now_ns();

	*progress = (struct progress){ .start_ns = now,
		                       .shown_ns = now,
		                       .live = isatty(STDERR_FILENO) };
}

void progress_show(struct progress *progress, int64_t now_ns, const char *format, ...)
{
	va_list args;

	fputc('\r', stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\033[K", stderr);
	fflush(stderr);
	progress->shown_ns = now_ns;
	progress->shown = true;
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
