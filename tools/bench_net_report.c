/* SPDX-License-Identifier: BSD-3-Clause */
/* The figures of vhu bench net, as a table or as JSON. */
#include <stdio.h>

#include "bench_net.h"

#define MIB 1048576.0

const char *net_mode_name(enum net_mode mode)
{
	static const char *const names[] = { "loop", "tx", "rx" };

	return names[mode];
}

const char *net_iommu_name(enum net_iommu iommu)
{
	static const char *const names[] = { "off", "static", "strict" };

	return names[iommu];
}

const char *net_policy_name(enum vhu_iommu_policy policy)
{
	static const char *const names[] = { "page", "leaf", "range", "hint", "push" };

	return names[policy];
}

uint64_t net_lost(const struct net_bench *bench)
{
	return bench->options->mode == NET_LOOP ? bench->counts.sent - bench->counts.returned : 0;
}

uint64_t net_frames(const struct net_bench *bench, const struct net_counts *counts)
{
	switch (bench->options->mode) {
	case NET_TX: return counts->taken;
	case NET_RX: return counts->received;
	default: return counts->returned;
	}
}

/* Frames may be lost; they may not be wrong, and they must move. */
const char *net_fault(const struct net_bench *bench)
{
	const struct net_counts *counts = &bench->counts;

	if (counts->differing || bench->warmup.differing)
		return "frames came back that differ from what was sent";
	if (counts->duplicates || bench->warmup.duplicates)
		return "frames came back twice, or were never sent";
	if (bench->faults)
		return "misses were refused";
	if (counts->stats.updates_refused || bench->warmup.stats.updates_refused)
		return "updates were refused";
	if (net_frames(bench, counts))
		return NULL;
	return bench->options->mode == NET_TX   ? "the back-end took no frame"
	       : bench->options->mode == NET_RX ? "the back-end sent no frame"
	                                        : "no frame came back; does the back-end "
	                                          "forward them?";
}

static double rate(uint64_t n, const struct net_counts *counts)
{
	return counts->seconds > 0 ? (double)n / counts->seconds : 0;
}

