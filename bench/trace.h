/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sequence of what happens to a device IOTLB: pages are looked up, pages are
 * to be forgotten. Made here, or read from a file of lines
 *
 *	L PAGE PAGES        looked up; hexadecimal
 *	I PAGE PAGES        invalidated
 *	# ...               nothing
 *
 * Thread: one.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct trace_event {
	uint64_t page, pages;
	bool forget;
};

struct trace {
	struct trace_event *events;
	uint64_t n, cap;
};

/* False: no memory. */
bool trace_init(struct trace *trace, uint64_t cap);
void trace_done(struct trace *trace);

/* Within the cap. */
void trace_add(struct trace *trace, uint64_t page, uint64_t pages, bool forget);

/* False: it can't be read; says so. */
bool trace_read(struct trace *trace, const char *path);

#endif
