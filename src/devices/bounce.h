/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfers whose buffers a direct file can't take (a driver may place its
 * buffers at any byte) go piece by piece through a few aligned buffers. Those
 * that find none free wait in order, so memory is bounded whatever the driver
 * does. Sits between the device and an engine, which sees aligned pieces alone.
 *
 * Thread: the queue's worker.
 */
#ifndef DEVICES_BOUNCE_H
#define DEVICES_BOUNCE_H

#include "devices/engine.h"

#define BOUNCE_SLOTS 8
#define BOUNCE_BYTES (128 << 10)

struct bounce {
	struct engine_queue *engine;
	char *buffers; /* BOUNCE_SLOTS of BOUNCE_BYTES; NULL: not in use */
	char *free[BOUNCE_SLOTS];
	unsigned n_free;
	struct list waiting;
	bool in_pump;
};

/* Of one transfer, in the request it belongs to. */
struct bounce_job {
	struct transfer piece;
	struct iovec piece_iov;
	struct bounce *bounce;
	struct transfer *whole;
	char *buffer;
	bool in_submit, piece_is_done;
	struct list node;
};

/* 0, or -errno of mmap(2). */
int bounce_init(struct bounce *bounce, struct engine_queue *engine);
void bounce_done(struct bounce *bounce);

/* Does what the engine's submit() of @whole would do. */
void bounce_submit(struct bounce *bounce, struct bounce_job *job, struct transfer *whole);

#endif
