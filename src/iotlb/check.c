/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/state.h"

static bool entry_is_in_place(const struct translation *before, const struct translation *t,
                              uint64_t key)
{
	if (t->perm < PERM_READ || t->perm > PERM_RW || t->range.start != key ||
	    t->range.last < t->range.start)
		return false;
	if (!before->perm)
		return true;
	if (before->range.last >= t->range.start)
		return false;
	return before->range.last + 1 != t->range.start || before->delta != t->delta ||
	       before->perm != t->perm;
}

static bool entries_check(const struct iotlb *tlb)
{
	struct translation before = { .perm = 0 };
	struct btree_path path;
	struct btree_place *at = &path.at[0];
	bool more = btree_floor(&tlb->tree, 0, &path) || btree_next(&tlb->tree, at);

	for (; more; more = btree_next(&tlb->tree, at)) {
		struct translation t = entry_get(&tlb->pool, btree_id(&tlb->tree, *at));

		if (!entry_is_in_place(&before, &t, btree_key(&tlb->tree, *at)))
			return false;
		before = t;
	}
	return tlb->pool.n == tlb->tree.n;
}

bool iotlb_check(const struct iotlb *tlb)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&tlb->lock;
	bool holds;

	pthread_mutex_lock(lock);
	holds = tlb->pool.n <= tlb->bound && !(tlb->changes & 1) && btree_check(&tlb->tree) &&
	        entry_pool_check(&tlb->pool) && entries_check(tlb) && pagehash_check(&tlb->hash);
	pthread_mutex_unlock(lock);
	return holds;
}
