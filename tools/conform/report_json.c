/* SPDX-License-Identifier: BSD-3-Clause */
/* The report for other programs, among them --compare and --table: JSON. */
#include <errno.h>
#include <json-c/json.h>

#include "report.h"

static void put_string(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, json_object_new_string(value));
}

static void put_number(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_int64((int64_t)value));
}

static struct json_object *evidence_array(const struct evidence *evidence)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < evidence_count(evidence); i++) {
		unsigned missing;
		const struct evidence_line *line = evidence_line(evidence, i, &missing);
		struct json_object *object = json_object_new_object();

		if (missing)
			put_number(object, "left_out_before", missing);
		put_number(object, "us", line->us);
		put_string(object, "kind", evidence_kind_name(line->kind));
		put_string(object, "text", line->text ? line->text : "");
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *case_object(const struct trial *trial, bool verbose)
{
	struct json_object *object = json_object_new_object();
	bool passed = trial->verdict == VERDICT_PASS;

	put_string(object, "id", trial->which->id);
	put_string(object, "area", trial->area->name);
	put_string(object, "title", trial->which->title);
	put_string(object, "rule", trial->which->rule);
	put_string(object, "level", level_name(trial->level));
	put_string(object, "verdict", verdict_name(trial->verdict));
	put_number(object, "us", trial->ns / 1000);
	if (!passed)
		put_string(object, "reason", trial->reason);
	if (trial->evidence.total && (verbose || !passed))
		json_object_object_add(object, "evidence", evidence_array(&trial->evidence));
	return object;
}

static struct json_object *cases_array(const struct suite *suite, bool verbose)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < suite->n_trials; i++)
		json_object_array_add(array, case_object(&suite->trials[i], verbose));
	return array;
}

static struct json_object *counts_object(const struct suite *suite)
{
	struct json_object *object = json_object_new_object();

	for (unsigned v = 0; v < VERDICT_END; v++)
		put_number(object, verdict_name(v), suite_count(suite, NULL, -1, v));
	return object;
}

static struct json_object *whole(const struct suite *suite, const struct report_head *head)
{
	struct json_object *object = json_object_new_object();

	put_string(object, "format", "vhu-conform-1");
	put_string(object, "side", head->side);
	put_string(object, "label", head->label ? head->label : head->name);
	put_string(object, "program", head->name);
	put_string(object, "path", head->path);
	put_string(object, "type", head->type);
	put_number(object, "seed", head->seed);
	json_object_object_add(object, "fine",
	                       json_object_new_boolean(suite_is_fine(suite, head->strict)));
	json_object_object_add(object, "counts", counts_object(suite));
	json_object_object_add(object, "cases", cases_array(suite, head->verbose));
	return object;
}

int report_json(const char *path, const struct suite *suite, const struct report_head *head)
{
	FILE *to = report_open(path);
	struct json_object *object;

	if (!to)
		return -errno;
	object = whole(suite, head);
	fputs(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
	                                                     JSON_C_TO_STRING_NOSLASHESCAPE),
	      to);
	fputc('\n', to);
	json_object_put(object);
	return report_close(to);
}
