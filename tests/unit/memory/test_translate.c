/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "iotlb/iotlb.h"
#include "memory/memtable.h"
#include "memory/translate.h"

#define PAGE     UINT64_C(4096)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A map in a table, for a view to walk; counts how often it is asked. */
struct piece {
	uint64_t start, size, ptr;
	uint8_t perm;
};

struct map {
	const struct piece *pieces;
	size_t n;
	unsigned asked;
	uint64_t hole_most; /* a hole is never said to be longer */
};

static char *at(uint64_t address)
{
	return (char *)(uintptr_t)address;
}

static bool map_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	struct map *map = view->source;
	uint64_t hole = map->hole_most;

	map->asked++;
	for (size_t i = 0; i < map->n; i++) {
		const struct piece *p = &map->pieces[i];

		if (addr - p->start >= p->size) {
			if (p->start > addr && p->start - addr < hole)
				hole = p->start - addr;
			continue;
		}
		ret->before = addr - p->start;
		ret->after = p->size - ret->before;
		ret->ptr = at(p->ptr + ret->before);
		ret->perm = p->perm;
		return (p->perm & perm) == perm;
	}
	ret->after = hole;
	return false;
}

static const struct piece pieces[] = {
	{ 0x1000, 0x2000, 0x101000, 3 },            /* two pages */
	{ 0x3000, 0x1000, 0x103000, 1 },            /* next to it in memory, too */
	{ 0x4000, 0x1000, 0x904000, 3 },            /* elsewhere */
	{ 0x6000, 0x800, 0x206000, 3 },             /* the first half of a page */
	{ 0x6800, 0x800, 0x306800, 3 },             /* the second half */
	{ 0x8800, 0x1000, 0x408810, 3 },            /* whole in no page, odd in memory */
	{ 0xfffffffffffff000, 0x1000, 0x501000, 3 } /* the last page of the space */
};

struct bench {
	struct translate_view view;
	struct map map;
	struct iov_list iov;
	struct hole holes[8];
	struct hole_list list;
};

static void bench_init(struct bench *b, unsigned lines)
{
	*b = (struct bench){ .map = { pieces, COUNT(pieces), 0, UINT64_MAX } };
	b->list = (struct hole_list){ .holes = b->holes, .cap = COUNT(b->holes) };
	assert_int_equal(translate_view_init(&b->view, lines), 0);
	translate_view_attach(&b->view, map_walk, &b->map, true);
}

static void bench_done(struct bench *b)
{
	translate_view_done(&b->view);
	iov_list_done(&b->iov);
}

static int run(struct bench *b, uint64_t addr, uint64_t len, uint8_t perm)
{
	b->iov.n = 0;
	b->list.n = 0;
	b->list.more = false;
	return translate(&b->view, addr, len, perm, &b->iov, &b->list);
}

static const unsigned sizes[] = { 0, 1, 2, 64 };

