/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A block back-end as a process of its own, on other processors than the bench, and
 * a driver of it as a contender: vhu-blk of the same build, or the peer it is
 * measured against.
 *
 * Thread: one.
 */
#ifndef BENCH_BLK_PEER_H
#define BENCH_BLK_PEER_H

#include <sys/types.h>

#include "pairs.h"

#include "../tools/bench_blk.h"

#define BLK_BENCH "blk"
#define BLK_ARGS  16u

struct blk_peer {
	char folder[64], path[80];
	pid_t pid;
	struct bench bench;
	bool open;
	int error; /* the first of a run; its figures say nothing */

	/* Of all runs since blk_peer_open(). */
	uint64_t requests, own_cpu_ns, peer_cpu_ns, misses, updates, invalidations;
};

/* Keeps this process on one processor, and those it will start on the others. */
void blk_bench_start(void);
/* In such a one that is no program of its own. */
void blk_go_elsewhere(void);

/*
 * Starts a program; @args end with NULL, and a %s in one of them becomes the path of
 * the socket. @program without a slash is searched in PATH. 0 or -errno; -ENOENT:
 * there is none.
 */
int blk_peer_start(struct blk_peer *peer, const char *program, const char *const *args);
void blk_peer_end(struct blk_peer *peer);

/* Where vhu-blk of this build is. */
const char *blk_daemon(void);
bool blk_is_installed(const char *program);

/* Random reads of 4 KiB, 32 in flight, polled, over all of the disk. */
struct bench_options blk_options_default(void);
/* A session with the back-end, and its end. 0 or -errno. */
int blk_peer_open(struct blk_peer *peer, const struct bench_options *options);
void blk_peer_close(struct blk_peer *peer);

/* What a contender does @n times: requests, by the time they take, all together; */
uint64_t blk_run(void *opaque, uint64_t n);
/* by the median of the time of each; */
uint64_t blk_run_median(void *opaque, uint64_t n);
/* by the processor time of both processes. */
uint64_t blk_run_cpu(void *opaque, uint64_t n);

#endif
