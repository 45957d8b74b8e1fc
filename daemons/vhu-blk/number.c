/* SPDX-License-Identifier: BSD-3-Clause */
#include "number.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* *ret_end: what comes after the digits. */
static int parse_digits(const char *text, uint64_t *ret, char **ret_end)
{
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, ret_end, 10);
	return -errno;
}

int number_parse(const char *text, uint64_t *ret)
{
	char *end;
	int error = parse_digits(text, ret, &end);

	return !error && *end ? -EINVAL : error;
}

int number_parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "kmgt";
	char *end;
	const char *suffix;
	unsigned shift;
	int error = parse_digits(text, ret, &end);

	if (error || !*end)
		return error;
	suffix = strchr(suffixes, tolower((unsigned char)*end));
	if (!suffix || (end[1] && strcasecmp(end + 1, "ib") != 0))
		return -EINVAL;
	shift = 10 * (unsigned)(suffix - suffixes + 1);
	if (*ret > UINT64_MAX >> shift)
		return -ERANGE;
	*ret <<= shift;
	return 0;
}
