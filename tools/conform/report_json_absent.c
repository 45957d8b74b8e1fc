/* SPDX-License-Identifier: BSD-3-Clause */
/* In a build without json-c there is no JSON, and nothing to compare. */
#include <errno.h>

#include "report.h"

int report_json(const char *path, const struct suite *suite, const struct report_head *head)
{
	return -ENOTSUP;
}

int report_compare(char *const *paths, unsigned n, bool all)
{
	fputs("vhu conform: built without json-c\n", stderr);
	return -ENOTSUP;
}
