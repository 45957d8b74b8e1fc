/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run: a disk, a load on it, and pages taken away from under it, until so many
 * removals were acknowledged or so much time is over. What was wrong is the
 * verdict (verdict.h).
 *
 * Thread: the test's, which is the front-end's.
 */
#ifndef TRAP_RUN_H
#define TRAP_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/engine.h"

/* What becomes of a frame behind an acknowledgement; both: now this, now that. */
enum {
	RUN_TRAP = 1,
	RUN_CANARY = 2,
};

struct run_config {
	const struct engine_ops *engine;
	unsigned n_workers;
	unsigned n_queues, depth; /* 0: 4 and 8 */
	bool direct;
	bool rings;       /* ring pages and indirect tables go, too */
	bool regions;     /* and memory */
	bool wide;        /* entries of many pages, of which some are taken out */
	bool sleepy;      /* between removals everybody goes to sleep */
	unsigned poll_us; /* workers look at rings for so long before they sleep */
	unsigned entries; /* of the device IOTLB; 0: enough */
	unsigned marks;
	unsigned late_us;    /* of engine_late */
	unsigned flush_us;   /* nothing but a full flush every so often; 0: not so */
	uint64_t rounds;     /* 0: no matter how many */
	unsigned longest_ms; /* 0: no matter how long */
	uint64_t seed;
	/* Something is wrong, and the verdict says what; the back-end is there still. May be NULL.
	 */
	void (*seen)(void);
};

struct run_result {
	bool absent; /* this machine has no such engine or file */
	uint64_t rounds, trapped, canaries;
	uint64_t requests, flushes, misses, pages;
	unsigned ms;
};

void run(const struct run_config *config, struct run_result *ret);

/* Which one, for people. */
void run_describe(const struct run_config *config, char *text, unsigned size);

#endif
