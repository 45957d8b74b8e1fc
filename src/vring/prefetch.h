/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fetches what the next chains will need into the processor's cache while this
 * one is served: the driver has written it on another processor, so that each
 * first look costs as much as many instructions. Nothing depends on what is read
 * here: all of it is a hint, and is read again, and checked, when its chain is
 * taken.
 *
 * Thread: the ring's worker.
 */
#ifndef VRING_PREFETCH_H
#define VRING_PREFETCH_H

#include "vring/vring.h"

/* Right after a chain was taken. @view: of the addresses in descriptors. */
void vring_prefetch(const struct vring *ring, const struct translate_view *view);

#endif