static const struct {
	uint64_t addr, len;
	uint8_t perm;
	int ret;
	struct piece iov[4]; /* ptr, size */
	struct hole holes[4];
} ranges[] = {
	{ 0x1000, 1, 3, 0, { { 0, 1, 0x101000 } } },
	{ 0x1fff, 2, 3, 0, { { 0, 2, 0x101fff } } },
	/* joined across pages and pieces where memory goes on */
	{ 0x1000, 0x3000, 1, 0, { { 0, 0x3000, 0x101000 } } },
	{ 0x1800, 0x3000, 1, 0, { { 0, 0x2800, 0x101800 }, { 0, 0x800, 0x904000 } } },
	{ 0x6700, 0x200, 3, 0, { { 0, 0x100, 0x206700 }, { 0, 0x100, 0x306800 } } },
	{ 0x8900, 0xf00, 2, 0, { { 0, 0xf00, 0x408910 } } },
	{ UINT64_MAX, 1, 3, 0, { { 0, 1, 0x501fff } } },
	{ 0xfffffffffffff000, 0x1000, 1, 0, { { 0, 0x1000, 0x501000 } } },
	/* a permission that is not given is a hole */
	{ 0x2800, 0x2000, 2, -EAGAIN, { { 0 } }, { { 0x3000, 0x1000, 2 } } },
	/* holes: one, two, at both ends, joined */
	{ 0x5000, 0x1000, 1, -EAGAIN, { { 0 } }, { { 0x5000, 0x1000, 1 } } },
	{ 0, 0x1001, 3, -EAGAIN, { { 0 } }, { { 0, 0x1000, 3 } } },
	{ 0x4800, 0x4100, 1, -EAGAIN, { { 0 } }, { { 0x5000, 0x1000, 1 }, { 0x7000, 0x1800, 1 } } },
	{ 0x0, 0x1000, 1, -EAGAIN, { { 0 } }, { { 0x0, 0x1000, 1 } } },
	{ 0xffffffffffffe000,
	  0x1800,
	  2,
	  -EAGAIN,
	  { { 0 } },
	  { { 0xffffffffffffe000, 0x1000, 2 } } },
	/* nothing, and more than there is */
	{ 0x5000, 0, 1, 0 },
	{ UINT64_MAX, 0, 1, 0 },
	{ UINT64_MAX, 2, 1, -EFAULT },
	{ 1,
	  UINT64_MAX,
	  1,
	  -EAGAIN,
	  { { 0 } },
	  { { 1, 0xfff, 1 },
	    { 0x5000, 0x1000, 1 },
	    { 0x7000, 0x1800, 1 },
	    { 0x9800, 0xfffffffffffff000 - 0x9800, 1 } } },
	{ 2, UINT64_MAX, 1, -EFAULT },
};

static void a_range_becomes_pieces_and_holes(void **state)
{
	for (size_t i = 0; i < COUNT(ranges) * COUNT(sizes) * 2; i++) {
		size_t t = i % COUNT(ranges);
		struct bench b;

		bench_init(&b, sizes[i / COUNT(ranges) % COUNT(sizes)]);
		/* A source may tell less of a hole than there is. */
		if (i / COUNT(ranges) / COUNT(sizes))
			b.map.hole_most = 0x180;
		if (ranges[t].len > 0x100000)
			b.map.hole_most = UINT64_MAX;
		/* The second time the front cache answers what it can. */
		for (int twice = 0; twice < 2; twice++) {
			size_t n = 0;

			assert_int_equal(run(&b, ranges[t].addr, ranges[t].len, ranges[t].perm),
			                 ranges[t].ret);
			while (n < 4 && ranges[t].holes[n].len) {
				assert_int_equal(b.holes[n].addr, ranges[t].holes[n].addr);
				assert_int_equal(b.holes[n].len, ranges[t].holes[n].len);
				assert_int_equal(b.holes[n].perm, ranges[t].holes[n].perm);
				n++;
			}
			assert_int_equal(b.list.n, n);
			for (n = 0; ranges[t].ret == 0 && n < 4 && ranges[t].iov[n].size; n++) {
				assert_ptr_equal(b.iov.iov[n].iov_base, at(ranges[t].iov[n].ptr));
				assert_int_equal(b.iov.iov[n].iov_len, ranges[t].iov[n].size);
			}
			if (ranges[t].ret == 0)
				assert_int_equal(b.iov.n, n);
		}
		bench_done(&b);
	}
}

static void holes_of_a_final_map_are_faults(void **state)
{
	struct bench b;

	bench_init(&b, 2);
	translate_view_attach(&b.view, map_walk, &b.map, false);
	assert_int_equal(run(&b, 0x4000, 0x2000, 1), -EFAULT);
	assert_int_equal(b.list.n, 1);
	assert_int_equal(run(&b, 0x4000, 0x1000, 1), 0);
	bench_done(&b);
}

static void either_list_may_be_absent(void **state)
{
	struct bench b;

	bench_init(&b, 2);
	assert_int_equal(translate(&b.view, 0x4800, 0x4100, 1, NULL, &b.list), -EAGAIN);
	assert_int_equal(b.list.n, 2);
	assert_int_equal(translate(&b.view, 0x4000, 0x1000, 1, NULL, NULL), 0);
	assert_int_equal(translate(&b.view, 0x4000, 0x4000, 1, &b.iov, NULL), -EAGAIN);
	bench_done(&b);
}

