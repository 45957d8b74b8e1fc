/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranges that a worker is to forget when it next wakes: the session puts them in
 * while it sleeps. The room is bounded; where it is used up everything is to be
 * forgotten, which is never wrong.
 *
 * Thread: forget_put() the session's, forget_take() the worker's.
 */
#ifndef BACKEND_FORGET_H
#define BACKEND_FORGET_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/range.h"

#define FORGET_MAX 16u

/* Zero-initialised is empty. */
struct forget {
	_Atomic unsigned put;   /* how many were; written by the session */
	_Atomic unsigned taken; /* how many of those; written by the worker */
	_Atomic bool all;
	struct range ranges[FORGET_MAX];
};

void forget_put(struct forget *forget, struct range range);
/* The next one; false: none is left. */
bool forget_take(struct forget *forget, struct range *ret);

#endif
