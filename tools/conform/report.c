/* SPDX-License-Identifier: BSD-3-Clause */
/* Which reports are made, and where they go. */
#include "report.h"

#include <errno.h>
#include <string.h>

#include "options.h"

FILE *report_open(const char *path)
{
	return strcmp(path, "-") ? fopen(path, "we") : stdout;
}

int report_close(FILE *file)
{
	int error = ferror(file) ? -EIO : 0;

	if (file == stdout)
		return fflush(file) && !error ? -errno : error;
	return fclose(file) && !error ? -errno : error;
}

static bool on_stdout(const char *path)
{
	return path && !strcmp(path, "-");
}

static int complain(const char *path, int error)
{
	if (error)
		fprintf(stderr, "vhu conform: %s: %s\n", path,
		        error == -ENOTSUP ? "built without json-c" : strerror(-error));
	return error;
}

int report_all(const struct suite *suite, const struct report_head *head,
               const struct options *options)
{
	int error = 0;

	if (options->tap)
		report_tap(stdout, suite, head);
	else if (!on_stdout(options->junit) && !on_stdout(options->json))
		report_text(stdout, suite, head);
	if (options->junit)
		error = complain(options->junit, report_junit(options->junit, suite, head));
	if (options->json && !error)
		error = complain(options->json, report_json(options->json, suite, head));
	return error;
}
