/* SPDX-License-Identifier: BSD-3-Clause */
/* What the daemon says on standard error: complaints and log lines, one line each.
 * No time stamps: who collects the lines has its own clock. Log lines are limited
 * in number, see quota.h. */
#ifndef VHU_BLK_SAY_H
#define VHU_BLK_SAY_H

#include <vhu/log.h>

/* "vhu-blk: TEXT"; whatever the log level. Any thread. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* At the exit: if standard output has not taken all that was written, says so, and ends with
 * EXIT_FAULT. */
void say_check_output(void);

/* "vhu-blk: LEVEL: blk: TEXT", if the level is wanted and the quota allows. Any thread. */
void say(enum vhu_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* From here on the library's lines appear too, down to @most. */
void say_start(enum vhu_log_level most);

/* Says how many lines were suppressed: on SIGALRM, which is blocked and awaited. */
void say_settle(void);

/* The same for the last time. */
void say_end(void);

#endif
