/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's side of a run: a session as the demo has it, small. Shares
 * memory, writes to a disk and compares what it reads, each request mapped for
 * itself, is refused what is not mapped, stops the ring and starts it again.
 *
 * Thread: the test's.
 */
#ifndef FAULT_PLAY_H
#define FAULT_PLAY_H

#include <stdbool.h>

struct play {
	int error;            /* what ended it; 0: nothing */
	const char *step;     /* that failed */
	char text[200];       /* how the library explains it */
	unsigned io_errors;   /* requests the disk failed, and did the second time */
	const char *mismatch; /* what is wrong with the data or the state, or NULL */
};

/* @fd: connected to a block back-end; taken over. */
void play(int fd, struct play *ret);

#endif
