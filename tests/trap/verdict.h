/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run has found, in words: the first that is wrong counts. A violation is
 * an access through a translation that was acknowledged as removed (rule I2);
 * all else that must not be is a fault.
 *
 * Thread: any.
 */
#ifndef TRAP_VERDICT_H
#define TRAP_VERDICT_H

enum verdict {
	VERDICT_FINE,
	VERDICT_FAULT,
	VERDICT_VIOLATION,
};

/* No other thread of a run is there. */
void verdict_reset(void);
void verdict_set(enum verdict verdict, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
enum verdict verdict_now(void);
const char *verdict_text(void);

#endif
