/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end with one thing broken: one function of it is replaced at link time.
 * Each is in a file of its own and is linked with test_broken.c.
 */
#ifndef TRAP_BROKEN_H
#define TRAP_BROKEN_H

#include <stdbool.h>

#include "run.h"

#define BROKEN_MARKS 2u

struct broken {
	const char *what;
	bool rings;                   /* their pages have to go for it to be seen */
	bool regions;                 /* memory has to */
	bool sleepy;                  /* workers have to rest in between */
	unsigned poll_us;             /* so long workers have to look at their rings */
	unsigned late_us;             /* requests take so long; 0: longer than an acknowledgement */
	unsigned entries;             /* the device IOTLB may not have more */
	unsigned marks[BROKEN_MARKS]; /* by each of which it is seen; 0: none */
};

extern const struct broken broken;

#endif
