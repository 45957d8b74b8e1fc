/* SPDX-License-Identifier: BSD-3-Clause */
/* The vhu command: finds the sub-command and leaves the rest to it. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	fputs("\n'vhu COMMAND --help' tells more, 'man vhu' all.\n", to);
}

/* What was closed at the start is held by something that can't be used, lest it become a socket. */
static void hold_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_DIFFERENT);
}

/* At every end: figures that were not written are no success. */
static void close_output(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return;
	fprintf(stderr, "vhu: can't write to standard output: %s\n",
	        errno ? strerror(errno) : "some of it is lost");
	_exit(EXIT_DIFFERENT);
}

/* "help bench blk" is "bench blk --help", and so is "bench blk -h". */
static void turn_help(int argc, char **argv)
{
	static char option[] = "--help";

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "-h"))
			argv[i] = option;
	if (argc < 3 || strcmp(argv[1], "help"))
		return;
	memmove(argv + 1, argv + 2, (size_t)(argc - 2) * sizeof(*argv));
	argv[argc - 1] = option;
}

static int run(int argc, char **argv)
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

int main(int argc, char **argv)
{
	hold_standard_fds();
	if (atexit(close_output))
		return EXIT_DIFFERENT;
	turn_help(argc, argv);
	return run(argc, argv);
}
