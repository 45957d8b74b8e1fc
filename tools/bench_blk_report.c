/* SPDX-License-Identifier: BSD-3-Clause */
/* What "vhu bench blk" says at its end. */
#include <inttypes.h>
#include <stdio.h>

#include "bench_blk.h"

#define MIB 1048576.0
#define US  1e3

static const double parts[] = { 0.5, 0.9, 0.99, 0.999, 0.9999 };
static const char *const part_names[] = { "p50", "p90", "p99", "p99.9", "p99.99" };

#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

static double per_second(const struct bench *bench, double amount)
{
	return bench->work.seconds > 0 ? amount / bench->work.seconds : 0;
}

static double per_request(const struct bench *bench, uint64_t amount)
{
	return bench->work.requests ? (double)amount / (double)bench->work.requests : 0;
}

static void print_title(const struct bench *bench)
{
	const struct bench_options *options = &bench->options;

	printf("%s, %u bytes, %u in flight in %s%u queue%s, ", options->rw, options->bytes,
	       options->depth, options->queues > 1 ? "each of " : "", options->queues,
	       options->queues > 1 ? "s" : "");
	if (options->iommu == BENCH_IOMMU_OFF)
		printf("no IOMMU");
	else
		printf("IOMMU %s, policy %s", bench_iommu_name(options->iommu),
		       bench_policy_name(options->policy));
	printf(", %s\n\n", options->poll ? "polled" : "woken by calls");
}

static void print_peer(const struct bench *bench)
{
	const struct peer *peer = &bench->peer;

	printf("  back-end       %s", peer->name[0] ? peer->name : "not known");
	if (peer->pid)
		printf(" (process %d)", (int)peer->pid);
	printf(", a disk of %" PRIu64 " MiB\n", bench->sectors >> 11);
}

static void print_latency(const struct latency *latency)
{
	printf("  latency        ");
	for (unsigned i = 0; i < N_PARTS; i++)
		printf("%s %.1f  ", part_names[i], latency_quantile(latency, parts[i]) / US);
	printf("most %.1f  mean %.1f us\n", (double)latency->most / US, latency_mean(latency) / US);
}

static void print_cpu(const struct bench *bench)
{
	const struct bench_work *work = &bench->work;

	printf("  CPU a request  front-end %.2f us, back-end ",
	       per_request(bench, work->own_cpu_ns) / US);
	if (bench->peer.has_clock)
		printf("%.2f us\n", per_request(bench, work->peer_cpu_ns) / US);
	else
		printf("not known\n");
}

void bench_blk_report(const struct bench *bench)
{
	const struct bench_work *work = &bench->work;

	print_title(bench);
	print_peer(bench);
	printf("  requests       %" PRIu64 " in %.2f s, %" PRIu64 " failed\n", work->requests,
	       work->seconds, work->failed);
	printf("  IOPS           %.0f\n", per_second(bench, (double)work->requests));
	printf("  throughput     %.1f MiB/s read, %.1f MiB/s written\n",
	       per_second(bench, (double)work->bytes_read) / MIB,
	       per_second(bench, (double)work->bytes_written) / MIB);
	print_latency(&work->latency);
	print_cpu(bench);
	if (bench->options.iommu != BENCH_IOMMU_OFF)
		printf("  per request    %.3f misses, %.3f updates, %.3f invalidations; "
		       "%" PRIu64 " misses refused\n",
		       per_request(bench, work->misses), per_request(bench, work->updates),
		       per_request(bench, work->invalidations), bench->faults);
	if (bench->options.verify)
		printf("  verified       %" PRIu64 " bytes, %" PRIu64 " differ\n", bench->verified,
		       bench->differing);
}

static void print_options_json(const struct bench *bench)
{
	const struct bench_options *options = &bench->options;

	printf("\"rw\": \"%s\", \"bs\": %u, \"segment\": %u, \"iodepth\": %u, "
	       "\"num_queues\": %u, ",
	       options->rw, options->bytes, options->segment, options->depth, options->queues);
	printf("\"iommu\": \"%s\", \"policy\": \"%s\", \"poll\": %s, \"seed\": %" PRIu64 ", ",
	       bench_iommu_name(options->iommu), bench_policy_name(options->policy),
	       options->poll ? "true" : "false", options->seed);
	printf("\"peer\": \"%s\", \"peer_pid\": %d, ", bench->peer.name, (int)bench->peer.pid);
}

static void print_latency_json(const struct latency *latency)
{
	printf("\"latency_us\": {");
	for (unsigned i = 0; i < N_PARTS; i++)
		printf("\"%s\": %.3f, ", part_names[i], latency_quantile(latency, parts[i]) / US);
	printf("\"max\": %.3f, \"mean\": %.3f}, ", (double)latency->most / US,
	       latency_mean(latency) / US);
}

void bench_blk_report_json(const struct bench *bench)
{
	const struct bench_work *work = &bench->work;

	printf("{");
	print_options_json(bench);
	printf("\"requests\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"seconds\": %.6f, ",
	       work->requests, work->failed, work->seconds);
	printf("\"iops\": %.1f, \"read_mib_s\": %.2f, \"write_mib_s\": %.2f, ",
	       per_second(bench, (double)work->requests),
	       per_second(bench, (double)work->bytes_read) / MIB,
	       per_second(bench, (double)work->bytes_written) / MIB);
	print_latency_json(&work->latency);
	printf("\"front_end_cpu_us\": %.4f, ", per_request(bench, work->own_cpu_ns) / US);
	if (bench->peer.has_clock)
		printf("\"back_end_cpu_us\": %.4f, ", per_request(bench, work->peer_cpu_ns) / US);
	else
		printf("\"back_end_cpu_us\": null, ");
	printf("\"misses\": %" PRIu64 ", \"updates\": %" PRIu64 ", \"invalidations\": %" PRIu64
	       ", \"refused\": %" PRIu64 ", ",
	       work->misses, work->updates, work->invalidations, bench->faults);
	printf("\"verified_bytes\": %" PRIu64 ", \"differing_bytes\": %" PRIu64 ", \"ok\": %s}\n",
	       bench->verified, bench->differing, bench->fine ? "true" : "false");
}
