/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thing done by a device that moves data, whatever it is: *out*, the device
 * reads memory of ours; *in*, it writes what it has read by the last out. A disk
 * writes and reads a few sectors; a net device sends a frame, which comes back if
 * the back-end echoes (needs.echo), and a received one is of our own making. Cases
 * that are to hold for both kinds use this; those that look into requests of a disk
 * use blk.h.
 *
 * Bytes of a frame that a switch may change, its addresses, are compared with
 * nothing.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_IO_H
#define CONFORM_IO_H

#include "front.h"

/* Rings that such a device needs, with all parts mapped and missed as usual. */
void io_start(struct front *f);
/* The same as @setup has it; a second ring is laid out likewise, its iova chosen. */
void io_start_with(struct front *f, const struct ring_setup *setup);
/* GET_VRING_BASE of each. */
void io_stop(struct front *f);

/* The ring whose used index tells that the device has read, or has written. */
unsigned io_out_ring(const struct front *f);
unsigned io_in_ring(const struct front *f);

/*
 * Submits and kicks. Lengths add up to a multiple of 512, at most 4096 bytes for a
 * net device. io_wait() is told by io_expect_done().
 */
void io_out(struct front *f, const struct span *spans, unsigned n);
void io_in(struct front *f, const struct span *spans, unsigned n);

/* The last one is done; false: not within @ms. Misses are served meanwhile. */
bool io_wait(struct front *f, int ms);
/* Done, and well; done, and not well or not at all, as a refused access is. */
void io_expect_done(struct front *f);
void io_expect_failed(struct front *f);

/* What the device has read by the last out is what is in @spans now. */
void io_expect_saw(struct front *f, const struct span *spans, unsigned n);
/* What an in has written into @spans is what the last out read from @of. */
void io_expect_same(struct front *f, const struct span *spans, unsigned n, const struct span *of,
                    unsigned n_of);

/* An out and an in of memory that is given freely work. */
void io_expect_works(struct front *f);

#endif