static void holes_that_do_not_fit_are_told_of(void **state)
{
	struct bench b;

	bench_init(&b, 0);
	b.list.cap = 1;
	assert_int_equal(run(&b, 0x4800, 0x4100, 1), -EAGAIN);
	assert_int_equal(b.list.n, 1);
	assert_int_equal(b.holes[0].addr, 0x5000);
	assert_true(b.list.more);
	/* One that is joined needs no room. */
	b.map.hole_most = 0x10;
	assert_int_equal(run(&b, 0x5000, 0x1000, 1), -EAGAIN);
	assert_int_equal(b.holes[0].len, 0x1000);
	assert_false(b.list.more);
	bench_done(&b);
}

static void holes_join_over_calls_but_not_over_the_end(void **state)
{
	static const struct piece nothing[] = { { 0x1000, 1, 0x1000, 1 } };
	struct bench b;

	bench_init(&b, 0);
	b.map.pieces = nothing;
	b.map.n = 1;
	translate(&b.view, 0x5000, 0x100, 1, NULL, &b.list);
	translate(&b.view, 0x5100, 0x100, 1, NULL, &b.list);
	assert_int_equal(b.list.n, 1);
	assert_int_equal(b.holes[0].len, 0x200);
	translate(&b.view, 0x5200, 0x100, 2, NULL, &b.list);
	assert_int_equal(b.list.n, 2);
	translate(&b.view, UINT64_MAX, 1, 1, NULL, &b.list);
	translate(&b.view, 0, 1, 1, NULL, &b.list);
	assert_int_equal(b.list.n, 4);
	bench_done(&b);
}

static void a_whole_page_is_walked_once(void **state)
{
	struct bench b;

	bench_init(&b, 64);
	for (int i = 0; i < 10; i++)
		assert_int_equal(run(&b, 0x1000 + 100 * i, 50, i % 3 + 1), 0);
	assert_int_equal(b.map.asked, 1);
	assert_int_equal(atomic_load(&b.view.walks), 1);
	assert_int_equal(atomic_load(&b.view.hits), 9);
	/* A walk fills all the pages the range has in the piece. */
	assert_int_equal(run(&b, 0x1000, 0x2000, 3), 0);
	assert_int_equal(run(&b, 0x2000, 1, 3), 0);
	assert_int_equal(b.map.asked, 2);
	bench_done(&b);
}

static void a_page_in_parts_is_never_cached(void **state)
{
	static const uint64_t addrs[] = { 0x6000, 0x67ff, 0x6800, 0x6fff,
		                          0x8800, 0x8fff, 0x9000, 0x97ff };
	struct bench b;

	bench_init(&b, 64);
	for (size_t i = 0; i < COUNT(addrs); i++) {
		assert_int_equal(run(&b, addrs[i], 1, 3), 0);
		assert_int_equal(run(&b, addrs[i], 1, 3), 0);
		assert_int_equal(b.map.asked, 2 * (i + 1));
	}
	bench_done(&b);
}

static void a_page_is_cached_with_all_it_allows_and_no_more(void **state)
{
	struct bench b;

	bench_init(&b, 64);
	assert_int_equal(run(&b, 0x3000, 1, 1), 0);
	assert_int_equal(run(&b, 0x3000, 1, 2), -EAGAIN);
	assert_int_equal(run(&b, 0x3000, 1, 3), -EAGAIN);
	assert_int_equal(run(&b, 0x4000, 1, 1), 0);
	assert_int_equal(run(&b, 0x4000, 1, 3), 0);
	assert_int_equal(b.map.asked, 4);
	bench_done(&b);
}

static void pages_of_one_line_push_each_other_out(void **state)
{
	struct bench b;

	bench_init(&b, 2); /* 0x2000 and 0x4000 share a line, 0x1000 has the other */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(run(&b, 0x2000, 16, 3), 0);
		assert_ptr_equal(b.iov.iov[0].iov_base, at(0x102000));
		assert_int_equal(run(&b, 0x4000, 16, 3), 0);
		assert_ptr_equal(b.iov.iov[0].iov_base, at(0x904000));
		assert_int_equal(run(&b, 0x1000, 16, 3), 0);
		assert_ptr_equal(b.iov.iov[0].iov_base, at(0x101000));
	}
	assert_int_equal(b.map.asked, 11);
	bench_done(&b);
}

