/* SPDX-License-Identifier: BSD-3-Clause */
#include "frames.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "pattern.h"
#include "record.h"

#define PER_REGION UINT32_C(256)
#define N_FRAMES   (FRAMES_REGIONS * PER_REGION)
/* Looks for a frame before there are said to be none. */
#define TRIES 64u

struct frames {
	struct vhu_guestmem *mem;
	const struct vhu_region *regions;
	bool shared[FRAMES_REGIONS];
	bool taken[N_FRAMES];
	uint64_t canary[N_FRAMES];
};

static void fill(struct frames *frames, uint32_t frame)
{
	frames->canary[frame] = random_next();
	pattern_fill(frames->canary[frame], 0, frames_ptr(frames, frame), FRAME);
}

struct frames *frames_new(void)
{
	struct frames *frames = calloc(1, sizeof(*frames));
	uint64_t sizes[FRAMES_REGIONS];
	unsigned n;

	for (unsigned i = 0; i < FRAMES_REGIONS; i++)
		sizes[i] = PER_REGION * FRAME;
	if (!frames || vhu_guestmem_new(sizes, FRAMES_REGIONS, &frames->mem))
		record_fail("there is no memory for frames");
	frames->regions = vhu_guestmem_regions(frames->mem, &n);
	frames_give_all(frames);
	return frames;
}

void frames_free(struct frames *frames)
{
	vhu_guestmem_free(frames->mem);
	free(frames);
}

const struct vhu_region *frames_regions(const struct frames *frames)
{
	return frames->regions;
}

unsigned frames_region_of(uint32_t frame)
{
	return frame / PER_REGION;
}

void frames_set_shared(struct frames *frames, unsigned region, bool shared)
{
	frames->shared[region] = shared;
}

bool frames_is_shared(const struct frames *frames, unsigned region)
{
	return frames->shared[region];
}

static void check(const struct frames *frames, uint32_t frame)
{
	const uint8_t *bytes = frames_ptr(frames, frame);
	unsigned at = 0;

	if (pattern_is(frames->canary[frame], 0, bytes, FRAME))
		return;
	while (pattern_is(frames->canary[frame], at, bytes + at, 1))
		at++;
	record_fail("somebody has written to frame %u, which is free, at byte %u: %02x %02x %02x "
	            "%02x",
	            frame, at, bytes[at], bytes[(at + 1) % FRAME], bytes[(at + 2) % FRAME],
	            bytes[(at + 3) % FRAME]);
}

uint32_t frames_take(struct frames *frames, bool firm)
{
	for (unsigned i = 0; i < TRIES; i++) {
		uint32_t frame = random_below(firm ? PER_REGION : N_FRAMES);

		if (frames->taken[frame] || !frames->shared[frames_region_of(frame)])
			continue;
		check(frames, frame);
		frames->taken[frame] = true;
		return frame;
	}
	return FRAMES_NONE;
}

uint32_t frames_take_run(struct frames *frames, unsigned n)
{
	unsigned found = 0;

	for (uint32_t frame = 0; frame < PER_REGION; frame++) {
		found = frames->taken[frame] ? 0 : found + 1;
		if (found < n)
			continue;
		for (unsigned i = 0; i < n; i++) {
			check(frames, frame - i);
			frames->taken[frame - i] = true;
		}
		return frame - (n - 1);
	}
	return FRAMES_NONE;
}

void frames_give(struct frames *frames, uint32_t frame)
{
	if (!frames->taken[frame])
		record_fail("frame %u is given twice", frame);
	frames->taken[frame] = false;
	fill(frames, frame);
}

void frames_give_all(struct frames *frames)
{
	frames_sweep(frames);
	for (uint32_t frame = 0; frame < N_FRAMES; frame++) {
		if (!frames->taken[frame] && frames->canary[frame])
			continue;
		frames->taken[frame] = false;
		fill(frames, frame);
	}
}

void frames_sweep(const struct frames *frames)
{
	for (uint32_t frame = 0; frame < N_FRAMES; frame++)
		if (!frames->taken[frame] && frames->canary[frame])
			check(frames, frame);
}

void *frames_ptr(const struct frames *frames, uint32_t frame)
{
	return vhu_guestmem_ptr(frames->mem, frames_gpa(frame), FRAME);
}

uint64_t frames_gpa(uint32_t frame)
{
	return (uint64_t)frame * FRAME;
}

uint64_t frames_uva(const struct frames *frames, uint32_t frame)
{
	return (uintptr_t)frames_ptr(frames, frame);
}

uint64_t frames_canary(const struct frames *frames, uint32_t frame)
{
	return frames->canary[frame];
}

void frames_map_at(const struct frames *frames, uint32_t frame, void *where)
{
	const struct vhu_region *region = &frames->regions[frames_region_of(frame)];
	off_t offset = (off_t)(region->offset + (frame % PER_REGION) * UINT64_C(4096));

	if (mmap(where, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, region->fd,
	         offset) == MAP_FAILED)
		record_fail("frame %u can't be mapped", frame);
}
