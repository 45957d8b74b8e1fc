/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which engine serves which storage. Inline calls are cheapest where they can't
 * sleep (0.7 us against 1.7 us through a ring, 4 KiB on tmpfs); everywhere else
 * a kernel ring, threads where there is none, and before them, if it is wanted,
 * the same plain calls for what the page cache can satisfy (quick.h).
 */
#include "devices/engine.h"

#include <errno.h>
#include <stddef.h>

#include "base/log.h"

static const char *why_no_ring(int error)
{
	switch (error) {
	case -ENOSYS: return "io_uring is not in this kernel or build; threads do the I/O";
	case -EPERM:
	case -EACCES: return "io_uring is forbidden on this host; threads do the I/O";
	case -ENOMEM: return "io_uring got no memory (ulimit -l); threads do the I/O";
	default: return "io_uring can't be set up; threads do the I/O";
	}
}

static const struct engine_ops *ring_or_threads(const char **ret_why)
{
	int error = engine_uring_probe();

	if (!error)
		return &engine_uring;
	*ret_why = why_no_ring(error);
	return &engine_threads;
}

const struct engine_ops *engine_choose(enum engine_kind wanted, const struct storage *storage,
                                       const char **ret_why)
{
	*ret_why = NULL;
	if (wanted == ENGINE_NULL) {
		*ret_why = "engine null: no data is moved; what is read is whatever was there";
		return &engine_null;
	}
	if (storage->bytes) {
		if (wanted != ENGINE_AUTO)
			*ret_why = "a disk in memory needs no engine; it is copied from and to";
		return &engine_memory;
	}
	switch (wanted) {
	case ENGINE_INLINE: return &engine_inline;
	case ENGINE_THREADS: return &engine_threads;
	case ENGINE_URING: return ring_or_threads(ret_why);
	case ENGINE_NULL:
	case ENGINE_AUTO: break;
	}
	return storage->in_memory ? &engine_inline : ring_or_threads(ret_why);
}

int engine_start(const struct engine_ops *ops, const struct storage *storage, unsigned depth,
                 struct engine_queue **ret)
{
	int error = ops->start(storage, depth, ret);

	if (error && ops == &engine_uring) {
		log_warning("blk", "%s", why_no_ring(error));
		error = engine_threads.start(storage, depth, ret);
	}
	return error;
}
