/* SPDX-License-Identifier: BSD-3-Clause */
/* The report for build servers: JUnit's XML, an area a suite. */
#include <errno.h>

#include "report.h"

/* XML has no way at all to say most control characters. */
static void put_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<': fputs("&lt;", to); break;
		case '>': fputs("&gt;", to); break;
		case '&': fputs("&amp;", to); break;
		case '"': fputs("&quot;", to); break;
		default: fputc((unsigned char)*text < ' ' && *text != '\n' ? '?' : *text, to);
		}
	}
}

static void put_attribute(FILE *to, const char *name, const char *value)
{
	fprintf(to, " %s=\"", name);
	put_text(to, value);
	fputc('"', to);
}

static void put_evidence(FILE *to, const struct evidence *evidence)
{
	for (unsigned i = 0; i < evidence_count(evidence); i++) {
		unsigned missing;
		const struct evidence_line *line = evidence_line(evidence, i, &missing);

		if (missing)
			fprintf(to, "%u lines left out\n", missing);
		fprintf(to, "%.3f ms %s ", (double)line->us / 1000, evidence_kind_name(line->kind));
		put_text(to, line->text ? line->text : "");
		fputc('\n', to);
	}
}

static void put_wrong(FILE *to, const struct trial *trial, const char *element)
{
	fprintf(to, "      <%s", element);
	put_attribute(to, "type", level_name(trial->level));
	put_attribute(to, "message", trial->reason);
	fputc('>', to);
	put_evidence(to, &trial->evidence);
	fprintf(to, "</%s>\n", element);
}

static void put_trial(FILE *to, const struct trial *trial)
{
	fputs("    <testcase", to);
	put_attribute(to, "classname", trial->area->name);
	put_attribute(to, "name", trial->which->id);
	fprintf(to, " time=\"%.6f\">\n", (double)trial->ns / 1e9);
	if (trial->verdict == VERDICT_FAIL) {
		put_wrong(to, trial, "failure");
	} else if (trial->verdict == VERDICT_ERROR) {
		put_wrong(to, trial, "error");
	} else if (trial->verdict == VERDICT_NOT_APPLICABLE) {
		fputs("      <skipped", to);
		put_attribute(to, "message", trial->reason);
		fputs("/>\n", to);
	}
	fputs("    </testcase>\n", to);
}

static void put_area(FILE *to, const struct suite *suite, const struct conform_area *area)
{
	unsigned counts[VERDICT_END], sum = 0;

	for (unsigned v = 0; v < VERDICT_END; v++)
		sum += counts[v] = suite_count(suite, area, -1, v);
	if (!sum)
		return;
	fputs("  <testsuite", to);
	put_attribute(to, "name", area->name);
	fprintf(to, " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\">\n", sum,
	        counts[VERDICT_FAIL], counts[VERDICT_ERROR], counts[VERDICT_NOT_APPLICABLE]);
	for (unsigned i = 0; i < suite->n_trials; i++)
		if (suite->trials[i].area == area)
			put_trial(to, &suite->trials[i]);
	fputs("  </testsuite>\n", to);
}

int report_junit(const char *path, const struct suite *suite, const struct report_head *head)
{
	FILE *to = report_open(path);

	if (!to)
		return -errno;
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", to);
	put_attribute(to, "name", head->label ? head->label : head->name);
	fputs(">\n", to);
	for (unsigned i = 0; i < suite->n_areas; i++)
		put_area(to, suite, suite->areas[i]);
	fputs("</testsuites>\n", to);
	return report_close(to);
}
