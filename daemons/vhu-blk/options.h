/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: what it says, checked as far as that goes without looking at
 * any file. */
#ifndef VHU_BLK_OPTIONS_H
#define VHU_BLK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <vhu/log.h>

#include "devices/blk.h"

/* The exit codes, as the man page has them. */
enum {
	EXIT_FINE = 0,
	EXIT_FAULT = 1,
	EXIT_USAGE = 2,
};

struct options {
	const char *socket_path;  /* or NULL: fd */
	int fd;                   /* given, or passed by a service manager */
	const char *fd_name;      /* which of them */
	int socket_mode;          /* of the file; -1: as the umask says */
	const char *socket_group; /* or NULL: the process's */
	const char *blk_file;     /* or NULL: memory */
	uint64_t memory;
	bool read_only;
	bool direct;
	bool locking;
	bool sandbox;
	unsigned num_queues;
	unsigned block_size; /* 0: what suits the file */
	const char *serial;
	enum engine_kind engine;
	unsigned poll_us;
	bool poll_adapts;
	uint64_t iotlb_entries; /* 0: the library's default */
	unsigned queue_threads;
	bool no_miss_hints;
	bool report_access_failures;
	const char *stats_json; /* or NULL */
	enum vhu_log_level log_level;
};

/*
 * 0, or EXIT_USAGE after a line on standard error. Ends the process itself for
 * --help and --version. The strings are those of @argv.
 */
int options_parse(int argc, char **argv, struct options *ret);

/* Whether --print-capabilities is there, with which all else is to be ignored. */
bool options_ask_capabilities(int argc, char **argv);

#endif
