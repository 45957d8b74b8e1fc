/* SPDX-License-Identifier: BSD-3-Clause */
/* vhu conform: finds who is to be judged and leaves the rest to it. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "report.h"
#include "side.h"

static const struct side *const sides[] = { &side_backend, &side_frontend };

#define N_SIDES (sizeof(sides) / sizeof(sides[0]))

static void print_usage(FILE *to)
{
	fputs("Usage: vhu conform SIDE [OPTION...]\n\n", to);
	for (unsigned i = 0; i < N_SIDES; i++)
		fprintf(to, "  %-8s %s\n", sides[i]->name, sides[i]->summary);
	fputs("\n       vhu conform --compare A.json B.json...   what differs between two or more "
	      "runs\n"
	      "       vhu conform --table A.json...            all cases of the runs, in "
	      "Markdown\n",
	      to);
	fputs("\n'vhu conform SIDE --help' tells more.\n", to);
}

/* --compare and --table. */
static int compare(int argc, char **argv)
{
	bool all = !strcmp(argv[1], "--table");
	int result;

	if (argc < (all ? 3 : 4)) {
		fprintf(stderr, "vhu conform %s: reports of --json are needed\n", argv[1]);
		return EXIT_USAGE;
	}
	result = report_compare(argv + 2, (unsigned)argc - 2, all);
	if (result < 0)
		return EXIT_USAGE;
	return result && !all ? EXIT_DIFFERENT : EXIT_FINE;
}

int conform_main(int argc, char **argv)
{
	char name[32];

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_FINE;
	}
	if (!strcmp(argv[1], "--compare") || !strcmp(argv[1], "--table"))
		return compare(argc, argv);
	for (unsigned i = 0; i < N_SIDES; i++) {
		if (strcmp(argv[1], sides[i]->name))
			continue;
		snprintf(name, sizeof(name), "vhu conform %s", sides[i]->name);
		argv[1] = name;
		return side_main(sides[i], argc - 1, argv + 1);
	}
	fprintf(stderr, "vhu conform: no such side: %s\n", argv[1]);
	print_usage(stderr);
	return EXIT_USAGE;
}
