/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything at once, in an order that only a seed knows: requests, misses and
 * refusals, invalidations, rings that stop and start, memory that goes and comes,
 * back-channels that are replaced. What counts is that nobody is stuck or hurt;
 * what each of these means is tested elsewhere.
 */
#include <stdlib.h>

#include "stage.h"

#define QUEUES 2u
#define PAGES  24u
#define STEPS  1500u
#define SPACE  12u /* requests under way of a ring of 16 with two descriptors each */
#define REGION (UINT64_C(4) << 20)
#define AWAY   16u /* pages from here on lie in the second region */

struct storm {
	struct rig *rig;
	unsigned short seed[3];
	unsigned under_way[QUEUES];
	bool region_gone;
};

static unsigned pick(struct storm *storm, unsigned n)
{
	return (unsigned)(nrand48(storm->seed) >> 8) % n;
}

static uint64_t gpa_of(unsigned page)
{
	return page < AWAY ? DATA_GPA(page) : REGION + page * PAGE;
}

static void map_all(struct storm *storm)
{
	struct rig *rig = storm->rig;

	for (unsigned page = 0; page < PAGES; page++)
		rig_map(rig, DATA_IOVA(page), PAGE, gpa_of(page), PERM_RW);
	for (unsigned q = 0; q < QUEUES; q++) {
		struct rig_ring_config config = stage_ring_config(q);

		rig_map(rig, config.iova, rig_ring_bytes(&config), config.gpa, PERM_RW);
	}
}

static bool is_away(const struct storm *storm, uint64_t iova)
{
	return storm->region_gone && iova >= DATA_IOVA(AWAY) && iova < DATA_IOVA(PAGES);
}

/* An update may have to wait for what goes through an entry that was evicted. */
static bool grant(struct rig *rig, const struct rig_miss *miss)
{
	rig_release(rig);
	return rig_grant(rig, miss);
}

/* Takes a miss, if there is one, and gives or refuses what it wants, or says it did. */
static void serve_one(struct storm *storm)
{
	struct rig *rig = storm->rig;
	struct rig_miss miss;
	bool granted = false;

	if (!rig_try_miss(rig, &miss, 0))
		return;
	/* A status byte that is refused breaks its ring, and nothing would come back. */
	if (miss.perm != PERM_READ || pick(storm, 20))
		granted = !is_away(storm, miss.iova) && grant(rig, &miss);
	if (!granted)
		rig_answer(rig, &miss, pick(storm, 2));
}

static void take_used(struct storm *storm, unsigned q)
{
	uint32_t written;
	void *token;

	while (storm->under_way[q] && rig_try_used(storm->rig, q, &token, &written))
		storm->under_way[q]--;
}

/* Every other page is a queue's, so that they do not write over each other. */
static void ask(struct storm *storm, unsigned q)
{
	unsigned page = QUEUES * pick(storm, PAGES / QUEUES) + q;
	unsigned other = QUEUES * pick(storm, AWAY / QUEUES) + q;
	const struct vring_buffer buffers[] = {
		{ DATA_IOVA(page) + pick(storm, 4000), 64, false },
		{ DATA_IOVA(other) + pick(storm, 2000), 2000, true },
	};

	take_used(storm, q);
	if (2 * storm->under_way[q] + 2 > SPACE)
		return;
	rig_add(storm->rig, q, buffers, 2, storm);
	storm->under_way[q]++;
	if (pick(storm, 3))
		rig_kick(storm->rig, q);
}

static void start(struct storm *storm, unsigned q)
{
	struct rig_ring_config config = stage_ring_config(q);

	storm->under_way[q] = 0;
	rig_ring_start(storm->rig, q, &config);
}

static void restart(struct storm *storm, unsigned q)
{
	rig_release(storm->rig);
	rig_ring_stop(storm->rig, q);
	start(storm, q);
}

