/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ctrl-C, SIGTERM and SIGHUP of a command that has figures to report: before the work
 * one of them ends the process at once, in it the first is only noted. Who was
 * started with one of them ignored goes on ignoring it.
 *
 * Thread: the first one, before there are others.
 */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <signal.h>

/* From here on the process ends with EXIT_INTERRUPTED and a line that begins with @program. */
void interrupt_watch(const char *program);

/* From here on the first sets what is returned, and the second ends the process. */
volatile sig_atomic_t *interrupt_defer(void);

#endif
