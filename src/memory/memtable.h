/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest memory a front-end shares: an immutable table of mapped regions,
 * sorted by guest physical and by user address. A change makes a new table that
 * shares the regions that stay; the old one lives until nobody uses it.
 *
 * Not here: who may use which table when. That is the session's business.
 *
 * Threads: a table may be read by any thread; made and released by the session.
 */
#ifndef MEMORY_MEMTABLE_H
#define MEMORY_MEMTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/translate.h"
#include "wire/protocol.h"

/* mem slots we offer, and the most a table ever holds */
#define MEMTABLE_REGIONS_MAX 509u

struct memtable;

/* A region as its users see it. */
struct region_view {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	char *ptr;
};

/* Why a table was refused, in words, for the log and the reply. */
struct memory_fault {
	char text[160];
};

/* The empty table. NULL: no memory. */
struct memtable *memtable_empty(void);
struct memtable *memtable_get(struct memtable *table);
void memtable_put(struct memtable *table);

/*
 * A table of @n regions. One that equals a region of @old in its numbers and is
 * the same file keeps that region's mapping. fds[i] goes with regions[i]; every
 * fd is closed by the caller, the table keeps none (a mapping needs no fd).
 *
 * Refused with nothing changed: size 0, gpa or uva or offset + size that wraps,
 * overlap in gpa or in uva, a file smaller than offset + size, an fd that can't
 * be mapped. @gpa_addresses: uva must equal gpa (VHOST_USER_PROTOCOL_F_GPA_ADDRESSES).
 *
 * Memory is never populated. Files on hugetlbfs are mapped at their page size.
 *
 * Returns 0, -EINVAL, -E2BIG (too many regions), -ENOMEM, or mmap's/fstat's -errno.
 */
int memtable_replace(const struct memtable *old, const struct vhu_memory_region *regions,
                     unsigned n, const int *fds, bool gpa_addresses, struct memtable **ret,
                     struct memory_fault *why);

/* @old with one region more; the same refusals. */
int memtable_add(const struct memtable *old, const struct vhu_memory_region *region, int fd,
                 bool gpa_addresses, struct memtable **ret, struct memory_fault *why);

/* @old without the region equal in gpa, uva and size. -ENOENT if there is none. */
int memtable_remove(const struct memtable *old, const struct vhu_memory_region *region,
                    struct memtable **ret, struct memory_fault *why);

unsigned memtable_count(const struct memtable *table);
/*
 * Whether a part of some region is gone, because its file was made shorter, and
 * zero pages are there instead (sigbus.h); *why says which region.
 */
bool memtable_is_broken(const struct memtable *table, struct memory_fault *why);
/* Whether it is what a table has to be. */
bool memtable_check(const struct memtable *table);
/* In order of gpa. */
struct region_view memtable_region(const struct memtable *table, unsigned i);

/* Whether the very mapping of @old's region i is part of @table, too. */
bool memtable_shares(const struct memtable *table, const struct memtable *old, unsigned i);

/*
 * Local memory at an address, and how many bytes from it on are contiguous
 * there. O(log n). False: not in the table; *ret_len is then the distance to
 * the next region (or to the end of the space), at least 1.
 */
bool memtable_gpa(const struct memtable *table, uint64_t gpa, char **ret, uint64_t *ret_len);
bool memtable_uva(const struct memtable *table, uint64_t uva, char **ret, uint64_t *ret_len);

/* Walks of a view over a table; source is the table. Pieces allow everything. */
bool memtable_walk_gpa(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret);
bool memtable_walk_uva(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret);

#endif
