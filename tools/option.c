/* SPDX-License-Identifier: BSD-3-Clause */
#include "option.h"

#include <stdio.h>
#include <string.h>

#include "number.h"

#define SECONDS_MOST 86400.0

const char *const option_policies[] = { "page", "leaf", "range", "hint", "push", NULL };

unsigned option_number(struct argp_state *state, const char *option, const char *text,
                       unsigned least, unsigned most)
{
	uint64_t value = least;

	if (number_parse(text, least, most, &value))
		argp_error(state, "--%s=%s: not a number from %u to %u; give one", option, text,
		           least, most);
	return (unsigned)value;
}

const char *option_size_text(uint64_t size)
{
	static char texts[2][24];
	static unsigned next;
	const char *unit = "\0KMGT";
	char *text = texts[next++ % 2];

	for (; size && size % 1024 == 0 && unit[1]; unit++)
		size /= 1024;
	snprintf(text, sizeof(texts[0]), "%llu%.1s", (unsigned long long)size, unit);
	return text;
}

uint64_t option_size(struct argp_state *state, const char *option, const char *text, uint64_t least,
                     uint64_t most)
{
	uint64_t value = least;

	if (number_parse_size(text, least, most, &value))
		argp_error(state, "--%s=%s: not from %s to %s; give one, such as 64K", option, text,
		           option_size_text(least), option_size_text(most));
	return value;
}

double option_seconds(struct argp_state *state, const char *option, const char *text)
{
	double value = 1;

	if (number_parse_seconds(text, SECONDS_MOST, &value))
		argp_error(state, "--%s=%s: not a time; give seconds, such as 10 or 0.5", option,
		           text);
	return value;
}

int option_word(struct argp_state *state, const char *option, const char *text,
                const char *const *words)
{
	char known[128] = "";

	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], text))
			return i;
		strcat(strcat(known, i ? ", " : ""), words[i]);
	}
	argp_error(state, "--%s=%s: no such value; give one of %s", option, text, known);
	return 0;
}
