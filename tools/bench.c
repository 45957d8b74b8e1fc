/* SPDX-License-Identifier: BSD-3-Clause */
/* vhu bench: finds what is to be measured and leaves the rest to it. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct bench_kind {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} kinds[] = {
	{ "blk", "a disk: requests per second, latency, translations", bench_blk_main },
	{ "net", "a network device: frames per second, loss, translations", bench_net_main },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void print_usage(FILE *to)
{
	fputs("Usage: vhu bench KIND [OPTION...]\n\n", to);
	for (unsigned i = 0; i < N_KINDS; i++)
		fprintf(to, "  %-8s %s\n", kinds[i].name, kinds[i].summary);
	fputs("\n'vhu bench KIND --help' tells more.\n", to);
}

int bench_main(int argc, char **argv)
{
	char name[32];

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_FINE;
	}
	for (unsigned i = 0; i < N_KINDS; i++) {
		if (strcmp(argv[1], kinds[i].name))
			continue;
		snprintf(name, sizeof(name), "vhu bench %s", kinds[i].name);
		argv[1] = name;
		return kinds[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "vhu bench: no such kind: %s\n", argv[1]);
	print_usage(stderr);
	return EXIT_USAGE;
}
