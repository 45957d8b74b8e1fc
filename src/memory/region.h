/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One region of shared guest memory: numbers of the front-end's, the identity of
 * the file, and our mapping of it. It never changes, but for the mark that a part
 * of it is gone; it lives while a table refers to it. It does not know about other
 * regions: that is the table.
 *
 * Threads: mapped by the session; references may be dropped by any thread.
 */
#ifndef MEMORY_REGION_H
#define MEMORY_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "memory/sigbus.h"
#include "wire/protocol.h"

struct memory_fault;

struct region {
	atomic_uint refs;
	struct vhu_memory_region wire;
	dev_t dev;
	ino_t ino;
	char *ptr;                   /* of wire.gpa */
	struct sigbus_range mapping; /* whole pages of the file around it */
};

/* Why, for a caller's text; @why may be NULL. Returns @err. */
int region_refuse(struct memory_fault *why, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The numbers alone: nothing empty, nothing that wraps. 0 or -EINVAL. */
int region_check(const struct vhu_memory_region *wire, bool gpa_addresses,
                 struct memory_fault *why);

/*
 * Maps the region, without populating it; @fd stays the caller's. @old: a region
 * equal in its numbers, or NULL; the same file as @fd makes it the answer (a new
 * reference), with the mapping it has. 0, -EINVAL, -EACCES (not writable),
 * -ENOMEM or the -errno of fstat(2), fstatfs(2) and mmap(2).
 */
int region_map(const struct vhu_memory_region *wire, int fd, struct region *old,
               struct region **ret, struct memory_fault *why);

struct region *region_get(struct region *region);
void region_put(struct region *region);

#endif
