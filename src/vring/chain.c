/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring/chain.h"

#include <errno.h>
#include <stdlib.h>

#include "vring/layout.h"

#define SEGMENTS_FIRST 8u
#define FEW            4u

static int refuse(const char **ret_fault, const char *fault)
{
	*ret_fault = fault;
	return -EPROTO;
}

void chain_start(struct chain *chain, uint16_t head, uint16_t limit)
{
	assert(limit && limit <= CHAIN_LIMIT_MAX);
	chain->head = head;
	chain->limit = limit;
	chain->n = chain->n_out = 0;
	chain->out_len = chain->in_len = 0;
	chain->table.len = 0;
}

void chain_done(struct chain *chain)
{
	free(chain->segments);
	area_done(&chain->scratch);
	*chain = (struct chain){ 0 };
}

static int grow(struct chain *chain)
{
	unsigned most = 2u * chain->limit, cap = chain->cap ? 2u * chain->cap : SEGMENTS_FIRST;
	struct segment *segments;

	if (cap > most)
		cap = most;
	segments = realloc(chain->segments, cap * sizeof(*segments));
	if (!segments)
		return -ENOMEM;
	chain->segments = segments;
	chain->cap = (uint16_t)cap;
	return 0;
}

int chain_add(struct chain *chain, uint64_t addr, uint32_t len, bool writable,
              const char **ret_fault)
{
	int error;

	if (len && addr + (len - 1) < addr)
		return refuse(ret_fault, "a buffer wraps around the address space");
	if (!writable && chain->n > chain->n_out)
		return refuse(ret_fault, "a readable descriptor follows a writable one");
	if (chain->n >= 2u * chain->limit)
		return refuse(ret_fault, "a chain is longer than the ring and a table");
	if (chain->n >= chain->cap) {
		error = grow(chain);
		if (error)
			return error;
	}
	chain->segments[chain->n++] = (struct segment){ addr, len,
		                                        writable ? PERM_WRITE : PERM_READ };
	if (writable) {
		chain->in_len += len;
	} else {
		chain->n_out++;
		chain->out_len += len;
	}
	return 0;
}

static struct ring_desc read_desc(const struct vring_area *table, uint16_t at)
{
	struct ring_desc desc;

	area_read(table, at * (uint32_t)sizeof(desc), &desc, sizeof(desc));
	return (struct ring_desc){
		.addr = le64toh(desc.addr),
		.len = le32toh(desc.len),
		.flags = le16toh(desc.flags),
		.next = le16toh(desc.next),
	};
}

/* DESC_WRITE means nothing here and is ignored (2.7.5.3.2). */
static int end_in_table(struct chain *chain, const struct ring_desc *desc,
                        enum chain_indirect indirect, const char **ret_fault)
{
	struct range range;

	if (indirect == CHAIN_INDIRECT_OFF)
		return refuse(ret_fault, "an indirect descriptor, which was not negotiated");
	if (indirect == CHAIN_INDIRECT_NESTED)
		return refuse(ret_fault, "an indirect descriptor within an indirect table");
	if (desc->flags & DESC_NEXT)
		return refuse(ret_fault, "an indirect descriptor has a next one");
	if (!desc->len)
		return refuse(ret_fault, "an indirect table is empty");
	if (desc->len % sizeof(struct ring_desc))
		return refuse(ret_fault, "an indirect table is no multiple of 16 bytes long");
	if (desc->len / sizeof(struct ring_desc) > chain->limit)
		return refuse(ret_fault, "an indirect table is longer than the ring");
	if (!range_make(desc->addr, desc->len, &range))
		return refuse(ret_fault, "an indirect table wraps around the address space");
	chain->table = (struct segment){ desc->addr, desc->len, PERM_READ };
	return 0;
}

int chain_follow(struct chain *chain, const struct vring_area *table, uint16_t size, uint16_t at,
                 enum chain_indirect indirect, const char **ret_fault)
{
	bool nested = indirect == CHAIN_INDIRECT_NESTED;
	int error;

	for (unsigned seen = 0; seen < size; seen++) {
		struct ring_desc desc = read_desc(table, at);

		if (desc.flags & DESC_INDIRECT)
			return end_in_table(chain, &desc, indirect, ret_fault);
		error = chain_add(chain, desc.addr, desc.len, desc.flags & DESC_WRITE, ret_fault);
		if (error || !(desc.flags & DESC_NEXT))
			return error;
		if (desc.next >= size)
			return refuse(ret_fault, nested ? "next is outside of the indirect table"
			                                : "next is outside of the ring");
		at = desc.next;
	}
	return refuse(ret_fault,
	              nested ? "a loop in an indirect table" : "a loop in the descriptor table");
}