/* A cached page outlives the map behind it until it is forgotten, and no longer. */
static void forgetting_is_exact(void **state)
{
	static const struct {
		struct range range;
		bool forgotten[3]; /* of the pages 0x1000, 0x2000, 0x4000 */
	} table[] = {
		{ { 0x1000, 0x1fff }, { true, false, false } },
		{ { 0x1fff, 0x1fff }, { true, false, false } },
		{ { 0x1fff, 0x2000 }, { true, true, false } },
		{ { 0x3000, 0x3fff }, { false, false, false } },
		{ { 0x3000, 0x4000 }, { false, false, true } },
		{ { 0x5000, UINT64_MAX }, { false, false, false } },
		{ { 0x4fff, UINT64_MAX }, { false, false, true } },
		{ { 0, 0xfff }, { false, false, false } },
		/* the lines of others */
		{ { 0x9000, 0xafff }, { false, false, false } },
		{ { 0, 0x1000 }, { true, false, false } },
		{ { 0, UINT64_MAX }, { true, true, true } },
	};
	static const uint64_t pages[] = { 0x1000, 0x2000, 0x4000 };
	static const unsigned lines[] = { 8, 1024 };

	for (size_t i = 0; i < COUNT(table) * COUNT(lines); i++) {
		size_t t = i / COUNT(lines);
		struct bench b;

		bench_init(&b, lines[i % COUNT(lines)]);
		for (size_t p = 0; p < COUNT(pages); p++)
			assert_int_equal(run(&b, pages[p], 1, 3), 0);
		b.map.n = 0;
		translate_forget(&b.view, table[t].range);
		for (size_t p = 0; p < COUNT(pages); p++)
			assert_int_equal(run(&b, pages[p], 1, 3),
			                 table[t].forgotten[p] ? -EAGAIN : 0);
		bench_done(&b);
	}
}

static void attaching_forgets_everything(void **state)
{
	struct bench b;

	bench_init(&b, 8);
	assert_int_equal(run(&b, 0x1000, 1, 3), 0);
	b.map.n = 0;
	translate_view_attach(&b.view, map_walk, &b.map, true);
	assert_int_equal(run(&b, 0x1000, 1, 3), -EAGAIN);
	bench_done(&b);
}

/* Every other byte elsewhere: nothing joins. */
static bool comb_walk(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	*ret = (struct walk){ at(0x100000 + 2 * addr), 0, 1, 3 };
	return true;
}

static void the_list_of_pieces_is_bounded_and_reused(void **state)
{
	struct bench b;
	struct iovec *iov;

	bench_init(&b, 0);
	translate_view_attach(&b.view, comb_walk, NULL, true);
	assert_int_equal(run(&b, 0, IOV_LIST_MAX, 1), 0);
	assert_int_equal(b.iov.n, IOV_LIST_MAX);
	iov = b.iov.iov;
	assert_int_equal(run(&b, 0, IOV_LIST_MAX + 1, 1), -E2BIG);
	assert_int_equal(run(&b, 0, UINT64_MAX, 1), -E2BIG);
	assert_int_equal(run(&b, 0, 100, 1), 0);
	assert_ptr_equal(b.iov.iov, iov);
	bench_done(&b);
}

/* Behind the view an IOTLB, beside it a plain array of pages. */
struct page {
	uint64_t ptr; /* 0: none */
	uint8_t perm;
};

