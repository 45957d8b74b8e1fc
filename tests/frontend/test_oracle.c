/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random maps, unmaps and accesses of a device, by one thread or two while a third
 * runs the front-end, by every policy: the device reaches what is mapped, and
 * nothing else, to the byte.
 *
 * VHU_TEST_SECONDS: how long in all; 15. VHU_TEST_SEED: from where.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "world.h"

static const char *const policies[] = { "page", "leaf", "range", "hint", "push" };

/* Of the ring, and how many entries the back-end may keep. */
static const struct {
	uint64_t features;
	unsigned entries;
} kinds[] = { { 0, 0 }, { VHU_BIT(28) | VHU_BIT(29), 0 }, { VHU_BIT(29), 8 } };

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t number(const char *name, int64_t otherwise)
{
	const char *text = getenv(name);

	return text ? atoll(text) : otherwise;
}

struct worker {
	struct zone *zone;
	int64_t end_ms;
	pthread_t thread;
};

static void *work(void *opaque)
{
	struct worker *worker = opaque;

	do {
		for (unsigned i = 0; i < 100; i++)
			zone_step(worker->zone);
	} while (now_ms() < worker->end_ms);
	return NULL;
}

static void *serve(void *opaque)
{
	struct world *world = opaque;

	while (!atomic_load(&world->over))
		WORLD_MUST(!vhu_frontend_run(world->frontend, -1));
	return NULL;
}

static void say(const struct world *world)
{
	struct vhu_frontend_stats frontend;
	struct vhu_iommu_stats iommu;
	struct zone_stats sum = { 0 };

	for (unsigned i = 0; i < world->config.zones; i++) {
		const struct zone_stats *stats = &world->zones[i]->stats;

		sum.maps += stats->maps;
		sum.unmaps += stats->unmaps;
		sum.accesses += stats->accesses;
		sum.refused += stats->refused;
		sum.bytes += stats->bytes;
		WORLD_MUST(stats->accesses > stats->refused);
	}
	vhu_frontend_stats(world->frontend, &frontend);
	vhu_iommu_stats(world->iommu, &iommu);
	print_message("  %-5s %u zones: %llu maps, %llu unmaps, %llu accesses (%llu refused), "
	              "%llu misses, %llu updates, %llu invalidations, %llu flushes\n",
	              policies[world->config.policy], world->config.zones,
	              (unsigned long long)sum.maps, (unsigned long long)sum.unmaps,
	              (unsigned long long)sum.accesses, (unsigned long long)sum.refused,
	              (unsigned long long)frontend.misses, (unsigned long long)frontend.updates,
	              (unsigned long long)frontend.invalidations,
	              (unsigned long long)iommu.flushes);
}

static void run_one(const struct world_config *config, uint64_t seed, int64_t ms)
{
	struct world *world = world_new(config, seed);
	struct worker workers[ZONES_MAX];
	const int64_t end = now_ms() + ms;
	pthread_t server;

	if (config->threads)
		WORLD_MUST(!pthread_create(&server, NULL, serve, world));
	for (unsigned i = 0; i < config->zones; i++) {
		workers[i] = (struct worker){ world->zones[i], end, 0 };
		if (config->threads)
			WORLD_MUST(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
		else
			work(&workers[i]);
	}
	for (unsigned i = 0; i < config->zones && config->threads; i++)
		pthread_join(workers[i].thread, NULL);
	if (config->threads) {
		atomic_store(&world->over, true);
		vhu_frontend_wake(world->frontend);
		pthread_join(server, NULL);
	}
	say(world);
	world_free(world);
}

static void run_all(unsigned zones, bool threads)
{
	const unsigned n = ARRAY_SIZE(policies) * ARRAY_SIZE(kinds);
	const int64_t ms = number("VHU_TEST_SECONDS", 15) * 1000 / (2 * n);
	uint64_t seed = (uint64_t)number("VHU_TEST_SEED", 1);

	for (unsigned i = 0; i < n; i++) {
		const struct world_config config = {
			.policy = (enum vhu_iommu_policy)(i % ARRAY_SIZE(policies)),
			.zones = zones,
			.threads = threads,
			.features = kinds[i / ARRAY_SIZE(policies)].features,
			.iotlb_entries = kinds[i / ARRAY_SIZE(policies)].entries,
		};

		run_one(&config, seed++, ms);
	}
}

static void E1_the_device_reaches_what_is_mapped_and_nothing_else(void **state)
{
	run_all(1, false);
}

static void E4_two_threads_map_and_unmap_while_a_third_serves_misses(void **state)
{
	run_all(2, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E1_the_device_reaches_what_is_mapped_and_nothing_else),
		cmocka_unit_test(E4_two_threads_map_and_unmap_while_a_third_serves_misses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
