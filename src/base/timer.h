/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A time after which a function of a loop runs, once: an fd, so that it can be
 * armed where no memory and no fd is to be had.
 *
 * Thread: the loop's.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base/loop.h"

struct timer {
	struct loop_source source; /* fd -1: there is none */
	struct loop *loop;
	void (*due)(struct timer *timer);
};

/* 0 or -errno; then source.fd is -1. */
int timer_init(struct timer *timer, struct loop *loop, void (*due)(struct timer *timer));
/* Harmless where source.fd is -1. */
void timer_done(struct timer *timer);

/* In @ms milliseconds, at least 1, and not when it would have been due before. */
void timer_arm(struct timer *timer, unsigned ms);
void timer_disarm(struct timer *timer);

#endif
