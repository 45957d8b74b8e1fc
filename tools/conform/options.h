/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of "vhu conform backend" and "vhu conform frontend". */
#ifndef CONFORM_OPTIONS_H
#define CONFORM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "trial.h"

struct options {
	const char *path;
	enum case_device device;
	pid_t pid;
	const char *restart_cmd;
	const char *only;
	const char *explain;      /* an id */
	const char *label;        /* NULL: none */
	const char *junit, *json; /* files; NULL: none */
	bool tap;
	bool list;
	bool strict;
	bool verbose;
	uint64_t seed;
	unsigned timeout_ms;
	unsigned observe_ms; /* a front-end */
};

/*
 * Exits, as argp does, on --help and on what makes no sense. @about: of the help, before
 * and, behind \v, after the options.
 */
void options_parse(int argc, char **argv, const char *about, struct options *ret);

/* "blk", "net", "any". */
const char *options_device_name(enum case_device device);

#endif
