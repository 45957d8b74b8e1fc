/* SPDX-License-Identifier: BSD-3-Clause */
/* What is not known, refused or moved, and misses that wait for their answers. */
#include <string.h>

#include "base/clock.h"
#include "work.h"

struct span work_unmapped(struct front *f)
{
	return front_span(f, &(struct span_setup){ .len = WORK_BYTES, .unmapped = true });
}

struct span work_start_unmapped(struct front *f)
{
	work_start(f);
	return work_unmapped(f);
}

void work_map(struct front *f, const struct span *span, uint8_t perm)
{
	front_unmap(f, span->addr, RAM_PAGE);
	front_map(f, span->addr, RAM_PAGE,
	          f->ram.regions[0].uva + (uint64_t)(span->ptr - f->ram.regions[0].ptr), perm);
}

enum front_answer work_hold(struct front *f, const struct front_miss *miss)
{
	(void)f;
	(void)miss;
	return ANSWER_DONE;
}

void work_release(struct front *f, unsigned from)
{
	f->on_miss = NULL;
	for (unsigned i = from; i < f->n_misses && i < FRONT_MISSES; i++)
		if (!front_grant(f, &f->misses[i]))
			front_refuse(f, &f->misses[i]);
}

void work_await(struct front *f, unsigned n, int ms)
{
	uint64_t end = clock_ns() + (uint64_t)trial_left(f->trial, ms) * 1000000;

	while (f->n_misses < n && clock_ns() < end)
		front_serve(f, 1);
}

unsigned work_out_held(struct front *f, const struct span *spans, unsigned n, unsigned misses,
                       int ms)
{
	unsigned from = f->n_misses;

	f->on_miss = work_hold;
	work_out(f, spans, n);
	work_await(f, from + misses, ms);
	return from;
}

void work_linger(struct front *f, int ms)
{
	uint64_t end = clock_ns() + (uint64_t)ms * 1000000, now;

	while ((now = clock_ns()) < end && trial_left(f->trial, 1))
		front_serve(f, (int)((end - now + 999999) / 1000000));
}

unsigned work_pages_missed(const struct front *f, const struct span *span, unsigned from)
{
	uint64_t first = span->addr & ~(RAM_PAGE - 1);
	unsigned n = 0;

	for (uint64_t page = first; page < span->addr + span->len; page += RAM_PAGE)
		for (unsigned i = from; i < f->n_misses && i < FRONT_MISSES; i++)
			if (f->misses[i].iova - page < RAM_PAGE) {
				n++;
				break;
			}
	return n;
}

struct span work_move(struct front *f, const struct span *span)
{
	uint32_t offset = (uint32_t)(span->addr & (RAM_PAGE - 1));
	struct span_setup setup = { .len = span->len,
		                    .iova = span->addr - offset,
		                    .offset = offset };
	struct span moved;

	front_unmap(f, span->addr, span->len);
	moved = front_span(f, &setup);
	memcpy(moved.ptr, span->ptr, span->len);
	return moved;
}
