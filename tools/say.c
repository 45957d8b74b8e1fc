/* SPDX-License-Identifier: BSD-3-Clause */
#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "progress.h"

void say(const char *program, const char *format, ...)
{
	va_list args;

	progress_make_way();
	fprintf(stderr, "%s: ", program);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static const char *remedy_of(int error)
{
	switch (error) {
	case -EMFILE:
	case -ENFILE: return "raise the limit of open files (ulimit -n)";
	case -ENOTCONN: return "see what it says itself";
	case -EREMOTEIO: return "see what it says itself";
	default: return NULL;
	}
}

int say_failure(const char *program, const struct vhu_frontend *frontend, const char *what,
                int error, const char *remedy)
{
	const char *why = frontend ? vhu_frontend_error(frontend) : "";

	if (!error)
		return 0;
	if (!*why)
		why = error == -ENOTCONN ? "the back-end closed the connection" : strerror(-error);
	if (!remedy)
		remedy = remedy_of(error);
	say(program, "%s: %s%s%s", what, why, remedy ? "; " : "", remedy ? remedy : "");
	return error;
}

int say_negotiation(const char *program, const struct vhu_frontend *frontend, int error)
{
	const char *remedy = NULL;

	if (error == -ENOTCONN || error == -ETIMEDOUT || error == -EPROTO)
		remedy = "is it a vhost-user back-end, and is it free?";
	return say_failure(program, frontend, "negotiating", error, remedy);
}
