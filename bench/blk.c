/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a disk costs: vhu-blk as a process, driven as "vhu bench blk" does, against
 * other back-ends and against floors. docs/bench.md says what the figures mean.
 */
#include <stdio.h>
#include <string.h>

#include "blk_peer.h"
#include "blk_sections.h"

static const struct section {
	const char *name;
	int (*run)(void);
} sections[] = {
	{ "files", bench_blk_files },
	{ "memory", bench_blk_memory },
	{ "iommu", bench_blk_iommu },
	{ "answer", bench_blk_answer },
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
	fputs("usage: blk [SECTION...]; sections:", stderr);
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
	blk_bench_start();
	if (pairs_processors() < 2)
		printf("one processor only: driver and back-end share it\n");
	for (unsigned i = 0; argc < 2 && i < N_SECTIONS; i++)
		err |= sections[i].run();
	for (int i = 1; i < argc; i++)
		err |= find_section(argv[i])->run();
	if (err)
		fprintf(stderr, "blk: the figures are not complete\n");
	return err != 0;
}
