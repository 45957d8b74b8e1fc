/* SPDX-License-Identifier: BSD-3-Clause */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

static enum vhu_log_level wanted = VHU_LOG_INFO;

static const char *const names[] = {
	[VHU_LOG_ERROR] = "error",
	[VHU_LOG_WARNING] = "warning",
	[VHU_LOG_INFO] = "info",
	[VHU_LOG_DEBUG] = "debug",
};

void complain(const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "vhu-blk: %s\n", text);
}

static void line(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	(void)opaque;
	fprintf(stderr, "vhu-blk: %s: %s: %s\n", names[level], subject, text);
}

void say(enum vhu_log_level level, const char *format, ...)
{
	char text[600];
	va_list args;

	if (level > wanted)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line(level, "blk", text, NULL);
}

void say_start(enum vhu_log_level most)
{
	wanted = most;
	vhu_log_set(line, NULL, most);
}
