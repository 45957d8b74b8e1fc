/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data moved through a device IOTLB, for disks and network devices alike, where io.h
 * supposes too much: a frame is dropped by right if there is no translation for the
 * buffer it should go to, so that what the device is to write needs to be tried again
 * and again, and what a case is about must be all that is not known yet.
 *
 * work_start() therefore makes everything known that a request needs beside its data:
 * rings, headers, the status byte, and what is read back into. From then on misses
 * are of the case's own pages.
 *
 *	out  the device reads the spans: a disk writes them, a frame is sent
 *	in   it writes 512 bytes of a known pattern into them
 *
 * Nothing here waits unless it says so. Misses are served while something is waited
 * for, by the case's hook and by the maps.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_WORK_H
#define CONFORM_WORK_H

#include "front.h"

#define WORK_BYTES 512u

/* Of a case's row: what one can't do without that moves data so. */
#define WORK_NEEDS                                                         \
	{                                                                  \
		.features = FRONT_IOMMU, .device = DEVICE_IO, .echo = true \
	}

/* Bit 33 and a connection; and besides rings, with all of the above known. */
void work_open(struct front *f);
void work_start(struct front *f);
/* The same, and WORK_BYTES of a page that is not known. */
struct span work_start_page(struct front *f);
/* A connection that is there, and rings as the setup has them (NULL: as usual). */
void work_start_rings(struct front *f, const struct ring_setup *setup);
/* A page that is refused; and after work_start(). */
struct span work_unmapped(struct front *f);
struct span work_start_unmapped(struct front *f);
/* Of such a page: it is granted with @perm from now on, when it is asked for. */
void work_map(struct front *f, const struct span *span, uint8_t perm);
/* What work_start() makes known is known again: after a flush. */
void work_warm_up(struct front *f);
/* The rings' own pages are told, unasked. */
void work_push_rings(struct front *f);

/* The rings in which an out, an in is made. */
unsigned work_out_ring(const struct front *f);
unsigned work_in_ring(const struct front *f);

void work_out(struct front *f, const struct span *spans, unsigned n);
void work_in(struct front *f, const struct span *spans, unsigned n);
/*
 * Up to WORK_BATCH spans of WORK_BYTES, each a request of its own, all shown to the
 * device in one step. A frame is made of the first WORK_SMALL bytes.
 */
#define WORK_SMALL 128u
#define WORK_BATCH 8u
void work_out_batch(struct front *f, const struct span *spans, unsigned n);
void work_in_batch(struct front *f, const struct span *spans, unsigned n);
/*
 * Of the batch's @i-th out, WORK_SMALL bytes of what the device has read, in *@ret; false:
 * that can't be seen, the frame was dropped.
 */
bool work_batch_saw(struct front *f, unsigned i, struct span *ret);
/* For a network device: uses up buffers that were left for frames that did not come. */
void work_settle(struct front *f);
/* For a network device: a frame arrives, for which it may have no room. */
void work_nudge(struct front *f);

/* Waits until the oldest is done, and takes it; false: not within @ms. */
bool work_out_done(struct front *f, int ms);
bool work_in_done(struct front *f, int ms);
/* It is done, and well. */
void work_expect_out(struct front *f);
void work_expect_in(struct front *f);
/* A disk has said that the last request went well; of a frame nothing is said. */
bool work_went_well(const struct front *f);
/* The last request has failed, or not been done at all, as befits a refused access. */
void work_expect_failed(struct front *f);

/* What the last out has read, and the last in has written. */
void work_expect_saw(struct front *f, const struct span *spans, unsigned n);
void work_expect_filled(struct front *f, const struct span *spans, unsigned n);
/* Out and what it saw, again if a frame got lost. */
void work_expect_reads(struct front *f, const struct span *spans, unsigned n);
/* The same of an in. */
void work_expect_writes(struct front *f, const struct span *spans, unsigned n);
/* Both, of memory that is new. */
void work_expect_works(struct front *f);

/* The pattern an in brings, WORK_BYTES of it; @skip: of its first bytes that may differ. */
const char *work_pattern(const struct front *f, unsigned *ret_skip);

/* A hook: misses are recorded in f->misses and not answered. */
enum front_answer work_hold(struct front *f, const struct front_miss *miss);
/* Answers those recorded since the @from-th, in order, and holds no more. */
void work_release(struct front *f, unsigned from);
/*
 * An out whose misses are held. Awaits @misses of them, @ms at the most; the number of the
 * first.
 */
unsigned work_out_held(struct front *f, const struct span *spans, unsigned n, unsigned misses,
                       int ms);
/* Until @n misses have come in all, or @ms have passed. */
void work_await(struct front *f, unsigned n, int ms);
/* Serves what comes for @ms, whatever comes. */
void work_linger(struct front *f, int ms);
/* How many different pages of the span were asked for since the @from-th miss. */
unsigned work_pages_missed(const struct front *f, const struct span *span, unsigned from);

/* New memory for the span's pages: maps are changed, what it holds is copied. Tells nobody. */
struct span work_move(struct front *f, const struct span *span);

#endif
