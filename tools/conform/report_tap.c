/* SPDX-License-Identifier: BSD-3-Clause */
/* The report for test harnesses: TAP, version 13. */
#include <inttypes.h>

#include "report.h"

static bool is_ok(const struct trial *trial)
{
	return trial->verdict == VERDICT_PASS || trial->verdict == VERDICT_NOT_APPLICABLE;
}

static bool counts(const struct trial *trial, bool strict)
{
	return trial->level == LEVEL_MUST || (strict && trial->level == LEVEL_CONTRACT);
}

static void put_evidence(FILE *to, const struct evidence *evidence)
{
	for (unsigned i = 0; i < evidence_count(evidence); i++) {
		unsigned missing;
		const struct evidence_line *line = evidence_line(evidence, i, &missing);

		if (missing)
			fprintf(to, "# %u lines left out\n", missing);
		fprintf(to, "# %" PRIu64 ".%03" PRIu64 " ms %s %s\n", line->us / 1000,
		        line->us % 1000, evidence_kind_name(line->kind),
		        line->text ? line->text : "");
	}
}

static void put_trial(FILE *to, const struct trial *trial, const struct report_head *head,
                      unsigned number)
{
	fprintf(to, "%sok %u - %s: %s", is_ok(trial) ? "" : "not ", number, trial->which->id,
	        trial->which->title);
	if (trial->verdict == VERDICT_NOT_APPLICABLE)
		fprintf(to, " # SKIP %s", trial->reason);
	else if (!is_ok(trial) && !counts(trial, head->strict))
		fprintf(to, " # Todo %s", level_name(trial->level));
	fputc('\n', to);
	if (is_ok(trial))
		return;
	fprintf(to, "# %s, %s: %s%s\n", trial->which->rule, level_name(trial->level),
	        trial->verdict == VERDICT_FAIL ? "expected " : "", trial->reason);
	put_evidence(to, &trial->evidence);
}

void report_tap(FILE *to, const struct suite *suite, const struct report_head *head)
{
	fprintf(to, "TAP version 13\n1..%u\n", suite->n_trials);
	for (unsigned i = 0; i < suite->n_trials; i++)
		put_trial(to, &suite->trials[i], head, i + 1);
}
