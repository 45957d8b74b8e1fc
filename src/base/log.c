/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/export.h"

static struct {
	vhu_log_fn *fn;
	void *opaque;
	enum vhu_log_level most;
} hook;

VHU_EXPORT void vhu_log_set(vhu_log_fn *fn, void *opaque, enum vhu_log_level most)
{
	hook.fn = fn;
	hook.opaque = opaque;
	hook.most = most;
}

bool log_wanted(enum vhu_log_level level)
{
	return hook.fn && level <= hook.most;
}

void log_line(enum vhu_log_level level, const char *subject, const char *format, ...)
{
	int saved = errno;
	char text[512];
	va_list args;

	if (!hook.fn)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	hook.fn(level, subject, text, hook.opaque);
	errno = saved;
}
