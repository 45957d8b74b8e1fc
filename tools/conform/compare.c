/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports beside each other: what differs between runs, or all of them as a table. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define REPORTS_MAX 16u

struct reports {
	struct json_object *roots[REPORTS_MAX];
	unsigned n;
};

static const char *string_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return "";
	return json_object_get_string(value);
}

static int load(struct reports *reports, const char *path)
{
	struct json_object *root = json_object_from_file(path);

	if (!root) {
		fprintf(stderr, "vhu conform: %s: %s", path, json_util_get_last_err());
		return -EINVAL;
	}
	reports->roots[reports->n++] = root;
	if (!strcmp(string_of(root, "format"), "vhu-conform-1"))
		return 0;
	fprintf(stderr, "vhu conform: %s: not a report of --json\n", path);
	return -EINVAL;
}

static struct json_object *cases_of(struct json_object *root)
{
	struct json_object *cases = NULL;

	if (json_object_object_get_ex(root, "cases", &cases) &&
	    json_object_is_type(cases, json_type_array))
		return cases;
	return NULL;
}

static size_t length_of(struct json_object *cases)
{
	return cases ? json_object_array_length(cases) : 0;
}

static struct json_object *find(struct json_object *root, const char *id)
{
	struct json_object *cases = cases_of(root);

	for (size_t i = 0; i < length_of(cases); i++) {
		struct json_object *one = json_object_array_get_idx(cases, i);

		if (!strcmp(string_of(one, "id"), id))
			return one;
	}
	return NULL;
}

static const char *verdict_in(const struct reports *reports, unsigned i, const char *id)
{
	struct json_object *one = find(reports->roots[i], id);

	return one ? string_of(one, "verdict") : "-";
}

static bool all_the_same(const struct reports *reports, const char *id)
{
	for (unsigned i = 1; i < reports->n; i++)
		if (strcmp(verdict_in(reports, i, id), verdict_in(reports, 0, id)))
			return false;
	return true;
}

/* What a row of the comparison ends in: why, of the first that did not pass. */
static const char *reason_for(const struct reports *reports, const char *id)
{
	for (unsigned i = 0; i < reports->n; i++) {
		struct json_object *one = find(reports->roots[i], id);

		if (one && !strcmp(string_of(one, "verdict"), verdict_name(VERDICT_FAIL)))
			return string_of(one, "reason");
	}
	return "";
}

static void put_difference(const struct reports *reports, struct json_object *one)
{
	const char *id = string_of(one, "id");

	printf("%-48s %-8s", id, string_of(one, "level"));
	for (unsigned i = 0; i < reports->n; i++)
		printf("  %-14s", verdict_in(reports, i, id));
	printf("  %s\n", reason_for(reports, id));
}

static const char *cell(const char *verdict)
{
	if (!strcmp(verdict, verdict_name(VERDICT_FAIL)))
		return "**fail**";
	return strcmp(verdict, verdict_name(VERDICT_NOT_APPLICABLE)) ? verdict : "";
}

static void put_table_row(const struct reports *reports, struct json_object *one)
{
	const char *id = string_of(one, "id");

	printf("| `%s` | %s |", id, string_of(one, "level"));
	for (unsigned i = 0; i < reports->n; i++)
		printf(" %s |", cell(verdict_in(reports, i, id)));
	printf(" %s |\n", string_of(one, "title"));
}

static void put_heads(const struct reports *reports, bool all)
{
	if (all)
		fputs("| case | level |", stdout);
	else
		printf("%-48s %-8s", "case", "level");
	for (unsigned i = 0; i < reports->n; i++)
		printf(all ? " %s |" : "  %-14s", string_of(reports->roots[i], "label"));
	puts(all ? " what must hold |" : "  why");
	if (!all)
		return;
	fputs("|---|---|", stdout);
	for (unsigned i = 0; i < reports->n; i++)
		fputs("---|", stdout);
	puts("---|");
}

/* Each case once: of report @from those that no report before has. */
static int put_cases(const struct reports *reports, unsigned from, bool all)
{
	struct json_object *cases = cases_of(reports->roots[from]);
	int differ = 0;

	for (size_t i = 0; i < length_of(cases); i++) {
		struct json_object *one = json_object_array_get_idx(cases, i);
		const char *id = string_of(one, "id");
		bool seen = false, same = all_the_same(reports, id);

		for (unsigned j = 0; j < from && !seen; j++)
			seen = find(reports->roots[j], id);
		if (seen)
			continue;
		differ |= !same;
		if (all)
			put_table_row(reports, one);
		else if (!same)
			put_difference(reports, one);
	}
	return differ;
}

int report_compare(char *const *paths, unsigned n, bool all)
{
	struct reports reports = { .n = 0 };
	int result = 0;

	if (n > REPORTS_MAX) {
		fprintf(stderr, "vhu conform: more than %u reports\n", REPORTS_MAX);
		return -E2BIG;
	}
	for (unsigned i = 0; i < n && !result; i++)
		result = load(&reports, paths[i]);
	if (!result) {
		put_heads(&reports, all);
		for (unsigned i = 0; i < n; i++)
			result |= put_cases(&reports, i, all);
	}
	for (unsigned i = 0; i < reports.n; i++)
		json_object_put(reports.roots[i]);
	return result;
}
