/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How bytes get from storage to buffers and back: an engine per way, an engine
 * queue per virtqueue. An engine knows offsets and iovecs, nothing of requests.
 *
 * Thread: every function of an engine queue, and every transfer's done, on
 * the one thread of the virtqueue's worker.
 */
#ifndef DEVICES_ENGINE_H
#define DEVICES_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "devices/storage.h"

enum transfer_op {
	TRANSFER_READ,
	TRANSFER_WRITE,
	TRANSFER_FLUSH,
	TRANSFER_DISCARD, /* what is there later is not said */
	TRANSFER_ZERO,
};

/*
 * One run of bytes on the move; lives in the request it belongs to. The engine
 * modifies iov, n_iov, offset and left as it goes: they say what is still to do.
 */
struct transfer {
	/* Called once, perhaps before submit() returns; may submit others. */
	void (*done)(struct transfer *transfer);
	enum transfer_op op;
	bool durable;      /* a write or zeroing that is on stable storage before it is done */
	bool unmap;        /* a zeroing that may leave a hole */
	unsigned char way; /* of discarding or zeroing that is being tried; 0 at first */
	struct iovec *iov;
	unsigned n_iov;
	uint64_t offset;
	uint64_t left;
	int error;         /* when done: 0 or -errno */
	unsigned refusals; /* in a row, of the kind that a later try may not meet */
	struct list node;  /* the engine's, until done */
};

struct engine_queue;

struct engine_ops {
	const char *name;

	/*
	 * @depth: no more transfers than that are under way at a time.
	 * 0 and *ret, or -errno.
	 */
	int (*start)(const struct storage *storage, unsigned depth, struct engine_queue **ret);
	void (*submit)(struct engine_queue *queue, struct transfer *transfer);
	/* No more for now: what was collected goes to the kernel. May be NULL. */
	void (*submit_end)(struct engine_queue *queue);
	/* The fd is readable. NULL where there is no fd. */
	void (*reap)(struct engine_queue *queue);
	/* Every transfer is done. */
	void (*stop)(struct engine_queue *queue);
};

/* What every engine's queue begins with. */
struct engine_queue {
	const struct engine_ops *ops;
	const struct storage *storage;
	int fd; /* readable when something is to be reaped; -1: nothing ever is */
};

extern const struct engine_ops engine_inline, engine_threads, engine_uring, engine_memory,
	engine_null;

enum engine_kind {
	ENGINE_AUTO,
	ENGINE_URING,
	ENGINE_THREADS,
	ENGINE_INLINE,
	ENGINE_NULL, /* moves nothing: for tests of speed */
};

/*
 * The engine for a storage. *ret_why is NULL, or says in a sentence why it isn't
 * the one that was asked for, or that is best for this storage.
 */
const struct engine_ops *engine_choose(enum engine_kind wanted, const struct storage *storage,
                                       const char **ret_why);

/*
 * Starts a queue of @ops; where the kernel has no ring for it, one of threads,
 * and (*ret)->ops says so.
 */
int engine_start(const struct engine_ops *ops, const struct storage *storage, unsigned depth,
                 struct engine_queue **ret);

/* Whether this process may make a kernel ring: 0, or -errno of the attempt;
 * -ENOSYS also where it was built without. */
int engine_uring_probe(void);

#endif