#define RANDOM_PAGES 48u

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void change(struct translate_view *view, struct iotlb *tlb, struct page *oracle,
                   uint64_t *seed)
{
	uint64_t r = random_next(seed);
	unsigned first = r % RANDOM_PAGES, n = 1 + (r >> 8) % 4;
	uint8_t perm = (r >> 16) % 4;
	uint64_t ptr = 0x1000000 + ((r >> 20) % 3) * 0x1000000 + first * PAGE;
	struct range range = { first * PAGE, (first + n) * PAGE - 1 };
	bool lost = perm ? iotlb_update(tlb, range, at(ptr), perm) : iotlb_invalidate(tlb, range);

	for (unsigned i = first; i < first + n && i < RANDOM_PAGES; i++)
		oracle[i] = (struct page){ perm ? ptr + (i - first) * PAGE : 0, perm };
	if (first + n > RANDOM_PAGES)
		iotlb_invalidate(tlb, (struct range){ RANDOM_PAGES * PAGE, UINT64_MAX });
	/* Only what was lost needs to be forgotten. */
	if (lost)
		translate_forget(view, range);
}

static bool oracle_allows(const struct page *oracle, uint64_t addr, uint64_t len, uint8_t perm)
{
	for (uint64_t p = addr / PAGE; p <= (addr + len - 1) / PAGE; p++)
		if (p >= RANDOM_PAGES || (oracle[p].perm & perm) != perm)
			return false;
	return true;
}

/* The pieces, byte by byte of the range's pages, lead where the oracle says. */
static void pieces_match(const struct bench *b, const struct page *oracle, uint64_t addr,
                         uint64_t len)
{
	for (unsigned i = 0; i < b->iov.n; i++) {
		uint64_t base = (uint64_t)(uintptr_t)b->iov.iov[i].iov_base;
		uint64_t n = b->iov.iov[i].iov_len;

		for (uint64_t k = 0; k < n; k += k + 1 < n && n - k > PAGE ? PAGE : 1)
			assert_int_equal(base + k,
			                 oracle[(addr + k) / PAGE].ptr + (addr + k) % PAGE);
		if (i + 1 < b->iov.n)
			assert_int_not_equal(base + n,
			                     (uint64_t)(uintptr_t)b->iov.iov[i + 1].iov_base);
		addr += n;
		len -= n;
	}
	assert_int_equal(len, 0);
}

static void random_changes_of_an_iotlb_show_through_a_view(void **state)
{
	static const unsigned lines[] = { 0, 4, 16, 256 };
	uint64_t seed = 0x2545f4914f6cdd1d;

	for (size_t l = 0; l < COUNT(lines); l++) {
		struct page oracle[RANDOM_PAGES] = { { 0 } };
		struct iotlb *tlb = iotlb_new(1000);
		struct bench b;

		bench_init(&b, lines[l]);
		translate_view_attach(&b.view, iotlb_walk, tlb, true);
		for (int round = 0; round < 5000; round++) {
			uint64_t r, addr, len;
			uint8_t perm;
			int err;

			change(&b.view, tlb, oracle, &seed);
			r = random_next(&seed);
			addr = r % (RANDOM_PAGES * PAGE);
			len = 1 + (r >> 24) % (r >> 40 & 1 ? 64 : 4 * PAGE);
			perm = 1 + (r >> 50) % 3;
			err = run(&b, addr, len, perm);
			if (oracle_allows(oracle, addr, len, perm)) {
				assert_int_equal(err, 0);
				pieces_match(&b, oracle, addr, len);
			} else {
				assert_int_equal(err, -EAGAIN);
				assert_true(b.list.n > 0);
			}
		}
		bench_done(&b);
		iotlb_free(tlb);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_becomes_pieces_and_holes),
		cmocka_unit_test(holes_of_a_final_map_are_faults),
		cmocka_unit_test(either_list_may_be_absent),
		cmocka_unit_test(holes_that_do_not_fit_are_told_of),
		cmocka_unit_test(holes_join_over_calls_but_not_over_the_end),
		cmocka_unit_test(a_whole_page_is_walked_once),
		cmocka_unit_test(a_page_in_parts_is_never_cached),
		cmocka_unit_test(a_page_is_cached_with_all_it_allows_and_no_more),
		cmocka_unit_test(pages_of_one_line_push_each_other_out),
		cmocka_unit_test(forgetting_is_exact),
		cmocka_unit_test(attaching_forgets_everything),
		cmocka_unit_test(the_list_of_pieces_is_bounded_and_reused),
		cmocka_unit_test(random_changes_of_an_iotlb_show_through_a_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
