/* SPDX-License-Identifier: BSD-3-Clause */
#include "sorted.h"

#include <assert.h>
#include <stdlib.h>

bool sorted_init(struct sorted *tlb, uint64_t cap)
{
	*tlb = (struct sorted){ .cap = cap };
	tlb->pool = calloc(cap, sizeof(*tlb->pool));
	return tlb->pool != NULL;
}

void sorted_done(struct sorted *tlb)
{
	free(tlb->pool);
}

void sorted_insert(struct sorted *tlb, uint64_t iova, uint64_t uaddr, uint64_t size, uint8_t perm)
{
	struct sorted_entry *entry = &tlb->pool[tlb->n++];
	struct sorted_entry *prev = NULL, *next = tlb->first;

	assert(tlb->n <= tlb->cap);
	while (next && next->iova < iova) {
		prev = next;
		next = next->next;
	}
	*entry = (struct sorted_entry){ next, prev, iova, uaddr, 0, size, 12, perm };
	if (next)
		next->prev = entry;
	if (prev)
		prev->next = entry;
	else
		tlb->first = entry;
}

uint64_t sorted_find(const struct sorted *tlb, uint64_t iova, uint8_t perm)
{
	for (const struct sorted_entry *entry = tlb->first; entry; entry = entry->next) {
		if (iova < entry->iova)
			break;
		if (iova >= entry->iova + entry->size)
			continue;
		return (entry->perm & perm) == perm ? entry->uaddr + (iova - entry->iova) : 0;
	}
	return 0;
}
