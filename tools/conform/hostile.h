/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the cases of hostile rings begin and end with. The back-end may end the
 * connection, give up the ring or fail the request; it may not write where it was
 * not told to, and serves who comes next.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_HOSTILE_H
#define CONFORM_HOSTILE_H

#include "blk.h"
#include "io.h"

#define HOSTILE_NUM 16u
#define HOSTILE_FAR UINT64_C(0x7fff00000000) /* in no region */

/* A connection and the ring whose buffers the device reads; with @tables, indirect ones. */
struct ring *hostile_begin(struct front *f, bool tables);
/* A header to be read, where a request of a disk begins; for a frame it is as good. */
struct span hostile_header(struct front *f);
/* Kicks, and expects what is said above. */
void hostile_kick(struct front *f);
/* The same of the chain at @head, which is shown first. */
void hostile_show(struct front *f, uint16_t head);

#endif
