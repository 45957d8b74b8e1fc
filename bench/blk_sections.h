/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sections of the bench program blk; each measures and reports its figures
 * under the name BLK_BENCH. 0, or not if they are not complete.
 *
 * Thread: one; floors have helpers.
 */
#ifndef BENCH_BLK_SECTIONS_H
#define BENCH_BLK_SECTIONS_H

int bench_blk_files(void);  /* files, against the best of another back-end */
int bench_blk_memory(void); /* a disk in memory, polled; what an IOMMU adds */
int bench_blk_iommu(void);  /* mapping and unmapping for each request */
int bench_blk_answer(void); /* what a miss waits for the front-end */

#endif
