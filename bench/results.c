/* SPDX-License-Identifier: BSD-3-Clause */
#include "results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const kinds[] = {
	[BAR_NONE] = NULL,
	[BAR_MOST] = "most",
	[BAR_LEAST] = "least",
};

static const char *const verdicts[] = {
	[VERDICT_NONE] = NULL,
	[VERDICT_HOLDS] = "holds",
	[VERDICT_BROKEN] = "broken",
	[VERDICT_NOISY] = "noisy",
};

static void number(FILE *out, const char *key, double value)
{
	if (isfinite(value))
		fprintf(out, ", \"%s\": %.6g", key, value);
	else
		fprintf(out, ", \"%s\": null", key);
}

static void word(FILE *out, const char *key, const char *value)
{
	if (value)
		fprintf(out, ", \"%s\": \"%s\"", key, value);
	else
		fprintf(out, ", \"%s\": null", key);
}

/* Of one value alone: all in one place. */
static struct spread judged(const struct result *result)
{
	if (result->spread)
		return *result->spread;
	return (struct spread){ result->value, result->value, result->value };
}

static void line_print(FILE *out, const struct result *result, enum verdict verdict)
{
	const struct spread *spread = result->spread;

	fprintf(out, "{\"bench\": \"%s\", \"case\": \"%s\"", result->bench, result->name);
	number(out, "value", result->value);
	word(out, "unit", result->unit);
	word(out, "against", result->against);
	number(out, "ratio", spread && result->against ? spread->median : NAN);
	number(out, "low", spread ? spread->low : NAN);
	number(out, "high", spread ? spread->high : NAN);
	number(out, "bar", result->bar.kind ? result->bar.value : NAN);
	word(out, "bound", kinds[result->bar.kind]);
	word(out, "verdict", verdicts[verdict]);
	fprintf(out, ", \"repetitions\": %u}\n", result->repetitions);
}

static void text_print(const struct result *result, enum verdict verdict)
{
	const struct spread *spread = result->spread;

	printf("%-6s %-52s %12.2f %s", result->bench, result->name, result->value, result->unit);
	if (spread && result->against)
		printf("  %.4gx %s", spread->median, result->against);
	if (spread)
		printf(" [%.4g..%.4g]", spread->low, spread->high);
	if (verdict)
		printf("  (at %s %.4g: %s)", kinds[result->bar.kind], result->bar.value,
		       verdicts[verdict]);
	putchar('\n');
	fflush(stdout);
}

static FILE *open_results(void)
{
	const char *path = getenv("VHU_BENCH_RESULTS");

	return fopen(path ? path : "build/bench/results.jsonl", "ae");
}

static int close_results(FILE *out)
{
	return fclose(out) ? -errno : 0;
}

int result_add(const struct result *result)
{
	struct spread spread = judged(result);
	enum verdict verdict = bar_judge(result->bar, &spread);
	FILE *out;

	text_print(result, verdict);
	out = open_results();
	if (!out)
		return -errno;
	line_print(out, result, verdict);
	return close_results(out);
}

int result_skip(const char *bench, const char *name, const char *why)
{
	FILE *out;

	printf("%-6s %-52s skipped: %s\n", bench, name, why);
	out = open_results();
	if (!out)
		return -errno;
	fprintf(out, "{\"bench\": \"%s\", \"case\": \"%s\"", bench, name);
	word(out, "verdict", "skipped");
	word(out, "why", why);
	fputs("}\n", out);
	return close_results(out);
}
