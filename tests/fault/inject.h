/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that can fail for want of memory, descriptors or a working disk, and the
 * one among them that shall. The linker puts these in the place of the real ones,
 * in the test program alone (--wrap, meson.build): neither library nor devices
 * know of it.
 *
 * Thread: any. Each thread belongs to a side, and calls of one side only are
 * counted, so that the n-th is nearly the same call in every run.
 */
#ifndef FAULT_INJECT_H
#define FAULT_INJECT_H

#include <stdbool.h>

enum inject_side {
	INJECT_BACK, /* a thread that has not said anything else */
	INJECT_FRONT,
};

/* What the process holds of what passed through here. */
struct inject_held {
	long blocks;
	long mapped; /* bytes */
};

/* The side of the calling thread. */
void inject_set_side(enum inject_side side);

/* Counts calls of @side from now on; fails the @n-th, and with @lasting all behind it. 0: none. */
void inject_arm(enum inject_side side, unsigned n, bool lasting);

/* Ends it: how many calls there were. */
unsigned inject_disarm(void);

/* The function whose call has failed first since inject_arm(), or NULL. */
const char *inject_failed(void);

struct inject_held inject_held(void);

#endif
