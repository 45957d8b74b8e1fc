/* SPDX-License-Identifier: BSD-3-Clause */
#include "trace.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 65536u
#define LINE_MAX   128

bool trace_init(struct trace *trace, uint64_t cap)
{
	*trace = (struct trace){ .cap = cap };
	trace->events = calloc(cap, sizeof(*trace->events));
	return trace->events != NULL;
}

void trace_done(struct trace *trace)
{
	free(trace->events);
}

void trace_add(struct trace *trace, uint64_t page, uint64_t pages, bool forget)
{
	assert(trace->n < trace->cap);
	trace->events[trace->n++] = (struct trace_event){ page, pages, forget };
}

static bool line_read(struct trace *trace, const char *line)
{
	uint64_t page, pages;
	char kind;

	if (line[0] == '#')
		return true;
	if (sscanf(line, "%c %" SCNx64 " %" SCNx64, &kind, &page, &pages) != 3)
		return false;
	if ((kind != 'L' && kind != 'I') || trace->n == trace->cap)
		return false;
	trace_add(trace, page, pages, kind == 'I');
	return true;
}

bool trace_read(struct trace *trace, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE_MAX];
	bool right = true;

	if (!file || !trace_init(trace, EVENTS_MAX)) {
		fprintf(stderr, "iotlb: %s: %s\n", path, strerror(errno));
		if (file)
			fclose(file);
		return false;
	}
	while (right && fgets(line, sizeof(line), file))
		right = line_read(trace, line);
	fclose(file);
	if (right && trace->n)
		return true;
	fprintf(stderr, "iotlb: %s: not a trace\n", path);
	trace_done(trace);
	return false;
}
