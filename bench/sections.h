/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sections of the bench program iotlb; each measures and reports its figures
 * under the name IOTLB_BENCH. 0, or not if they are not complete.
 *
 * Thread: one; those of readers.c and of the socket have helpers.
 */
#ifndef BENCH_SECTIONS_H
#define BENCH_SECTIONS_H

#define IOTLB_BENCH "iotlb"

int bench_lookup(void);     /* what a look-up costs */
int bench_change(void);     /* what an update and an invalidation cost the session */
int bench_readers(void);    /* several at a time */
int bench_invalidate(void); /* over a socket, to the acknowledgement */
int bench_miss(void);       /* a request that misses, until it is done */
int bench_evict(void);      /* what is thrown out at the bound */
int bench_size(void);       /* memory, and what merges */

#endif
