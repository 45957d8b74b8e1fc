/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfers between memory and the page cache made at once, on the worker's own
 * thread: half the cost of any other way, or less, where they do not sleep. Reads
 * are copies of what is mapped (window.h), or calls that can't sleep. Most file systems know no
 * such try of a buffered write; a write of whole pages seldom sleeps, but where the kernel has too
 * much unwritten it does, for long. So writes are timed, and after one that took long those that
 * follow go the other way for a multiple of that time: what sleeps here is bounded to a small part
 * of all time.
 *
 * Stands between the device and its engine, which gets the rest.
 *
 * Thread: the queue's worker.
 */
#ifndef DEVICES_QUICK_H
#define DEVICES_QUICK_H

#include "devices/engine.h"
#include "devices/window.h"

struct quick {
	int fd;
	bool on;                  /* false: nothing is made at once */
	bool reads, writes;       /* by plain calls */
	struct window *window;    /* the storage's; NULL: none */
	struct window_seen *seen; /* NULL: it is not used */
	int64_t writes_from_ns;   /* not before that time */
};

/* What can be made at once on @storage: where the page cache is not in use, nothing. */
void quick_init(struct quick *quick, const struct storage *storage);
void quick_done(struct quick *quick);

/* True: the transfer is done. False: it is to be made in another way, or its rest is. */
bool quick_try(struct quick *quick, struct transfer *transfer);

#endif