static uint64_t frames(const struct net_bench *bench)
{
	return net_frames(bench, &bench->counts);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static double per_frame(const struct net_bench *bench, uint64_t n)
{
	return frames(bench) ? (double)n / (double)frames(bench) : 0;
}

static void row(const char *name, uint64_t n, double per_second)
{
	printf("  %-16s %14llu   %.0f /s\n", name, (unsigned long long)n, per_second);
}

static void print_head(const struct net_bench *bench)
{
	const struct net_options *options = bench->options;

	printf("vhost-user-net by %s, mode %s, iommu %s",
	       bench->peer.name[0] ? bench->peer.name : options->path, net_mode_name(options->mode),
	       net_iommu_name(options->iommu));
	if (options->iommu != NET_OFF)
		printf(", policy %s", net_policy_name(options->policy));
	printf(": frames of %u bytes, %u pages, ring of %u, %.1f s\n\n", options->size,
	       options->pages, options->ring, bench->counts.seconds);
}

static void print_loop(const struct net_bench *bench)
{
	const struct net_counts *counts = &bench->counts;
	const struct latency *latency = &bench->latency;

	printf("  %-16s %14llu   %.3f %% of those sent; %llu duplicates\n", "lost",
	       (unsigned long long)net_lost(bench), percent(net_lost(bench), counts->sent),
	       (unsigned long long)counts->duplicates);
	printf("  %-16s %14.1f   p50; p99 %.1f, p99.9 %.1f, most %.1f\n", "round trip, us",
	       latency_quantile(latency, 0.5) / 1e3, latency_quantile(latency, 0.99) / 1e3,
	       latency_quantile(latency, 0.999) / 1e3, (double)latency->most / 1e3);
}

static void print_iommu(const struct net_bench *bench)
{
	const struct net_counts *counts = &bench->counts;

	printf("  %-16s %14llu   %.0f /s; %llu more while warming up\n", "misses",
	       (unsigned long long)counts->stats.misses, rate(counts->stats.misses, counts),
	       (unsigned long long)bench->warmup.stats.misses);
	row("updates", counts->stats.updates, rate(counts->stats.updates, counts));
	row("invalidations", counts->stats.invalidations,
	    rate(counts->stats.invalidations, counts));
	printf("  %-16s %14llu   misses of what is not mapped, from the beginning\n", "refused",
	       (unsigned long long)bench->faults);
}

void net_print_table(const struct net_bench *bench)
{
	const struct net_counts *counts = &bench->counts;
	const struct net_options *options = bench->options;

	print_head(bench);
	if (options->mode != NET_RX) {
		row("frames sent", counts->sent, rate(counts->sent, counts));
		row("frames taken", counts->taken, rate(counts->taken, counts));
	}
	if (options->mode != NET_TX) {
		row("frames received", counts->received, rate(counts->received, counts));
		printf("  %-16s %14.1f   MiB/s\n", "received",
		       rate(counts->bytes_received, counts) / MIB);
	}
	if (options->mode == NET_LOOP)
		print_loop(bench);
	printf("  %-16s %14llu   %llu differ\n", "verified bytes",
	       (unsigned long long)counts->verified, (unsigned long long)counts->differing);
	printf("  %-16s %14.1f   of this process; of the back-end ", "CPU ns per frame",
	       per_frame(bench, counts->own_cpu_ns));
	if (bench->peer.has_clock)
		printf("%.1f\n", per_frame(bench, counts->peer_cpu_ns));
	else
		printf("not known\n");
	if (options->iommu != NET_OFF)
		print_iommu(bench);
}

static void print_json_latency(const struct latency *latency)
{
	printf("\"round_trip_us\": {\"p50\": %.2f, \"p99\": %.2f, \"p99.9\": %.2f, \"most\": "
	       "%.2f}, ",
	       latency_quantile(latency, 0.5) / 1e3, latency_quantile(latency, 0.99) / 1e3,
	       latency_quantile(latency, 0.999) / 1e3, (double)latency->most / 1e3);
}

static void print_json_counts(const struct net_bench *bench)
{
	const struct net_counts *counts = &bench->counts;

	printf("\"sent\": %llu, \"taken\": %llu, \"received\": %llu, \"lost\": %llu, "
	       "\"duplicates\": %llu, \"stalls\": %llu, ",
	       (unsigned long long)counts->sent, (unsigned long long)counts->taken,
	       (unsigned long long)counts->received, (unsigned long long)net_lost(bench),
	       (unsigned long long)counts->duplicates, (unsigned long long)counts->stalls);
	printf("\"verified_bytes\": %llu, \"differing_bytes\": %llu, ",
	       (unsigned long long)counts->verified, (unsigned long long)counts->differing);
	printf("\"misses\": %llu, \"updates\": %llu, \"invalidations\": %llu, \"refused\": %llu, "
	       "\"warmup_misses\": %llu, ",
	       (unsigned long long)counts->stats.misses, (unsigned long long)counts->stats.updates,
	       (unsigned long long)counts->stats.invalidations, (unsigned long long)bench->faults,
	       (unsigned long long)bench->warmup.stats.misses);
}

void net_print_json(const struct net_bench *bench, bool fine)
{
	const struct net_options *options = bench->options;
	const struct net_counts *counts = &bench->counts;

	printf("{\"peer\": \"%s\", \"mode\": \"%s\", \"iommu\": \"%s\", "
	       "\"policy\": \"%s\", \"size\": %u, \"pages\": %u, \"ring\": %u, \"seconds\": %.3f, ",
	       bench->peer.name, net_mode_name(options->mode), net_iommu_name(options->iommu),
	       net_policy_name(options->policy), options->size, options->pages, options->ring,
	       counts->seconds);
	print_json_counts(bench);
	if (options->mode == NET_LOOP)
		print_json_latency(&bench->latency);
	printf("\"sent_per_s\": %.0f, \"frames_per_s\": %.0f, \"own_cpu_ns\": %.1f, ",
	       rate(counts->sent, counts), rate(frames(bench), counts),
	       per_frame(bench, counts->own_cpu_ns));
	if (bench->peer.has_clock)
		printf("\"peer_cpu_ns\": %.1f, ", per_frame(bench, counts->peer_cpu_ns));
	else
		printf("\"peer_cpu_ns\": null, ");
	printf("\"ok\": %s}\n", fine ? "true" : "false");
}
