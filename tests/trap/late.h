/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An engine that is late, as a disk is: nothing is moved when a transfer is
 * submitted, all when it has waited. So there are issued requests at every
 * moment, and what is wrong with acknowledging too early shows every time: a
 * transfer waits until an acknowledgement has come since, or for so long as was
 * set. Where acknowledgements wait for transfers, the time counts.
 *
 * Thread: that of the virtqueue's worker.
 */
#ifndef TRAP_LATE_H
#define TRAP_LATE_H

#include <stdatomic.h>
#include <stdint.h>

#include "devices/engine.h"

extern const struct engine_ops engine_late;

/* Microseconds; before a queue is started. */
void late_set_longest(unsigned us);
/* An acknowledgement has come, and the pages behind it are trapped. Any thread. */
void late_acknowledged(void);

#endif
