/* SPDX-License-Identifier: BSD-3-Clause */
/* The vhu command: finds the sub-command and leaves the rest to it. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "bench", "measure a back-end, with and without an IOMMU", bench_main },
	{ "conform", "judge a back-end by the specification and by what it leaves open",
	  conform_main },
	{ "demo", "drive a disk daemon through its device IOTLB and show what happens", demo_main },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	fputs("Usage: vhu COMMAND [OPTION...]\n\n", to);
	for (unsigned i = 0; i < N_COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n'vhu COMMAND --help' tells more.\n", to);
}

int main(int argc, char **argv)
{
	char name[32];

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_usage(stdout);
		return EXIT_FINE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("vhu " VHU_VERSION);
		return EXIT_FINE;
	}
	for (unsigned i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		snprintf(name, sizeof(name), "vhu %s", commands[i].name);
		argv[1] = name;
		return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "vhu: no such command: %s\n", argv[1]);
	print_usage(stderr);
	return EXIT_USAGE;
}
