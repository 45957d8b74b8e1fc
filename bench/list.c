/* SPDX-License-Identifier: BSD-3-Clause */
#include "list.h"

#include <assert.h>
#include <stdlib.h>

bool list_init(struct list_tlb *tlb, uint64_t cap)
{
	*tlb = (struct list_tlb){ .cap = cap };
	tlb->pool = calloc(cap, sizeof(*tlb->pool));
	return tlb->pool != NULL;
}

void list_done(struct list_tlb *tlb)
{
	free(tlb->pool);
}

void list_insert(struct list_tlb *tlb, uint64_t iova, uint64_t uaddr, uint64_t size, uint8_t perm)
{
	struct list_entry *entry = &tlb->pool[tlb->n++];
	struct list_entry *prev = NULL, *next = tlb->first;

	assert(tlb->n <= tlb->cap);
	while (next && next->iova < iova) {
		prev = next;
		next = next->next;
	}
	*entry = (struct list_entry){ next, prev, iova, uaddr, 0, size, 12, perm };
	if (next)
		next->prev = entry;
	if (prev)
		prev->next = entry;
	else
		tlb->first = entry;
}

uint64_t list_find(const struct list_tlb *tlb, uint64_t iova, uint8_t perm)
{
	for (const struct list_entry *entry = tlb->first; entry; entry = entry->next) {
		if (iova < entry->iova)
			break;
		if (iova >= entry->iova + entry->size)
			continue;
		return (entry->perm & perm) == perm ? entry->uaddr + (iova - entry->iova) : 0;
	}
	return 0;
}
