/* SPDX-License-Identifier: BSD-3-Clause */
/* The report for people: what is wrong, with the evidence; then a verdict per area. */
#include <inttypes.h>

#include "report.h"

/* What led to a failure is in its last lines; how the connection was set up is before. */
#define BRIEF 14u

static void put_evidence(FILE *to, const struct evidence *evidence, bool all)
{
	unsigned n = evidence_count(evidence), from = all || n <= BRIEF + 1 ? 0 : n - BRIEF;

	if (from)
		fprintf(to, "      (%u lines before; --verbose shows them)\n", from);
	for (unsigned i = from; i < n; i++) {
		unsigned missing;
		const struct evidence_line *line = evidence_line(evidence, i, &missing);

		if (missing)
			fprintf(to, "      (%u lines left out)\n", missing);
		fprintf(to, "      %9.3f ms  %-8s  %s\n", (double)line->us / 1000,
		        evidence_kind_name(line->kind), line->text ? line->text : "");
	}
}

static void put_trial(FILE *to, const struct trial *trial, bool all)
{
	const struct conform_case *which = trial->which;

	fprintf(to, "%s  %s (%s)\n",
	        trial->verdict == VERDICT_FAIL ? "FAIL" : verdict_name(trial->verdict), which->id,
	        level_name(trial->level));
	fprintf(to, "    %s\n    rule: %s\n", which->title, which->rule);
	if (trial->reason[0])
		fprintf(to, "    %s%s\n", trial->verdict == VERDICT_FAIL ? "expected " : "",
		        trial->reason);
	put_evidence(to, &trial->evidence, all);
	fputc('\n', to);
}

static bool is_wrong(const struct trial *trial)
{
	return trial->verdict == VERDICT_FAIL || trial->verdict == VERDICT_ERROR;
}

static const char *word_for(const struct suite *suite, const struct conform_area *area)
{
	if (suite_count(suite, area, LEVEL_MUST, VERDICT_FAIL))
		return "FAILS";
	if (suite_count(suite, area, -1, VERDICT_ERROR))
		return "not judged";
	if (suite_count(suite, area, LEVEL_CONTRACT, VERDICT_FAIL))
		return "breaks contract";
	if (suite_count(suite, area, -1, VERDICT_FAIL))
		return "should do better";
	return suite_count(suite, area, -1, VERDICT_PASS) ? "conforms" : "not applicable";
}

static void put_row(FILE *to, const struct suite *suite, const struct conform_area *area)
{
	unsigned counts[VERDICT_END], sum = 0;

	for (unsigned v = 0; v < VERDICT_END; v++)
		sum += counts[v] = suite_count(suite, area, -1, v);
	if (!sum)
		return;
	fprintf(to, "%-16s %5u %5u %5u %5u  %-16s %s\n", area ? area->name : "all",
	        counts[VERDICT_PASS], counts[VERDICT_FAIL], counts[VERDICT_NOT_APPLICABLE],
	        counts[VERDICT_ERROR], word_for(suite, area), area ? area->title : "");
}

static void put_table(FILE *to, const struct suite *suite)
{
	fprintf(to, "%-16s %5s %5s %5s %5s  %-16s %s\n", "area", "pass", "fail", "n/a", "error",
	        "verdict", "what it is about");
	for (unsigned i = 0; i < suite->n_areas; i++)
		put_row(to, suite, suite->areas[i]);
	put_row(to, suite, NULL);
}

static void put_reasons(FILE *to, const struct suite *suite)
{
	for (unsigned i = 0; i < suite->n_trials; i++) {
		const struct trial *trial = &suite->trials[i];

		if (trial->verdict == VERDICT_NOT_APPLICABLE)
			fprintf(to, "not applicable  %s: %s\n", trial->which->id, trial->reason);
	}
	fputc('\n', to);
}

void report_text(FILE *to, const struct suite *suite, const struct report_head *head)
{
	unsigned left_out;

	for (unsigned i = 0; i < suite->n_trials; i++) {
		const struct trial *trial = &suite->trials[i];

		if (is_wrong(trial) || (head->verbose && trial->verdict == VERDICT_PASS))
			put_trial(to, trial, head->verbose);
	}
	if (head->verbose)
		put_reasons(to, suite);
	put_table(to, suite);
	left_out = suite_count(suite, NULL, -1, VERDICT_NOT_APPLICABLE);
	if (left_out && !head->verbose)
		fprintf(to, "\nnot applicable: %u; --verbose tells why\n", left_out);
	fprintf(to, "\n%s%s%s at %s: %s\n", head->side, head->name[0] ? " " : "", head->name,
	        head->path,
	        suite_is_fine(suite, head->strict)
	                ? "nothing fails that must not"
	                : "something fails that must not; 'vhu conform --explain ID' tells more");
}
