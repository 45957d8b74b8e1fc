/* SPDX-License-Identifier: BSD-3-Clause */
#include "number.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, const char *units, uint64_t least, uint64_t most, uint64_t *ret)
{
	unsigned shift = 0;
	uint64_t number;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		const char *unit = strchr(units, toupper((unsigned char)*end));

		if (!unit || end[1])
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (number > UINT64_MAX >> shift || number << shift < least || number << shift > most)
		return -EINVAL;
	*ret = number << shift;
	return 0;
}

int number_parse(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
	return parse(text, "", least, most, ret);
}

int number_parse_size(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
	return parse(text, "KMGT", least, most, ret);
}

int number_parse_seconds(const char *text, double most, double *ret)
{
	double number;
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return -EINVAL;
	number = strtod(text, &end);
	if (end == text || *end || !(number > 0) || number > most)
		return -EINVAL;
	*ret = number;
	return 0;
}
