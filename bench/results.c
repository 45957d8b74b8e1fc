/* SPDX-License-Identifier: BSD-3-Clause */
#include "results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void number(FILE *out, const char *key, double value)
{
	if (isfinite(value))
		fprintf(out, ", \"%s\": %.6g", key, value);
	else
		fprintf(out, ", \"%s\": null", key);
}

static const char *holds(const struct result *result)
{
	if (!isfinite(result->ratio) || !isfinite(result->bar))
		return "null";
	return result->ratio <= result->bar ? "true" : "false";
}

static void line_print(FILE *out, const struct result *result)
{
	fprintf(out, "{\"bench\": \"%s\", \"case\": \"%s\"", result->bench, result->name);
	number(out, "value", result->value);
	fprintf(out, ", \"unit\": \"%s\"", result->unit);
	if (result->against)
		fprintf(out, ", \"against\": \"%s\"", result->against);
	else
		fputs(", \"against\": null", out);
	number(out, "ratio", result->ratio);
	number(out, "bar", result->bar);
	fprintf(out, ", \"holds\": %s}\n", holds(result));
}

static void text_print(const struct result *result)
{
	printf("%-6s %-36s %10.2f %s", result->bench, result->name, result->value, result->unit);
	if (result->against)
		printf("  %8.4gx %s", result->ratio, result->against);
	if (isfinite(result->bar))
		printf("  (bar %.4gx: %s)", result->bar,
		       result->ratio <= result->bar ? "holds" : "does not hold");
	putchar('\n');
	fflush(stdout);
}

int result_add(const struct result *result)
{
	const char *path = getenv("VHU_BENCH_RESULTS");
	FILE *out;
	int err = 0;

	text_print(result);
	out = fopen(path ? path : "build/bench/results.jsonl", "ae");
	if (!out)
		return -errno;
	line_print(out, result);
	if (fclose(out))
		err = -errno;
	return err;
}
