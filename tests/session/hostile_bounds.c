/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of very many pieces: every page of a buffer stands for the same page
 * of memory, so that no two can be joined. They may not cost more time than a
 * request may be long, nor memory once they are done.
 */
#include <malloc.h>

#include "stage.h"
#include "support/raw_ring.h"
#include "vring/chain.h"

#define BUFFER_PAGES  1024u
#define BUFFER        (BUFFER_PAGES * PAGE)
#define INDIRECT_DESC VHU_BIT(28)
/* What a request may have of pieces, twice, and something for the ring. */
#define LOOKUPS_MOST 40000u

static struct rig *open_rig(void **state)
{
	const struct rig_config *threads = *state;
	struct rig_config config = { .n_workers = threads->n_workers };
	struct rig *rig = rig_new(&config);

	rig_open(rig, PLATFORM | INDIRECT_DESC);
	for (unsigned i = 0; i < BUFFER_PAGES; i++)
		assert_int_equal(rig_update(rig, DATA_IOVA(i), PAGE, DATA_GPA(0), PERM_RW), 0);
	return rig;
}

static void start(struct raw_ring *ring, struct rig *rig, uint16_t num)
{
	struct rig_ring_config config = stage_ring_config(0);
	uint64_t bytes;

	config.num = num;
	bytes = rig_ring_bytes(&config);
	assert_int_equal(rig_update(rig, config.iova, bytes, config.gpa, PERM_RW), 0);
	raw_ring_start(ring, rig, 0, &config);
}

static uint64_t lookups(struct rig *rig)
{
	struct vhu_stats stats = rig_stats(rig);

	return stats.iotlb_hits + stats.iotlb_walks;
}

/* 1024 such buffers in one table, behind a chain that waits for a page. */
static void a_chain_is_looked_up_no_further_than_it_may_be_long(void **state)
{
	struct rig *rig = open_rig(state);
	const unsigned n = CHAIN_LIMIT_MAX;
	const uint64_t table = UINT64_C(0x180000);
	struct ring_desc *descs = rig_ptr(rig, table, n * sizeof(*descs));
	struct raw_ring ring;
	struct rig_miss miss;
	uint64_t before;

	start(&ring, rig, CHAIN_LIMIT_MAX);
	assert_int_equal(rig_update(rig, table, n * sizeof(*descs), table, PERM_RW), 0);
	for (unsigned i = 0; i < n; i++)
		descs[i] = (struct ring_desc){ DATA_IOVA(0), BUFFER, DESC_NEXT, (uint16_t)(i + 1) };
	descs[n - 1] = (struct ring_desc){ DATA_IOVA(0), 64, DESC_WRITE, 0 };
	raw_ring_desc(&ring, 0, (struct ring_desc){ DATA_IOVA(BUFFER_PAGES), 64, DESC_WRITE, 0 });
	raw_ring_desc(&ring, 1,
	              (struct ring_desc){ table, n * (uint32_t)sizeof(*descs), DESC_INDIRECT, 0 });
	before = lookups(rig);
	raw_ring_show(&ring, 0);
	raw_ring_show(&ring, 1);
	raw_ring_kick(&ring);
	miss = stage_expect_miss(rig, DATA_IOVA(BUFFER_PAGES), PERM_WRITE);
	assert_in_range(lookups(rig) - before, 0, LOOKUPS_MOST);
	/* It fails, and its status byte says so. */
	before = lookups(rig);
	assert_int_equal(rig_update(rig, DATA_IOVA(BUFFER_PAGES), PAGE, DATA_GPA(1), PERM_RW), 0);
	rig_answer(rig, &miss, 0);
	raw_ring_wait(&ring, 2);
	assert_int_equal(rig_refused(rig), 1);
	assert_in_range(lookups(rig) - before, 0, LOOKUPS_MOST);
	rig_free(rig);
}

/* One request after the other, each in another slot of the ring. */
static void what_a_large_request_needs_is_given_back(void **state)
{
	struct rig *rig = open_rig(state);
	const uint16_t n = 128;
	struct raw_ring ring;
	size_t before;

	start(&ring, rig, n);
	for (uint16_t i = 0; i < n; i++)
		raw_ring_desc(&ring, i, (struct ring_desc){ DATA_IOVA(0), BUFFER, DESC_WRITE, 0 });
	raw_ring_show(&ring, 0);
	raw_ring_kick(&ring);
	raw_ring_wait(&ring, 1);
	before = mallinfo2().uordblks;
	for (uint16_t i = 1; i < n; i++) {
		raw_ring_show(&ring, i);
		raw_ring_kick(&ring);
		raw_ring_wait(&ring, (uint16_t)(i + 1));
	}
	assert_true(mallinfo2().uordblks < before + (n - 1) * BUFFER_PAGES);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_chain_is_looked_up_no_further_than_it_may_be_long),
		RIG_TEST_WITH(what_a_large_request_needs_is_given_back, rig_one_thread),
	};

	return cmocka_run_group_tests_name("session/hostile_bounds", tests, NULL, NULL);
}
