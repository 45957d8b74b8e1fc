/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_DEFAULT 80
#define LINE_MOST       256

int64_t progress_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool line_is_shown;

/* A terminal that is no more than paper has no line to clear. */
static bool can_clear(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDERR_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

void progress_start(struct progress *progress)
{
	int64_t now = progress_now_ns();

	*progress = (struct progress){ .start_ns = now, .shown_ns = now, .live = can_clear() };
}

/* What fits into a line, and leaves the cursor in it. */
static int columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 2)
		return COLUMNS_DEFAULT - 1;
	return size.ws_col - 1;
}

void progress_show(struct progress *progress, int64_t now_ns, const char *format, ...)
{
	char line[LINE_MOST];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "\r%.*s\033[K", columns(), line);
	fflush(stderr);
	progress->shown_ns = now_ns;
	line_is_shown = true;
}

void progress_make_way(void)
{
	if (line_is_shown)
		fputs("\r\033[K", stderr);
	line_is_shown = false;
}