static void change_region(struct storm *storm)
{
	struct rig *rig = storm->rig;
	struct message message;
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(rig->mem, &n);

	rig_release(rig);
	message_init(&message, storm->region_gone ? VHU_FE_ADD_MEM_REG : VHU_FE_REM_MEM_REG);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = (struct vhu_memory_region){
		.gpa = REGION,
		.size = REGION,
		.uva = rig_user_address(rig, REGION),
	};
	message.fds[0] = regions[1].fd;
	message.n_fds = storm->region_gone;
	assert_int_equal(rig_call(rig, &message), 0);
	storm->region_gone = !storm->region_gone;
}

static void invalidate(struct storm *storm)
{
	static const uint64_t sizes[] = { 1, 64, PAGE, 3 * PAGE, 64 * PAGE };
	uint64_t size = sizes[pick(storm, ARRAY_SIZE(sizes))];

	rig_release(storm->rig);
	if (pick(storm, 10) == 0)
		assert_int_equal(rig_invalidate(storm->rig, 0, 0), 0);
	else if (pick(storm, 5) == 0)
		assert_int_equal(rig_invalidate(storm->rig, RING_IOVA(pick(storm, QUEUES)), size),
		                 0);
	else
		assert_int_equal(rig_invalidate(storm->rig, DATA_IOVA(pick(storm, PAGES)), size),
		                 0);
}

/* The old one is not seen to end, which would fail what waits. */
static void replace_back(struct rig *rig)
{
	int old = rig->back;

	rig->back = -1;
	rig_open_back(rig);
	fd_close(&old);
}

static void step(struct storm *storm)
{
	unsigned q = pick(storm, QUEUES), page = pick(storm, AWAY);

	switch (pick(storm, 40)) {
	case 0: restart(storm, q); break;
	case 1: change_region(storm); break;
	case 2: replace_back(storm->rig); break;
	case 3: rig_ring_enable(storm->rig, q, false); break;
	case 4: rig_ring_enable(storm->rig, q, true); break;
	case 5: rig_hold(storm->rig); break;
	case 6: rig_release(storm->rig); break;
	case 7:
	case 8:
	case 9: invalidate(storm); break;
	case 10:
		rig_release(storm->rig);
		assert_int_equal(
			rig_update(storm->rig, DATA_IOVA(page), PAGE, gpa_of(page), pick(storm, 4)),
			0);
		break;
	case 11: rig_kick(storm->rig, q); break;
	default:
		if (pick(storm, 2))
			ask(storm, q);
		else
			serve_one(storm);
	}
}

/* When the storm is over all that is under way comes back. */
static void settle(struct storm *storm)
{
	struct rig *rig = storm->rig;

	rig_release(rig);
	if (storm->region_gone)
		change_region(storm);
	replace_back(rig);
	for (unsigned q = 0; q < QUEUES; q++) {
		rig_ring_enable(rig, q, true);
		rig_kick(rig, q);
		while (storm->under_way[q]) {
			uint32_t written;

			rig_wait_used(rig, q, &written);
			storm->under_way[q]--;
		}
	}
}

static void nobody_is_stuck_or_hurt(void **state)
{
	for (unsigned short seed = 0; seed < 4; seed++) {
		struct storm storm = { .seed = { seed, 1, 2 } };

		storm.rig = stage_new(state, (struct rig_config){
						     .n_regions = 2,
						     .iotlb_entries = seed % 2 ? 8 : 0,
					     });
		map_all(&storm);
		for (unsigned q = 0; q < QUEUES; q++)
			start(&storm, q);
		for (unsigned i = 0; i < STEPS; i++)
			step(&storm);
		settle(&storm);
		/* And in the middle of it all: */
		rig_hold(storm.rig);
		for (unsigned i = 0; i < 8; i++)
			ask(&storm, i % QUEUES);
		rig_free(storm.rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { EACH(nobody_is_stuck_or_hurt) };

	return cmocka_run_group_tests_name("session/hostile_storm", tests, NULL, NULL);
}
