/* SPDX-License-Identifier: BSD-3-Clause */
/* vhu conform: finds who is to be judged and leaves the rest to it. */
#include "conform.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct side {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} sides[] = {
	{ "backend", "judge a back-end: be its front-end, rightly and wrongly",
	  conform_backend_main },
};

#define N_SIDES (sizeof(sides) / sizeof(sides[0]))

static void print_usage(FILE *to)
{
	fputs("Usage: vhu conform SIDE [OPTION...]\n\n", to);
	for (unsigned i = 0; i < N_SIDES; i++)
		fprintf(to, "  %-8s %s\n", sides[i].name, sides[i].summary);
	fputs("\n'vhu conform SIDE --help' tells more.\n", to);
}

int conform_main(int argc, char **argv)
{
	char name[32];

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_FINE;
	}
	for (unsigned i = 0; i < N_SIDES; i++) {
		if (strcmp(argv[1], sides[i].name))
			continue;
		snprintf(name, sizeof(name), "vhu conform %s", sides[i].name);
		argv[1] = name;
		return sides[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "vhu conform: no such side: %s\n", argv[1]);
	print_usage(stderr);
	return EXIT_USAGE;
}
