/* SPDX-License-Identifier: BSD-3-Clause */
/* The sub-commands of vhu. Each has argv[0] set to its full name, "vhu demo". */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

/* What a sub-command returns becomes the exit status. */
enum {
	EXIT_FINE = 0,
	EXIT_DIFFERENT = 1, /* something was not as it should be */
	EXIT_USAGE = 2,
	EXIT_INTERRUPTED = 130,
};

int bench_main(int argc, char **argv);
int conform_main(int argc, char **argv);
int demo_main(int argc, char **argv);

#endif
