/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to map and unmap memory for each request: requests a second of a
 * disk in memory whose rings are polled; and the processor time of both sides,
 * where they sleep, against the bare exchange of the messages.
 */
#include <stdio.h>
#include <string.h>

#include "blk_bare.h"
#include "blk_peer.h"
#include "blk_sections.h"
#include "figures.h"
#include "results.h"

#define MEMORY "--memory=256M"
#define POLL   "--poll-us=1000"
#define SLEEP  "--poll-us=0"
#define US     1e-3

enum { OFF, HINT, PUSH, LAZY, N };
/* Contenders for processor time. */
enum { WITHOUT, EACH, MESSAGES, KICKS, N_CPU };

static const struct mode {
	const char *name;
	enum bench_iommu iommu;
	enum vhu_iommu_policy policy;
} modes[N] = {
	{ "no IOMMU", BENCH_IOMMU_OFF, VHU_IOMMU_PAGE },
	{ "strict, hint", BENCH_IOMMU_STRICT, VHU_IOMMU_HINT },
	{ "strict, push", BENCH_IOMMU_STRICT, VHU_IOMMU_PUSH },
	{ "lazy, hint", BENCH_IOMMU_LAZY, VHU_IOMMU_HINT },
};

static const struct bar cpu_bar = { BAR_MOST, 1.5 };

static int start(struct blk_peer *peer, bool poll)
{
	const char *const args[] = { "--socket-path=%s", MEMORY, "--num-queues=1",
		                     poll ? POLL : SLEEP, NULL };

	return blk_peer_start(peer, blk_daemon(), args);
}

static int connect_mode(struct blk_peer *peer, const struct mode *mode, bool poll)
{
	struct bench_options options = blk_options_default();

	options.iommu = mode->iommu;
	options.policy = mode->policy;
	options.poll = poll;
	return blk_peer_open(peer, &options);
}

static int measure_speed(struct blk_peer *peers)
{
	struct contender contenders[N];
	static const struct figure figures[] = {
		{ "mapped each: strict, hint", HINT, OFF, .speed = true, .unit = "us",
		  .scale = US },
		{ "mapped each: strict, push", PUSH, OFF, .speed = true, .unit = "us",
		  .scale = US },
		{ "mapped each: lazy, hint", LAZY, OFF, .speed = true, .unit = "us", .scale = US },
	};

	for (unsigned i = 0; i < N; i++)
		contenders[i] = (struct contender){ modes[i].name, blk_run, &peers[i], true };
	return figures_measure(BLK_BENCH, contenders, N, figures,
	                       sizeof(figures) / sizeof(figures[0]));
}

/*
 * As many messages as were sent for as many requests as went together; without the
 * few misses of what was pushed and had not arrived yet.
 */
static struct bare_config messages_of(const struct blk_peer *peer, const struct mode *mode)
{
	bool pushed = mode->policy == VHU_IOMMU_PUSH;
	double requests = (double)peer->requests;
	double together = requests / (double)(peer->invalidations ? peer->invalidations : 1);

	return (struct bare_config){
		.requests = (unsigned)(together + 0.5),
		.misses = pushed ? 0 : (unsigned)((double)peer->misses / requests * together + 0.5),
		.updates = (unsigned)((double)peer->updates / requests * together + 0.5),
		.invalidations = 1,
	};
}

/* What an IOMMU adds to requests, over what its messages add to kicks and calls. */
static struct spread ratios_of(const struct turns *turns)
{
	double ratios[PAIRS];

	for (unsigned i = 0; i < PAIRS; i++)
		ratios[i] = (turns->ns[EACH][i] - turns->ns[WITHOUT][i]) /
		            (turns->ns[MESSAGES][i] - turns->ns[KICKS][i]);
	return spread_of(ratios, PAIRS);
}

static int report(const struct mode *mode, const struct turns *turns, const struct spread *spread,
                  unsigned repetitions)
{
	char name[96];

	snprintf(name, sizeof(name), "mapped each: %s, CPU of both sides, less off", mode->name);
	return result_add(&(struct result){
		.bench = BLK_BENCH,
		.name = name,
		.value = (turns_ns(turns, EACH).median - turns_ns(turns, WITHOUT).median) * US,
		.unit = "us",
		.against = "bare messages",
		.spread = spread,
		.bar = cpu_bar,
		.repetitions = repetitions,
	});
}

static struct spread compare(const struct mode *mode, const struct contender *contenders,
                             struct turns *turns, unsigned *ret_repetitions)
{
	struct spread spread;

	for (*ret_repetitions = 0;; ++*ret_repetitions) {
		pairs_turns(contenders, N_CPU, pairs_seconds(), turns);
		spread = ratios_of(turns);
		if (*ret_repetitions == REPETITIONS_MAX ||
		    bar_judge(cpu_bar, &spread) != VERDICT_NOISY)
			break;
	}
	printf("  %s: off %.2f us, %.2f us; bare messages %.2f us, kicks and calls alone %.2f us\n",
	       mode->name, turns_ns(turns, WITHOUT).median * US, turns_ns(turns, EACH).median * US,
	       turns_ns(turns, MESSAGES).median * US, turns_ns(turns, KICKS).median * US);
	return spread;
}

static int measure_cpu(struct blk_peer *off, struct blk_peer *each, const struct mode *mode)
{
	struct bare messages = { .pid = -1 }, kicks = { .pid = -1 };
	const struct contender contenders[N_CPU] = {
		[WITHOUT] = { "off", blk_run_cpu, off, true },
		[EACH] = { mode->name, blk_run_cpu, each, true },
		[MESSAGES] = { "bare messages", bare_run_cpu, &messages, true },
		[KICKS] = { "bare kicks", bare_run_cpu, &kicks, true },
	};
	struct bare_config config;
	unsigned repetitions;
	struct spread spread;
	struct turns turns;
	int err;

	blk_run(each, 20000);
	if (each->error || !each->requests)
		return each->error;
	config = messages_of(each, mode);
	printf("  %s: %u requests together: %u misses, %u updates, 1 invalidation\n", mode->name,
	       config.requests, config.misses, config.updates);
	err = bare_start(&messages, &config);
	if (!err)
		err = bare_start(&kicks, &(struct bare_config){ .requests = config.requests });
	if (!err) {
		spread = compare(mode, contenders, &turns, &repetitions);
		err = report(mode, &turns, &spread, repetitions);
	}
	bare_end(&messages);
	bare_end(&kicks);
	return err;
}

static int run_all(struct blk_peer *peers, bool poll)
{
	int err = 0;

	for (unsigned i = 0; i < N && !err; i++)
		err = start(&peers[i], poll);
	for (unsigned i = 0; i < N && !err; i++)
		err = connect_mode(&peers[i], &modes[i], poll);
	if (err)
		fprintf(stderr, "blk: iommu: %s\n", strerror(-err));
	else if (poll)
		err = measure_speed(peers);
	for (unsigned i = HINT; i <= PUSH && !poll && !err; i++)
		err = measure_cpu(&peers[OFF], &peers[i], &modes[i]);
	for (unsigned i = 0; i < N; i++) {
		err |= peers[i].error;
		blk_peer_end(&peers[i]);
	}
	return err;
}

int bench_blk_iommu(void)
{
	static struct blk_peer peers[N];
	int err;

	memset(peers, 0, sizeof(peers));
	err = run_all(peers, true);
	memset(peers, 0, sizeof(peers));
	return err | run_all(peers, false);
}
