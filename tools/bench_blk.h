/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of "vhu bench blk" share: bench_blk.c (life), _options, _open (the
 * connection), _run (the work), _check (what is on the disk), _report.
 */
#ifndef TOOLS_BENCH_BLK_H
#define TOOLS_BENCH_BLK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <vhu/frontend.h>

#include "blk_load.h"
#include "latency.h"
#include "peer.h"

#define BENCH_NAME       "vhu bench blk"
#define BENCH_QUEUES_MAX 64u
#define BENCH_DEPTH_MAX  1024u

enum bench_iommu {
	BENCH_IOMMU_OFF,    /* addresses are guest physical */
	BENCH_IOMMU_STATIC, /* all is mapped once */
	BENCH_IOMMU_STRICT, /* each request is mapped, done, unmapped, reported */
	BENCH_IOMMU_LAZY,   /* each request is mapped, done, reported, some time unmapped */
};

struct bench_options {
	const char *socket_path;
	const char *rw;
	bool random;
	unsigned reads; /* per cent */
	uint32_t bytes; /* of a request */
	uint32_t segment;
	unsigned depth, queues;
	double seconds; /* 0: until size */
	uint64_t size;  /* to be moved; 0: until seconds */
	uint64_t area;  /* of the disk, from its start; 0: all */
	enum bench_iommu iommu;
	enum vhu_iommu_policy policy;
	uint64_t seed;
	int timeout_ms;
	bool verify, poll, json;
	bool silent; /* no live line */
};

/* Counters of what has been done. */
struct bench_work {
	uint64_t requests, failed;
	uint64_t bytes_read, bytes_written;
	double seconds;
	struct latency latency;
	uint64_t own_cpu_ns, peer_cpu_ns;
	uint64_t misses, updates, invalidations;
};

struct bench {
	struct bench_options options;
	volatile sig_atomic_t *stop;

	struct peer peer;
	struct vhu_iommu *iommu;
	struct vhu_guestmem *mem;
	struct vhu_frontend *frontend;
	uint64_t features;
	struct blk_load *loads[BENCH_QUEUES_MAX];
	unsigned n_loads;
	uint64_t sectors; /* of the disk */
	uint64_t blocks;  /* of options.bytes each, that are read and written */

	struct bench_check *check;    /* NULL: nothing is verified */
	uint64_t random;              /* the source of chance */
	uint64_t faults;              /* misses that the IOMMU refused */
	struct vhu_iommu_fault fault; /* the first of them */
	struct bench_work work;       /* what was measured, in all runs */
	uint64_t verified, differing; /* bytes */
	bool fine;                    /* all of it */
};

/* bench_blk_options.c: exits with a usage error, or for --help. */
void bench_blk_parse(int argc, char **argv, struct bench_options *ret);
const char *bench_iommu_name(enum bench_iommu iommu);
const char *bench_policy_name(enum vhu_iommu_policy policy);

/*
 * bench_blk_open.c: from the connection to running queues, and back. 0 or -errno,
 * which was said; bench_blk_close() is due after an error, too.
 */
int bench_blk_open(struct bench *bench);
int bench_blk_stop(struct bench *bench);
void bench_blk_close(struct bench *bench);

/*
 * bench_blk_run.c: fills the area where it is to be verified, measures, reads back
 * what was written. 0; -EINTR: told to stop; or -errno, which was said.
 */
int bench_blk_run(struct bench *bench);

/*
 * What the blocks of the area hold, as far as this process knows. A block is
 * claimed for each request, so that no two requests meet in one.
 */
int bench_check_new(uint64_t blocks, uint32_t bytes, uint64_t seed, struct bench_check **ret);
void bench_check_free(struct bench_check *check);
/* The first block from @block on, around the end, that no request has. */
uint64_t bench_check_claim(struct bench_check *check, uint64_t block);
/* The next content of the block. */
void bench_check_fill(struct bench_check *check, struct blk_slot *slot);
/* A request is done: bytes that are not what they should be, of a read. */
uint64_t bench_check_done(struct bench_check *check, struct blk_slot *slot);

/* bench_blk_report.c */
void bench_blk_report(const struct bench *bench);
void bench_blk_report_json(const struct bench *bench);

#endif
