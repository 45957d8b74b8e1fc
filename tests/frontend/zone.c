/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define AT_ONCE     8u /* reads in flight */
#define SEGMENTS    3u
#define SEGMENT_MAX 3000u
#define BOUNCE_EACH (SEGMENTS * SEGMENT_MAX + 1)

void world_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

#define MUST WORLD_MUST

/* xorshift64 */
static uint64_t next_random(struct zone *zone)
{
	zone->random ^= zone->random << 13;
	zone->random ^= zone->random >> 7;
	zone->random ^= zone->random << 17;
	return zone->random;
}

static uint32_t below(struct zone *zone, uint32_t n)
{
	return (uint32_t)((next_random(zone) >> 20) % n);
}

struct span {
	uint32_t start, size;
};

/* As drivers do, whole pages, or anything. */
static struct span random_span(struct zone *zone, uint32_t space, uint32_t max)
{
	uint32_t kind = below(zone, 4);
	struct span span = { .start = below(zone, space), .size = 1 + below(zone, max) };

	if (kind == 0) {
		span.start &= ~4095u;
		span.size = 4096;
	} else if (kind == 1) {
		span.size = 1 + span.size % 64;
	}
	if (span.size > space - span.start)
		span.size = space - span.start;
	return span;
}

/* What has called back is free. */
static void reap(struct zone *zone)
{
	for (unsigned i = 0; i < LATE_MAX; i++) {
		struct late *late = &zone->lates[i];
		int state = atomic_load(&late->state);

		if (state == LATE_FREE || state == LATE_PENDING)
			continue;
		MUST(state == 0);
		for (uint32_t at = late->start; at < late->start + late->size; at++)
			if (zone->bytes[at].late == i + 1)
				zone->bytes[at] = (struct byte){ 0 };
		atomic_store(&late->state, LATE_FREE);
	}
}

static void done(void *opaque, int error)
{
	struct late *late = opaque;

	atomic_store(&late->state, error);
}

static struct late *take_late(struct zone *zone, struct span span)
{
	for (unsigned i = 0; i < LATE_MAX; i++) {
		struct late *late = &zone->lates[i];

		if (atomic_load(&late->state) != LATE_FREE)
			continue;
		late->start = span.start;
		late->size = span.size;
		for (uint32_t at = span.start; at < span.start + span.size; at++)
			if (zone->bytes[at].perm && !zone->bytes[at].late)
				zone->bytes[at].late = (uint8_t)(i + 1);
		atomic_store(&late->state, LATE_PENDING);
		return late;
	}
	return NULL;
}

/*
 * A byte that is being taken back is free at once if nobody holds it, which the
 * oracle does not know; so both answers will do.
 */
static void map(struct zone *zone)
{
	struct span span = random_span(zone, ZONE_SIZE, 9000);
	uint32_t to = below(zone, DATA_SIZE);
	uint8_t perm = (uint8_t)(1 + below(zone, 3));
	bool taken = false, late = false;
	int result;

	if (below(zone, 2))
		to &= ~4095u;
	if (span.size > DATA_SIZE - to)
		span.size = DATA_SIZE - to;
	for (uint32_t i = 0; i < span.size; i++) {
		taken |= zone->bytes[span.start + i].perm && !zone->bytes[span.start + i].late;
		late |= zone->bytes[span.start + i].late;
	}
	result = vhu_iommu_map(zone->world->iommu, zone->iova + span.start, span.size,
	                       (uintptr_t)zone->data + to, perm);
	zone->stats.maps++;
	if (taken || late)
		MUST(result == -EEXIST || result == -EBUSY || (late && !taken && !result));
	else
		MUST(!result);
	for (uint32_t i = 0; i < span.size && !result; i++)
		zone->bytes[span.start + i] = (struct byte){ .offset = to + i, .perm = perm };
}

static void clear(struct zone *zone, struct span span)
{
	memset(&zone->bytes[span.start], 0, span.size * sizeof(zone->bytes[0]));
}

static void unmap_now(struct zone *zone, struct span span)
{
	MUST(!vhu_iommu_unmap(zone->world->iommu, zone->iova + span.start, span.size));
	clear(zone, span);
}

static void unmap_batch(struct zone *zone)
{
	struct vhu_iova_range ranges[4];
	struct span spans[4];
	unsigned n = 1 + below(zone, 4);

	for (unsigned i = 0; i < n; i++) {
		spans[i] = random_span(zone, ZONE_SIZE, 4000);
		ranges[i] = (struct vhu_iova_range){ zone->iova + spans[i].start, spans[i].size };
	}
	MUST(!vhu_iommu_unmap_batch(zone->world->iommu, ranges, n));
	for (unsigned i = 0; i < n; i++)
		clear(zone, spans[i]);
}

static void unmap_late(struct zone *zone, struct span span, bool lazy)
{
	const struct vhu_iova_range range = { zone->iova + span.start, span.size };
	struct late *late = take_late(zone, span);
	int result;

	if (!late)
		return;
	if (lazy)
		result = vhu_iommu_unmap_lazy(zone->world->iommu, range.iova, range.size, done,
		                              late);
	else
		result = vhu_iommu_unmap_async(zone->world->iommu, &range, 1, done, late);
	MUST(!result);
}

static void unmap(struct zone *zone)
{
	struct span span = random_span(zone, ZONE_SIZE, 9000);

	zone->stats.unmaps++;
	switch (below(zone, 8)) {
	case 0: unmap_batch(zone); break;
	case 1:
	case 2: unmap_late(zone, span, false); break;
	case 3:
	case 4: unmap_late(zone, span, true); break;
	case 5: MUST(!vhu_iommu_flush(zone->world->iommu)); break;
	default: unmap_now(zone, span); break;
	}
}

