/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device IOTLB, against the least there is and against what others do:
 *
 *	iotlb [SECTION...]
 *
 * docs/bench.md says what each figure means.
 */
#include <stdio.h>
#include <string.h>

#include "pairs.h"
#include "sections.h"
#include "set.h"

static const struct section {
	const char *name;
	int (*run)(void);
} sections[] = {
	{ "lookup", bench_lookup },   { "change", bench_change },
	{ "readers", bench_readers }, { "invalidate", bench_invalidate },
	{ "miss", bench_miss },       { "evict", bench_evict },
	{ "size", bench_size },
};

#define N_SECTIONS (sizeof(sections) / sizeof(sections[0]))

static const struct section *find_section(const char *name)
{
	for (unsigned i = 0; i < N_SECTIONS; i++)
		if (!strcmp(sections[i].name, name))
			return &sections[i];
	return NULL;
}

static int usage(void)
{
	fputs("usage: iotlb [SECTION...]; sections:", stderr);
	for (unsigned i = 0; i < N_SECTIONS; i++)
		fprintf(stderr, " %s", sections[i].name);
	fputc('\n', stderr);
	return 2;
}

int main(int argc, char **argv)
{
	int err = 0;

	for (int i = 1; i < argc; i++)
		if (!find_section(argv[i]))
			return usage();
	pairs_pin(0);
	printf("front cache: %u lines unless said otherwise; %u pairs of %g s, "
	       "of %g s where there is no bar\n",
	       SET_LINES, PAIRS, pairs_seconds(), pairs_seconds_brief());
	if (argc < 2)
		for (unsigned i = 0; i < N_SECTIONS; i++)
			err |= sections[i].run();
	for (int i = 1; i < argc; i++)
		err |= find_section(argv[i])->run();
	if (err)
		fprintf(stderr, "iotlb: the figures are not complete\n");
	return err != 0;
}
