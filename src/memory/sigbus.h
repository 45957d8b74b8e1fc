/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings of files that somebody else can make shorter, registered where a
 * handler of SIGBUS finds them. The handler (vhu/sigbus.h) repairs the hole and
 * leaves a mark; who owns the mapping looks for it when the count of faults has
 * changed.
 *
 * Not here: what becomes of the session. The lanes look (backend/lane.c).
 *
 * Threads: any. A range is watched from before its first access to after its
 * last, so that the handler, which runs inside an access, finds it unchanged.
 */
#ifndef MEMORY_SIGBUS_H
#define MEMORY_SIGBUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct sigbus_slot;

/* Lives in what owns the mapping. */
struct sigbus_range {
	char *start;
	size_t len;
	size_t page; /* of the mapping; a power of two */
	atomic_bool broken;
	struct sigbus_slot *slot;
};

/* How many faults were repaired in this process; wraps. For sigbus_faults(). */
extern atomic_uint sigbus_fault_count;

/* @start and @len are multiples of @page. 0 or -ENOMEM. */
int sigbus_watch(struct sigbus_range *range, void *start, size_t len, size_t page);
void sigbus_unwatch(struct sigbus_range *range);

static inline unsigned sigbus_faults(void)
{
	/* acquire: the marks of the faults counted; pairs with the handler's count */
	return atomic_load_explicit(&sigbus_fault_count, memory_order_acquire);
}

/* Whether a part of it was replaced by zero pages. */
static inline bool sigbus_is_broken(const struct sigbus_range *range)
{
	return atomic_load_explicit(&range->broken, memory_order_relaxed);
}

#endif
