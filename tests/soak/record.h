/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run of the soak can be told by and repeated from: its seed, the steps
 * taken, what the library said; and the random numbers that choose the steps.
 *
 * Thread: the driver's, but for record_fail() and record_hook().
 */
#ifndef SOAK_RECORD_H
#define SOAK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <vhu/log.h>

/* From here on signals that end the process tell the seed, too. */
void record_init(void);

/* A new life begins: numbers start from @seed, which alone repeats it. */
void record_begin(uint64_t seed);

/* Steps are counted from the life's beginning; the last ones are told after a failure. */
void record_step(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t record_steps(void);

/* Tells seed, step and what came before, and ends the process. Any thread. */
_Noreturn void record_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* @error, a result of the library, has to be 0; @what names the call. */
void record_expect(int error, const char *what, const char *why);

/* For vhu_log_set(): keeps the last lines. Any thread. */
void record_hook(enum vhu_log_level level, const char *subject, const char *text, void *opaque);

uint64_t random_next(void);
/* Below @n, which is above 0. */
unsigned random_below(unsigned n);
bool random_chance(unsigned percent);

#endif