/* What the device is to do, and what should come of it. */
struct access {
	struct span spans[SEGMENTS];
	unsigned n;
	uint32_t len;
	bool may_fail, may_work;
	unsigned char *bounce; /* and the status behind it */
};

/* Mostly something that is mapped, up to its end; else anything. */
static struct span random_target(struct zone *zone, uint8_t perm)
{
	struct span span = random_span(zone, ZONE_SIZE, SEGMENT_MAX);

	if (span.size > SEGMENT_MAX)
		span.size = SEGMENT_MAX;
	if (below(zone, 16) == 0)
		return span;
	for (unsigned i = 0; i < 32 && !(zone->bytes[span.start].perm & perm); i++)
		span.start = below(zone, ZONE_SIZE - span.size);
	for (uint32_t i = 0; i < span.size; i++)
		if (!(zone->bytes[span.start + i].perm & perm))
			span.size = i ? i : 1;
	return span;
}

static void random_access(struct zone *zone, struct access *access, uint8_t perm)
{
	access->may_work = true;
	access->n = 1 + below(zone, SEGMENTS);
	for (unsigned i = 0; i < access->n; i++) {
		struct span span = random_target(zone, perm);

		access->spans[i] = span;
		access->len += span.size;
		for (uint32_t j = 0; j < span.size; j++) {
			const struct byte *byte = &zone->bytes[span.start + j];

			if ((byte->perm & perm) != perm)
				access->may_work = false;
			if (byte->late)
				access->may_fail = true;
		}
	}
	access->may_fail |= !access->may_work;
}

static void submit(struct zone *zone, struct access *access, bool reads)
{
	uint64_t bounce = zone->bounce_iova + (uint64_t)(access->bounce - zone->bounce);
	struct vhu_buffer buffers[SEGMENTS + 2];
	unsigned n = 0;

	if (!reads)
		buffers[n++] = (struct vhu_buffer){ bounce, access->len, false };
	for (unsigned i = 0; i < access->n; i++)
		buffers[n++] = (struct vhu_buffer){ zone->iova + access->spans[i].start,
			                            access->spans[i].size, !reads };
	if (reads)
		buffers[n++] = (struct vhu_buffer){ bounce, access->len, true };
	buffers[n++] = (struct vhu_buffer){ bounce + access->len, 1, true };
	access->bounce[access->len] = 0xee;
	MUST(!vhu_vq_add(zone->vq, buffers, n, access));
}

static struct access *await(struct zone *zone)
{
	uint32_t written;
	void *token;

	while (vhu_vq_get(zone->vq, &token, &written) == 0)
		MUST(vhu_vq_wait(zone->vq, 20000) == 1);
	return token;
}

/* Whether it worked, which is all right. */
static bool judge(struct zone *zone, const struct access *access)
{
	unsigned char status = access->bounce[access->len];

	MUST(status == RIG_OK || status == RIG_REFUSED);
	MUST(status == RIG_OK ? access->may_work : access->may_fail);
	zone->stats.accesses++;
	zone->stats.refused += status != RIG_OK;
	if (status == RIG_OK)
		zone->stats.bytes += access->len;
	return status == RIG_OK;
}

static void read_some(struct zone *zone)
{
	struct access accesses[AT_ONCE] = { 0 };
	unsigned n = 1 + below(zone, AT_ONCE);

	for (unsigned i = 0; i < n; i++) {
		accesses[i].bounce = zone->bounce + i * BOUNCE_EACH;
		random_access(zone, &accesses[i], VHU_PERM_READ);
		submit(zone, &accesses[i], true);
	}
	MUST(!vhu_vq_kick(zone->vq));
	for (unsigned i = 0; i < n; i++) {
		struct access *access = await(zone);
		const unsigned char *at = access->bounce;

		if (!judge(zone, access))
			continue;
		for (unsigned j = 0; j < access->n; j++)
			for (uint32_t k = 0; k < access->spans[j].size; k++)
				MUST(*at++ ==
				     zone->shadow[zone->bytes[access->spans[j].start + k].offset]);
	}
}

/* Bytes of the same memory may be written several times: the last one stays. */
static void write_shadow(struct zone *zone, const struct access *access)
{
	const unsigned char *at = access->bounce;

	for (unsigned i = 0; i < access->n; i++)
		for (uint32_t j = 0; j < access->spans[i].size; j++)
			zone->shadow[zone->bytes[access->spans[i].start + j].offset] = *at++;
}

static void write_one(struct zone *zone)
{
	struct access access = { .bounce = zone->bounce };

	random_access(zone, &access, VHU_PERM_WRITE);
	for (uint32_t i = 0; i < access.len; i++)
		access.bounce[i] = (unsigned char)next_random(zone);
	submit(zone, &access, false);
	MUST(!vhu_vq_kick(zone->vq));
	await(zone);
	if (judge(zone, &access))
		write_shadow(zone, &access);
	MUST(!memcmp(zone->data, zone->shadow, DATA_SIZE));
}

void zone_step(struct zone *zone)
{
	reap(zone);
	for (unsigned n = below(zone, 8); n; n--)
		map(zone);
	for (unsigned n = below(zone, 3); n; n--)
		unmap(zone);
	if (below(zone, 3))
		read_some(zone);
	else
		write_one(zone);
}
