/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's beginning and end of a session, one message after the other:
 * features, memory, rings. What goes on in between is in pages.h.
 *
 * Thread: the front-end's. What goes wrong is told by a verdict.
 */
#ifndef TRAP_TALK_H
#define TRAP_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "frames.h"

struct talk {
	const char *subject;
	int main, back; /* -1: not open */
};

struct talk_ring {
	unsigned index;
	uint16_t num;
	uint64_t desc, avail, used;
	int kick, call, err;
};

/* @fd is the talk's from here on. @features: of the device and its rings. */
bool talk_open(struct talk *talk, int fd, uint64_t features);
bool talk_share(struct talk *talk, const struct frames *frames);
bool talk_start(struct talk *talk, const struct talk_ring *ring);
/* The index of the next chain, or -1. */
int talk_stop(struct talk *talk, unsigned index);
void talk_close(struct talk *talk);

#endif
