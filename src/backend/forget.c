/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/forget.h"

void forget_put(struct forget *forget, struct range range)
{
	unsigned put = atomic_load_explicit(&forget->put, memory_order_relaxed);

	/* acquire: the worker has read what was there; pairs with forget_take() */
	if (put - atomic_load_explicit(&forget->taken, memory_order_acquire) == FORGET_MAX) {
		/* release: what hid the range; pairs with forget_take() */
		atomic_store_explicit(&forget->all, true, memory_order_release);
		return;
	}
	forget->ranges[put % FORGET_MAX] = range;
	/* release: the range; pairs with forget_take() */
	atomic_store_explicit(&forget->put, put + 1, memory_order_release);
}

bool forget_take(struct forget *forget, struct range *ret)
{
	unsigned taken = atomic_load_explicit(&forget->taken, memory_order_relaxed);
	/* acquire: the ranges; pairs with forget_put() */
	unsigned put = atomic_load_explicit(&forget->put, memory_order_acquire);

	/* acquire: pairs with forget_put() */
	if (atomic_load_explicit(&forget->all, memory_order_relaxed) &&
	    atomic_exchange_explicit(&forget->all, false, memory_order_acquire)) {
		*ret = RANGE_ALL;
		taken = put;
	} else if (taken != put) {
		*ret = forget->ranges[taken++ % FORGET_MAX];
	} else {
		return false;
	}
	/* release: the ranges have been read; pairs with forget_put() */
	atomic_store_explicit(&forget->taken, taken, memory_order_release);
	return true;
}
