/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A baseline: an IOTLB as a linked list sorted by address, searched from its
 * lowest entry, in the manner of the best-known back-end.
 *
 * Thread: one.
 */
#ifndef BENCH_LIST_H
#define BENCH_LIST_H

#include <stdbool.h>
#include <stdint.h>

struct list_entry {
	struct list_entry *next, *prev;
	uint64_t iova;
	uint64_t uaddr;
	uint64_t uoffset;
	uint64_t size;
	uint8_t page_shift;
	uint8_t perm;
};

struct list_tlb {
	struct list_entry *first;
	struct list_entry *pool;
	uint64_t n, cap;
};

/* False: no memory. */
bool list_init(struct list_tlb *tlb, uint64_t cap);
void list_done(struct list_tlb *tlb);

/* Within the cap; not there before. */
void list_insert(struct list_tlb *tlb, uint64_t iova, uint64_t uaddr, uint64_t size, uint8_t perm);

/* Memory at @iova; 0: none. */
uint64_t list_find(const struct list_tlb *tlb, uint64_t iova, uint8_t perm);

#endif
