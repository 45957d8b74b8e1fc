/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end program as a child process, connected by a socket pair, on a
 * temporary disk. It does not outlive the parent, however that ends, and leaves
 * nothing behind.
 */
#ifndef TOOLS_CHILD_H
#define TOOLS_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
	pid_t pid;
	int fd; /* our end of the socket pair; -1 once taken */
	char folder[64];
	char disk[80];
};

/*
 * Starts "@program --fd=3 --blk-file=DISK" with @args appended (NULL-terminated)
 * on a new sparse file of @size bytes. 0 or -errno, having said why on stderr.
 */
int child_start(struct child *child, const char *program, uint64_t size, const char *const *args);

/* Removes the temporary disk, which the child has open; harmless to repeat. */
void child_unlink(struct child *child);

/*
 * Waits for the child to end by itself, for @timeout_ms, then makes it, and removes
 * the disk. Returns whether it ended by itself and well. Close the connection first.
 */
bool child_stop(struct child *child, int timeout_ms);

#endif
