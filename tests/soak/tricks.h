/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end may say and the public API has no words for: invalidations of
 * what stays mapped, updates that nobody asked for, rings that move or change
 * their eventfds while they run, another back-channel. Each ends the run if the
 * back-end does not agree.
 *
 * Thread: the driver's.
 */
#ifndef SOAK_TRICKS_H
#define SOAK_TRICKS_H

#include <stdint.h>

#include <vhu/frontend.h>

#include "base/range.h"

void trick_invalidate(struct vhu_frontend *frontend, struct range range);
/* What the IOMMU has of the page, unasked for. */
void trick_push(struct vhu_frontend *frontend, uint64_t iova, uint8_t perm);
void trick_move_ring(struct vhu_frontend *frontend, unsigned index,
                     const struct vhu_vring_setup *setup);
void trick_set_kick(struct vhu_frontend *frontend, unsigned index, int fd);
void trick_set_call(struct vhu_frontend *frontend, unsigned index, int fd);
void trick_replace_back_channel(struct vhu_frontend *frontend);
/* From here on memory is shared by whole tables. */
void trick_forget_slots(struct vhu_frontend *frontend);

#endif
