/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file's page cache, mapped: what is in it is read by a copy, without a system
 * call. Whether a page is there is asked of the kernel (mincore(2)) for 16 at a
 * time, and believed for about a second; should one have gone meanwhile the copy
 * sleeps until the disk has it, like a plain read. What isn't there, or may not be, is
 * left to other ways, so that no hole of the file is filled by being looked at.
 *
 * If a page can't be had, as the file has become shorter or its disk fails, the
 * access faults (SIGBUS). window_install()'s handler puts zero pages there, and the
 * window is never used again: other ways will tell what is wrong.
 *
 * Threads: a window is made and ended by one, and read by any; what a queue has seen
 * of it belongs to the queue's worker.
 */
#ifndef DEVICES_WINDOW_H
#define DEVICES_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct window;
struct window_seen;

/* Handles SIGBUS in windows; all others go on to the handler there was. Before this
 * no window opens. 0 or -errno of sigaction(2). */
int window_install(void);

/*
 * Opens one of the first @len bytes of a file, if that is worth it and the kernel
 * tells this process what is in its page cache; else NULL.
 */
struct window *window_open(int fd, uint64_t len);
/* A window or NULL. */
void window_close(struct window *window);

/* NULL: no memory. */
struct window_seen *window_seen_new(void);
void window_seen_free(struct window_seen *seen);

/* A part of the file was discarded or zeroed: what was seen counts no longer. Any thread. */
void window_forget(struct window *window);

/* True: all of it has been read. False: some of it may have been, or nothing. */
bool window_read(struct window *window, struct window_seen *seen, uint64_t offset, uint64_t len,
                 const struct iovec *iov, unsigned n);

#endif
