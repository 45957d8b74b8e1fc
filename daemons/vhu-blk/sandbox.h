/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the program gives up once it has started: from then on every system call
 * that it does not need fails with EPERM, in all threads and for ever. It can
 * start no program, open no file that exists, make no socket.
 */
#ifndef VHU_BLK_SANDBOX_H
#define VHU_BLK_SANDBOX_H

#include <stdbool.h>

struct sandbox_needs {
	bool io_uring;
	bool new_files; /* made beside and renamed: the statistics */
	bool removal;   /* of a file: the socket */
};

/* NULL, or why this build can't do it. */
const char *sandbox_absent(void);

/* Main thread, when all else is ready. 0, or -errno and nothing has changed. */
int sandbox_enter(const struct sandbox_needs *needs);

#endif
