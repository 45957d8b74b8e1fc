/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a command complains of: a line on standard error that begins with its name,
 * and takes the place of the live line where there is one.
 *
 * Thread: any one.
 */
#ifndef TOOLS_SAY_H
#define TOOLS_SAY_H

#include <vhu/frontend.h>

/* "@program: ..." */
void say(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Says of a front-end, or of NULL, what failed, why, and what helps where something
 * is known to: @remedy, or by the error if that is NULL. Returns @error; says nothing
 * of 0.
 */
int say_failure(const char *program, const struct vhu_frontend *frontend, const char *what,
                int error, const char *remedy);

/* The same of vhu_frontend_negotiate(): most often it is the wrong back-end, or a busy one. */
int say_negotiation(const char *program, const struct vhu_frontend *frontend, int error);

#endif
