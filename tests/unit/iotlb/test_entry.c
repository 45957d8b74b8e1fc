/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "iotlb/entry.h"
#include "iotlb/iotlb.h"

static bool memory_is_short;

/* The pool's only allocation. */
void *aligned_alloc(size_t alignment, size_t size)
{
	void *ptr;

	if (memory_is_short || posix_memalign(&ptr, alignment, size))
		return NULL;
	return ptr;
}

static struct entry *take(struct entry_pool *pool)
{
	return entry_take(pool, (struct range){ 0, 0 }, 0, 3);
}

static void unuse(struct entry *entry)
{
	atomic_store(&entry->used, false);
}

static void pool_counts_its_entries(void **state)
{
	struct entry_pool pool;
	struct entry *entry;

	assert_int_equal(entry_pool_init(&pool, 3), 0);
	assert_int_equal(pool.total, 3);
	entry = take(&pool);
	take(&pool);
	assert_int_equal(pool.n_spare, 1);
	entry_give(&pool, entry);
	assert_int_equal(pool.n_spare, 2);
	assert_int_equal(entry_pool_grow(&pool, 2), 0);
	assert_int_equal(pool.total, 5);
	assert_int_equal(pool.n_spare, 4);
	entry_pool_reset(&pool);
	assert_int_equal(pool.total, 3);
	assert_int_equal(pool.n_spare, 3);
	entry_pool_done(&pool);
}

static void a_chunk_is_of_limited_size(void **state)
{
	struct entry_pool pool;

	assert_int_equal(entry_pool_init(&pool, UINT64_MAX / 2), 0);
	assert_true(pool.total <= 4096);
	entry_pool_done(&pool);
}

static void F2_victim_is_the_one_not_used(void **state)
{
	struct entry_pool pool;
	struct entry *entries[4];

	assert_int_equal(entry_pool_init(&pool, 8), 0);
	for (int i = 0; i < 4; i++)
		entries[i] = take(&pool);
	unuse(entries[2]);
	assert_ptr_equal(entry_pool_victim(&pool, NULL), entries[2]);
	/* The hand has taken the mark from 0 and 1 on its way; 3 still has it. */
	entry_touch(entries[0]);
	assert_ptr_equal(entry_pool_victim(&pool, NULL), entries[1]);
	entry_pool_done(&pool);
}

static void F2_victim_is_never_the_one_to_keep(void **state)
{
	struct entry_pool pool;
	struct entry *a, *b;

	assert_int_equal(entry_pool_init(&pool, 8), 0);
	a = take(&pool);
	b = take(&pool);
	for (int i = 0; i < 10; i++) {
		unuse(b);
		assert_ptr_equal(entry_pool_victim(&pool, b), a);
		entry_touch(a);
	}
	entry_pool_done(&pool);
}

/* And in bounded time: not all marks are taken on the way. */
static void F2_victim_is_found_though_all_are_used(void **state)
{
	struct entry_pool pool;
	static struct entry *entries[5 * 1024];
	unsigned n = 0, used = 0;

	assert_int_equal(entry_pool_init(&pool, 1024), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(entry_pool_grow(&pool, 1024), 0);
	while (pool.n_spare)
		entries[n++] = take(&pool);
	assert_int_equal(n, 5 * 1024);
	assert_non_null(entry_pool_victim(&pool, NULL));
	for (unsigned i = 0; i < n; i++)
		used += atomic_load(&entries[i]->used);
	assert_true(used >= 4 * 1024);
	entry_pool_done(&pool);
}

static void page_update(struct iotlb *tlb, uint64_t page)
{
	struct range range = { page << 12, (page << 12) + 0xfff };

	/* Every other page: nothing merges. */
	iotlb_update(tlb, range, (char *)(uintptr_t)(0x100000 + (page << 13)), 3);
}

static void F2_memory_shortage_lowers_the_bound(void **state)
{
	struct iotlb *tlb = iotlb_new(UINT64_C(1) << 20);
	struct iotlb_stats stats, later;
	struct walk walk;

	assert_non_null(tlb);
	for (uint64_t page = 0; page < 500; page++)
		page_update(tlb, page);
	memory_is_short = true;
	for (uint64_t page = 500; page < 5000; page++) {
		page_update(tlb, page);
		assert_true(iotlb_lookup(tlb, page << 12, 3, &walk));
	}
	assert_true(iotlb_check(tlb));
	iotlb_stats(tlb, &stats);
	assert_true(stats.entries >= 500 && stats.entries < 5000);
	assert_int_equal(stats.entries + stats.evicted, 5000);
	/* A split at that bound still works. */
	assert_true(iotlb_invalidate(tlb, (struct range){ (4999 << 12) + 16, (4999 << 12) + 31 }));
	assert_true(iotlb_check(tlb));
	memory_is_short = false;
	page_update(tlb, 6000);
	iotlb_stats(tlb, &later);
	assert_true(later.entries <= stats.entries);
	iotlb_free(tlb);
}

static void new_without_memory_is_null(void **state)
{
	memory_is_short = true;
	assert_null(iotlb_new(16));
	memory_is_short = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_counts_its_entries),
		cmocka_unit_test(a_chunk_is_of_limited_size),
		cmocka_unit_test(F2_victim_is_the_one_not_used),
		cmocka_unit_test(F2_victim_is_never_the_one_to_keep),
		cmocka_unit_test(F2_victim_is_found_though_all_are_used),
		cmocka_unit_test(F2_memory_shortage_lowers_the_bound),
		cmocka_unit_test(new_without_memory_is_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
