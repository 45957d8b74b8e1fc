/* SPDX-License-Identifier: BSD-3-Clause */
/* What this process holds, counted, so that a test can tell that nothing stayed behind. */
#ifndef SUPPORT_CENSUS_H
#define SUPPORT_CENSUS_H

struct census {
	unsigned fds;
	unsigned threads;
};

struct census census_take(void);

/*
 * Fails the test if there are more than @before; a thread that has been joined
 * may take a moment to go, which is waited for.
 */
void census_check(struct census before);

#endif
