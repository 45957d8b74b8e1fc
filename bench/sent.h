/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts what the program's calls of sendmsg(2) carry: the program is linked so
 * that they come here first.
 *
 * Threads: counted by any, read by any.
 */
#ifndef BENCH_SENT_H
#define BENCH_SENT_H

#include <stdint.h>

enum sent {
	SENT_MISSES, /* by what the first message is */
	SENT_UPDATES,
	SENT_ACKNOWLEDGEMENTS,
	SENT_MISS_REPLIES,
	SENT_KINDS,
};

/* Calls so far. */
uint64_t sent_count(enum sent kind);

#endif
