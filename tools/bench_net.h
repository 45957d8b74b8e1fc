/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of vhu bench net share: bench_net.c (options), bench_net_session.c
 * (life), bench_net_run.c (the work), bench_net_report.c (figures).
 */
#ifndef TOOLS_BENCH_NET_H
#define TOOLS_BENCH_NET_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <vhu/frontend.h>

#include "bench_net_port.h"
#include "latency.h"
#include "peer.h"

enum net_mode { NET_LOOP, NET_TX, NET_RX };
enum net_iommu { NET_OFF, NET_STATIC, NET_STRICT };

struct net_options {
	const char *path;
	bool listen;
	enum net_mode mode;
	enum net_iommu iommu;
	enum vhu_iommu_policy policy;
	unsigned pages;
	uint32_t size; /* of a frame, in bytes */
	double seconds, warmup;
	uint64_t frames; /* 0: as many as there is time for */
	unsigned ring;
	int timeout_ms;
	bool no_mergeable, event_idx, least, no_verify, json;
	bool has_iommu, has_policy; /* they were given */
};

/* Of one phase of the work. */
struct net_counts {
	uint64_t sent, taken; /* by the driver; by the device */
	uint64_t received;
	uint64_t returned;            /* of the received: ours, and not twice */
	uint64_t duplicates;          /* ours, once more */
	uint64_t verified, differing; /* bytes */
	uint64_t bytes_sent, bytes_received;
	uint64_t stalls; /* times that all that was under way was given up as lost */
	double seconds;  /* in which frames were sent; what came later is counted all the same */
	uint64_t own_cpu_ns, peer_cpu_ns;
	struct vhu_frontend_stats stats;
};

struct net_bench {
	const struct net_options *options;
	volatile sig_atomic_t *stop;

	struct vhu_iommu *iommu;
	struct vhu_guestmem *mem;
	struct vhu_frontend *frontend;
	struct net_port *port;
	uint64_t features;
	struct peer peer;

	uint64_t faults;              /* misses that were refused */
	struct vhu_iommu_fault fault; /* the first */

	struct net_counts warmup, counts;
	struct latency latency;
};

#define NET_NAME "vhu bench net"

/* Says what failed and why, but for -EINTR; returns @error. */
int net_say(const struct net_bench *bench, const char *what, int error);

/* bench_net_session.c: 0 or -errno, which was said. Close in any case. */
int net_session_open(struct net_bench *bench);
int net_session_stop(struct net_bench *bench);
void net_session_close(struct net_bench *bench);

/* bench_net_run.c: 0; -EINTR; -errno, which was said. */
int net_run(struct net_bench *bench);

/* bench_net_report.c */
const char *net_mode_name(enum net_mode mode);
const char *net_iommu_name(enum net_iommu iommu);
const char *net_policy_name(enum vhu_iommu_policy policy);
/* Frames that made the way of the mode. */
uint64_t net_frames(const struct net_bench *bench, const struct net_counts *counts);
/* What is not as it should be; NULL: all is well. */
const char *net_fault(const struct net_bench *bench);
uint64_t net_lost(const struct net_bench *bench);
void net_print_table(const struct net_bench *bench);
void net_print_json(const struct net_bench *bench, bool fine);

#endif
