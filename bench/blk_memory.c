/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk in memory whose rings are polled: what vhu-blk itself costs, what an IOMMU
 * whose mappings stay adds to that, and what the machine takes at the least.
 */
#include <stdio.h>
#include <string.h>

#include "blk_floor.h"
#include "blk_peer.h"
#include "blk_sections.h"
#include "figures.h"
#include "results.h"

#define MEMORY "--memory=256M"
#define POLL   "--poll-us=1000"

/* On the reference machine, in ns a request: 1.2 and 4 million a second. */
#define MEMORY_NS (1e9 / 1.2e6)
#define NULL_NS   (1e9 / 4e6)
/* Where that is more than the machine can do: so much of the floor's speed. */
#define MEMORY_OF_COPY 0.8
#define NULL_OF_RINGS  0.6

enum { OFF, STATIC, NOTHING, COPY, RINGS, N };

static const char *const names[N] = { "no IOMMU", "IOMMU static", "engine null", "memcpy",
	                              "two rings" };

static int start(struct blk_peer *peer, const char *engine, enum bench_iommu iommu)
{
	const char *const args[] = { "--socket-path=%s", MEMORY, POLL,
		                     "--num-queues=1",   engine, NULL };
	struct bench_options options = blk_options_default();
	int error = blk_peer_start(peer, blk_daemon(), args);

	options.iommu = iommu;
	if (!error)
		error = blk_peer_open(peer, &options);
	if (error)
		return error;
	/* Memory that was never written is one page of zeros, which any cache holds. */
	peer->bench.options.random = false;
	peer->bench.options.reads = 0;
	blk_run(peer, peer->bench.blocks);
	peer->bench.options.random = true;
	peer->bench.options.reads = 100;
	return peer->error;
}

static double greater(double a, double b)
{
	return a > b ? a : b;
}

static int measure(struct blk_peer *peers, struct floor *floor)
{
	const struct contender contenders[N] = {
		{ names[OFF], blk_run, &peers[OFF], true },
		{ names[STATIC], blk_run, &peers[STATIC], true },
		{ names[NOTHING], blk_run, &peers[NOTHING], true },
		{ names[COPY], floor_copy, floor, false },
		{ names[RINGS], floor_rings, floor, true },
	};
	struct turns turns;
	double copy, rings;

	/* What the machine can do decides what is asked for. */
	pairs_turns(&contenders[COPY], 2, pairs_seconds_brief(), &turns);
	copy = turns_ns(&turns, 0).median;
	rings = turns_ns(&turns, 1).median;
	const struct figure figures[] = {
		{ "memory, polled: copy of 4 KiB", COPY, FIGURE_ALONE },
		{ "memory, polled: two rings", RINGS, FIGURE_ALONE },
		{ "memory, polled: read, no IOMMU", OFF, COPY, .speed = true },
		{ "memory, polled: read, static, a request",
		  STATIC,
		  FIGURE_ALONE,
		  { BAR_MOST, greater(MEMORY_NS, copy / MEMORY_OF_COPY) } },
		{ "memory, polled: read, static", STATIC, OFF, { BAR_LEAST, 0.97 }, .speed = true },
		{ "memory, polled: engine null, static, a request",
		  NOTHING,
		  FIGURE_ALONE,
		  { BAR_MOST, greater(NULL_NS, rings / NULL_OF_RINGS) } },
		{ "memory, polled: engine null, static", NOTHING, RINGS, .speed = true },
	};

	return figures_measure(BLK_BENCH, contenders, N, figures,
	                       sizeof(figures) / sizeof(figures[0]));
}

int bench_blk_memory(void)
{
	static struct blk_peer peers[NOTHING + 1];
	struct floor *floor = NULL;
	int err;

	memset(peers, 0, sizeof(peers));
	err = floor_new(&floor);
	if (!err)
		err = start(&peers[OFF], "--engine=auto", BENCH_IOMMU_OFF);
	if (!err)
		err = start(&peers[STATIC], "--engine=auto", BENCH_IOMMU_STATIC);
	if (!err)
		err = start(&peers[NOTHING], "--engine=null", BENCH_IOMMU_STATIC);
	if (err)
		fprintf(stderr, "blk: memory: %s\n", strerror(-err));
	else
		err = measure(peers, floor);
	for (unsigned i = 0; i <= NOTHING; i++) {
		err |= peers[i].error;
		blk_peer_end(&peers[i]);
	}
	floor_free(floor);
	return err;
}
