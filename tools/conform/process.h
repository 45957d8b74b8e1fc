/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes that are judged, as far as /proc tells of them.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_PROCESS_H
#define CONFORM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whose socket the other end of @fd was when it was connected; 0: that is not known. */
pid_t process_of_peer(int fd);

/* What it was started as, without the folder; the kernel's own name of it is cut. */
void process_name(pid_t pid, char *ret, size_t size);

/* A process that nobody has waited for is dead all the same. */
bool process_is_there(pid_t pid);

#endif
