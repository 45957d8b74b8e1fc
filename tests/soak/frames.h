/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory shared with the back-end, by frames of 4 KiB. A frame that nobody
 * has is full of its canary, a pattern that is new each time: what a back-end
 * writes where it may not any more is found when the frame is taken next, or by
 * a sweep.
 *
 * Thread: the driver's.
 */
#ifndef SOAK_FRAMES_H
#define SOAK_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vhu/frontend.h>

#define FRAME          4096u
#define FRAMES_REGIONS 4u
#define FRAMES_NONE    UINT32_MAX

/* Region 0 is firm: it is shared for as long as a session lasts. */
#define FRAMES_FIRM 0u

struct frames;

struct frames *frames_new(void);
void frames_free(struct frames *frames);

const struct vhu_region *frames_regions(const struct frames *frames);
unsigned frames_region_of(uint32_t frame);
/* Only frames of regions that are shared are taken. */
void frames_set_shared(struct frames *frames, unsigned region, bool shared);
bool frames_is_shared(const struct frames *frames, unsigned region);

/* A frame that was free, still full of its canary; FRAMES_NONE: there are too few. */
uint32_t frames_take(struct frames *frames, bool firm);
/* Firm ones that follow each other. */
uint32_t frames_take_run(struct frames *frames, unsigned n);
/* From here on nobody may write to it. */
void frames_give(struct frames *frames, uint32_t frame);
/* All of them, whoever had them. */
void frames_give_all(struct frames *frames);
/* Looks at all that are free. */
void frames_sweep(const struct frames *frames);

void *frames_ptr(const struct frames *frames, uint32_t frame);
uint64_t frames_gpa(uint32_t frame);
uint64_t frames_uva(const struct frames *frames, uint32_t frame);
/* What the frame was full of when it was taken. */
uint64_t frames_canary(const struct frames *frames, uint32_t frame);
/* Maps it at an address of the caller's, in place of what is there. */
void frames_map_at(const struct frames *frames, uint32_t frame, void *where);

#endif
