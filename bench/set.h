/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A number of translations, none of which merges with another, in the device
 * IOTLB and in what it is measured against: a bare array, a tree, a list. Nothing
 * of the memory they stand for is there unless it is said to be.
 *
 * Thread: one, unless said otherwise.
 */
#ifndef BENCH_SET_H
#define BENCH_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "iotlb/iotlb.h"
#include "memory/translate_inline.h"
#include "pairs.h"
#include "sorted.h"
#include "tree.h"

#define SET_LINES   4096u /* of the default front cache, as a worker's */
#define SET_MILLION (UINT64_C(1) << 20)
#define SET_LIST    2048u /* entries the list is made of, where it is */

/* What an array of translations comes down to. */
struct floor_entry {
	uint64_t tag;
	uint64_t delta;
};

enum set_layout {
	SET_DENSE,  /* page after page */
	SET_SPARSE, /* pages anywhere in 48 bits */
	SET_MIXED,  /* 4 KiB, 64 KiB, 2 MiB, 1 GiB, as many of each */
};

struct set {
	uint64_t n; /* entries, a power of two */
	enum set_layout layout;
	char *memory; /* of SET_DENSE with set_make_memory(), else NULL */
	struct iotlb *tlb;
	struct floor_entry *floor;
	struct tree tree;
	struct sorted list; /* up to SET_LIST entries, and only dense */
	struct translate_view view;
	struct iov_list iov;
	uint64_t at; /* in the sequence of chance */
};

/* With the tree and the list only if @baselines. Ends the program where memory is short. */
void set_init(struct set *set, uint64_t n, enum set_layout layout, unsigned lines, bool baselines);
void set_done(struct set *set);

/* Lets the entries stand for real memory that can be read: as much as there are pages here. */
#define SET_MEMORY_PAGES 16384u
void set_make_memory(struct set *set);

struct set_entry {
	struct range range;
	uint64_t uaddr;
};

/* The @i-th entry. */
struct set_entry set_entry(const struct set *set, uint64_t i);
/* In no order, every entry once in n: the multiplier is odd. */
static inline uint64_t set_shuffle(const struct set *set, uint64_t i)
{
	return i * UINT64_C(0x9e3779b97f4a7c15) & (set->n - 1);
}

void set_update(struct set *set, uint64_t i);
bool set_invalidate(struct set *set, uint64_t i);
/* A view with a line for every entry of a dense set, each of them filled. */
void set_fitting_view(struct set *set, struct translate_view *ret);

/* Addresses of 64 bytes somewhere in the set: @r is chance, as of pairs_nth(). */

static inline uint64_t set_offset(uint64_t r)
{
	return r & TRANSLATE_OFFSET & ~UINT64_C(63);
}

static inline uint64_t set_dense_addr(const struct set *set, uint64_t r)
{
	return (r >> 32 & (set->n - 1)) * TRANSLATE_PAGE + set_offset(r);
}

#define SET_SPARSE_MASK ((UINT64_C(1) << 36) - 1)

static inline uint64_t set_sparse_page(uint64_t i)
{
	return i * UINT64_C(0x9e3779b97f4a7c15) & SET_SPARSE_MASK;
}

static inline uint64_t set_sparse_addr(const struct set *set, uint64_t r)
{
	return set_sparse_page(r >> 32 & (set->n - 1)) * TRANSLATE_PAGE + set_offset(r);
}

#define SET_SIZES 4u

/* Log2 of the size of entries of a kind. Their addresses begin at the kind << 50. */
static inline unsigned set_mixed_shift(unsigned kind)
{
	return 0x1e15100cu >> 8 * kind & 0xff;
}

static inline uint64_t set_mixed_addr(const struct set *set, uint64_t r)
{
	unsigned kind = r >> 62, shift = set_mixed_shift(kind);
	uint64_t i = r >> 40 & (set->n / SET_SIZES - 1);

	/* Every other place is free, so that nothing is a neighbour. */
	return ((uint64_t)kind << 50) + (2 * i << shift) +
	       (r & ((UINT64_C(1) << shift) - 1) & ~UINT64_C(63));
}

#endif
