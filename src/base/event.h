/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds that a peer holds, too. Whether one blocks is a flag that all its
 * holders share, and the kernel has no write to it that never waits: a peer that
 * clears the flag and fills the counter holds up whoever signals it. That is not
 * prevented, for it would cost a system call per signal; it is seen by another
 * thread (event_free()), which lets the signaller go.
 */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What the signals of one thread are seen by. Zero at the beginning. */
struct event_guard {
	/* Written by the thread: a number that grows by signal, and below it the fd and 1, or 0. */
	_Atomic uint64_t at;
	_Atomic uint64_t freed; /* the last that was let go, as in at */
	uint64_t seen;          /* of who watches: at, the last time */
};

/*
 * The guard's thread: adds 1 to the counter; one that is full is signalled already.
 * 0, -errno of write(2), or -ETIMEDOUT: it had to be let go, and should signal that
 * fd no more.
 */
int event_signal(struct event_guard *guard, int fd);

/*
 * Another thread, always the same: if the guard's is in the same signal as the last
 * time this was called, lets it go. Whether that was so.
 */
bool event_free(struct event_guard *guard);

/*
 * Takes the counter, and waits in no case: 0; -EAGAIN: it is 0; other -errno: this
 * is no counter, and if it is readable, it will be so for ever.
 */
int event_take(int fd);

#endif
