/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A baseline: an IOTLB as a linked list sorted by address, searched from its
 * lowest entry, in the manner of the best-known back-end.
 *
 * Thread: one.
 */
#ifndef BENCH_SORTED_H
#define BENCH_SORTED_H

#include <stdbool.h>
#include <stdint.h>

struct sorted_entry {
	struct sorted_entry *next, *prev;
	uint64_t iova;
	uint64_t uaddr;
	uint64_t uoffset;
	uint64_t size;
	uint8_t page_shift;
	uint8_t perm;
};

struct sorted {
	struct sorted_entry *first;
	struct sorted_entry *pool;
	uint64_t n, cap;
};

/* False: no memory. */
bool sorted_init(struct sorted *tlb, uint64_t cap);
void sorted_done(struct sorted *tlb);

/* Within the cap; not there before. */
void sorted_insert(struct sorted *tlb, uint64_t iova, uint64_t uaddr, uint64_t size, uint8_t perm);

/* Memory at @iova; 0: none. */
uint64_t sorted_find(const struct sorted *tlb, uint64_t iova, uint8_t perm);

#endif