int chain_load_table(struct chain *chain, struct translate_view *view, struct hole_list *holes,
                     const char **ret_fault)
{
	const uint64_t out_len = chain->out_len, in_len = chain->in_len;
	const uint16_t n = chain->n, n_out = chain->n_out;
	uint16_t size = (uint16_t)(chain->table.len / sizeof(struct ring_desc));
	int error;

	assert(size && size <= chain->limit);
	error = area_map(&chain->scratch, view, chain->table.addr, chain->table.len, PERM_READ,
	                 holes);
	if (error)
		return error;
	error = chain_follow(chain, &chain->scratch, size, 0, CHAIN_INDIRECT_NESTED, ret_fault);
	area_unmap(&chain->scratch);
	if (error) {
		chain->n = n;
		chain->n_out = n_out;
		chain->out_len = out_len;
		chain->in_len = in_len;
		return error;
	}
	chain->table.len = 0;
	return 0;
}

/* The segments that are not empty, in order of permission, then address. */
struct page_order {
	const struct chain *chain;
	unsigned n;
	uint16_t index[2 * CHAIN_LIMIT_MAX];
};

static bool comes_before(const struct chain *chain, unsigned a, unsigned b)
{
	const struct segment *x = &chain->segments[a], *y = &chain->segments[b];

	return x->perm != y->perm ? x->perm < y->perm : x->addr < y->addr;
}

/* Shell's sort: in place, and no driver can make it quadratic. */
static void order_sort(struct page_order *order)
{
	static const uint16_t gaps[] = { 701, 301, 132, 57, 23, 10, 4, 1 };

	for (unsigned g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
		for (unsigned i = gaps[g], j; i < order->n; i++) {
			uint16_t moved = order->index[i];

			for (j = i; j >= gaps[g]; j -= gaps[g]) {
				if (!comes_before(order->chain, moved, order->index[j - gaps[g]]))
					break;
				order->index[j] = order->index[j - gaps[g]];
			}
			order->index[j] = moved;
		}
	}
}

static void order_make(struct page_order *order, const struct chain *chain)
{
	order->chain = chain;
	order->n = 0;
	for (unsigned i = 0; i < chain->n; i++)
		if (chain->segments[i].len)
			order->index[order->n++] = (uint16_t)i;
	order_sort(order);
}

/* Pages that follow each other, with one permission. */
struct run {
	uint64_t first, last;
	uint8_t perm;
};

/* Of a segment that is not empty. */
static struct run run_of(const struct segment *segment)
{
	return (struct run){ segment->addr / TRANSLATE_PAGE,
		             (segment->addr + (segment->len - 1)) / TRANSLATE_PAGE, segment->perm };
}

/* False: the run does not go on where this one does. */
static bool run_extend(struct run *run, const struct run *by)
{
	if (run->perm != by->perm || by->first < run->first || by->first - 1 > run->last)
		return false;
	if (by->last > run->last)
		run->last = by->last;
	return true;
}

static bool runs_meet(const struct run *a, const struct run *b)
{
	return a->perm == b->perm && a->first <= b->last && b->first <= a->last;
}

/*
 * Most chains are a few runs, which are compared with each other for less than it
 * takes to sort them. False: there are more, or they have pages in common.
 */
static bool count_runs(const struct chain *chain, uint64_t *ret)
{
	struct run runs[FEW];
	unsigned n = 0;

	for (unsigned i = 0; i < chain->n; i++) {
		const struct segment *segment = &chain->segments[i];
		struct run run;

		if (!segment->len)
			continue;
		run = run_of(segment);
		if (n && run_extend(&runs[n - 1], &run))
			continue;
		if (n == FEW)
			return false;
		runs[n++] = run;
	}
	*ret = 0;
	for (unsigned i = 0; i < n; i++) {
		*ret += runs[i].last - runs[i].first + 1;
		for (unsigned j = 0; j < i; j++)
			if (runs_meet(&runs[i], &runs[j]))
				return false;
	}
	return true;
}

static __attribute__((noinline)) uint64_t count_sorted(const struct chain *chain)
{
	struct page_order order;
	uint64_t pages = 0, next = 0; /* the first page not counted yet */
	uint8_t perm = 0;

	order_make(&order, chain);
	for (unsigned i = 0; i < order.n; i++) {
		struct run run = run_of(&chain->segments[order.index[i]]);

		if (run.perm == perm && run.first < next)
			run.first = next;
		if (run.perm != perm || run.last >= next) {
			pages += run.last - run.first + 1;
			next = run.last + 1;
			perm = run.perm;
		}
	}
	return pages;
}

uint64_t chain_pages(const struct chain *chain)
{
	uint64_t pages;

	return count_runs(chain, &pages) ? pages : count_sorted(chain);
}

static bool segment_meets(const struct segment *segment, struct range range)
{
	struct range own;

	return range_make(segment->addr, segment->len, &own) && range_overlaps(own, range);
}

bool chain_overlaps(const struct chain *chain, struct range range)
{
	for (unsigned i = 0; i < chain->n; i++)
		if (segment_meets(&chain->segments[i], range))
			return true;
	return segment_meets(&chain->table, range);
}
