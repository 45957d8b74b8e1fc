/* SPDX-License-Identifier: BSD-3-Clause */
#include "held.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int held_init(struct held *held)
{
	*held = (struct held){ 0 };
	held->ranges = calloc(HELD_MAX, sizeof(*held->ranges));
	return held->ranges ? 0 : -ENOMEM;
}

void held_done(struct held *held)
{
	free(held->ranges);
	*held = (struct held){ 0 };
}

void held_clear(struct held *held)
{
	held->n = 0;
	held->full = false;
}

/* Index of the lowest range that ends at @iova or behind it. */
static unsigned seek(const struct held *held, uint64_t iova)
{
	unsigned low = 0, high = held->n;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (held->ranges[middle].last < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void insert(struct held *held, unsigned at, struct held_range range)
{
	if (held->n == HELD_MAX) {
		held->full = true;
		return;
	}
	memmove(&held->ranges[at + 1], &held->ranges[at], (held->n - at) * sizeof(range));
	held->ranges[at] = range;
	held->n++;
}

uint64_t held_uva(const struct held_range *range, uint64_t iova)
{
	return range->uva + (iova - range->first);
}

/* What sticks out of a range behind @last becomes one of its own. */
static void split_behind(struct held *held, uint64_t last)
{
	unsigned i = seek(held, last);
	struct held_range *range = &held->ranges[i], rest;

	if (i == held->n || range->first > last || range->last == last)
		return;
	rest = (struct held_range){ last + 1, range->last, held_uva(range, last + 1), range->perm };
	range->last = last;
	insert(held, i + 1, rest);
}

static void drop(struct held *held, uint64_t first, uint64_t last)
{
	unsigned from, to;

	split_behind(held, last);
	if (first)
		split_behind(held, first - 1);
	from = to = seek(held, first);
	while (to < held->n && held->ranges[to].last <= last)
		to++;
	memmove(&held->ranges[from], &held->ranges[to], (held->n - to) * sizeof(held->ranges[0]));
	held->n -= to - from;
}

/* The range at @i and the one behind it become one where that says the same. */
static void join(struct held *held, unsigned i)
{
	struct held_range *range = &held->ranges[i], *behind = range + 1;

	if (i + 1 >= held->n || range->last + 1 != behind->first || range->perm != behind->perm ||
	    held_uva(range, behind->first) != behind->uva)
		return;
	range->last = behind->last;
	memmove(behind, behind + 1, (held->n - i - 2) * sizeof(*range));
	held->n--;
}

void held_set(struct held *held, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm)
{
	uint64_t last = iova + size - 1;
	unsigned i;

	if (!size || last < iova)
		return;
	drop(held, iova, last);
	if (!perm)
		return;
	i = seek(held, iova);
	insert(held, i, (struct held_range){ iova, last, uva, perm });
	join(held, i);
	if (i)
		join(held, i - 1);
}

void held_drop(struct held *held, uint64_t iova, uint64_t size)
{
	uint64_t last = iova + size - 1;

	if (!size && !iova)
		held_clear(held);
	else if (size)
		drop(held, iova, last < iova ? UINT64_MAX : last);
}

const struct held_range *held_next(const struct held *held, uint64_t iova)
{
	unsigned i = seek(held, iova);

	return i < held->n ? &held->ranges[i] : NULL;
}

const struct held_range *held_find(const struct held *held, uint64_t iova)
{
	const struct held_range *range = held_next(held, iova);

	return range && range->first <= iova ? range : NULL;
}
