/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages of requests that are mapped and unmapped, bare: as many bytes in as
 * many messages and calls on two socket pairs between two processes, one of which
 * is on another processor, without a meaning. Each side blocks in recvmsg. Kick and
 * call are there as well, by eventfds, since they decide who waits: nobody asks before
 * the kick, and nothing is unmapped before the call. Of no messages that is all.
 *
 * Thread: one; the other side is a process of its own.
 */
#ifndef BENCH_BLK_BARE_H
#define BENCH_BLK_BARE_H

#include <stdint.h>
#include <sys/types.h>

/* Of what happens together. */
struct bare_config {
	unsigned requests;
	/* Of all of them together, each kind in one call. */
	unsigned misses;
	unsigned updates;
	unsigned invalidations;
};

struct bare {
	struct bare_config config;
	int main_fd, back_fd, kick_fd, call_fd;
	pid_t pid;
};

/* 0 or -errno. */
int bare_start(struct bare *bare, const struct bare_config *config);
void bare_end(struct bare *bare);

/* A contender that is timed: processor time of both sides in ns, for @n requests. */
uint64_t bare_run_cpu(void *opaque, uint64_t n);

#endif
