/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports of vhu conform beside each other. */
#include "some_run.h"

#include <errno.h>

struct comparison {
	struct file files[3];
	unsigned n;
	bool all;
};

static int compare(void *opaque)
{
	struct comparison *comparison = opaque;
	char *paths[3];

	for (unsigned i = 0; i < comparison->n; i++)
		paths[i] = comparison->files[i].path;
	return report_compare(paths, comparison->n, comparison->all);
}

/* A report of the cases that @only chooses; false: this build can make none. */
static bool write_json(struct file *ret, const enum verdict verdicts[N_CASES], const char *only,
                       const char *label)
{
	struct report_head of = head;
	struct suite suite;
	int error;

	*ret = new_file();
	of.label = label;
	make_run(&suite, verdicts);
	if (only) {
		suite_done(&suite);
		suite_choose(&suite, areas, 2, &(struct suite_choice){ .only = only });
		trial_set(&suite.trials[0], verdicts[0], "because");
	}
	error = report_json(ret->path, &suite, &of);
	suite_done(&suite);
	assert_true(error == 0 || error == -ENOTSUP);
	return !error;
}

/* Two runs beside each other, and what is said of them; NULL: this build can't. */
static char *compared(const enum verdict first[N_CASES], const enum verdict second[N_CASES],
                      bool all, int *ret)
{
	struct comparison two = { .n = 2, .all = all };
	char *text;

	if (!write_json(&two.files[0], first, NULL, "old"))
		return NULL;
	write_json(&two.files[1], second, NULL, "new");
	text = output_of(compare, &two, ret);
	unlink(two.files[0].path);
	unlink(two.files[1].path);
	return text;
}

static void runs_that_agree_do_not_differ(void **state)
{
	int result;
	char *text = compared(of_each_kind, of_each_kind, false, &result);

	(void)state;
	if (!text)
		skip();
	assert_int_equal(result, 0);
	assert_null(strstr(text, "a.one"));
	free(text);
}

static void each_verdict_that_differs_is_a_row(void **state)
{
	static const enum verdict first[] = { VERDICT_PASS, VERDICT_PASS, VERDICT_ERROR,
		                              VERDICT_PASS };
	static const enum verdict second[] = { VERDICT_PASS, VERDICT_FAIL, VERDICT_PASS,
		                               VERDICT_PASS };
	int result;
	char *text = compared(first, second, false, &result);

	(void)state;
	if (!text)
		skip();
	assert_int_equal(result, 1);
	expect_line(text, "a.two                                            should    pass         "
	                  "   fail            because");
	expect_line(text, "a.three                                          contract  error        "
	                  "   pass            ");
	assert_null(strstr(text, "a.one"));
	assert_null(strstr(text, "b.four"));
	free(text);
	text = compared(first, second, true, &result);
	expect_line(text, "| case | level | old | new | what must hold |");
	expect_line(text, "| `a.one` | must | pass | pass | the first |");
	expect_line(text, "| `a.two` | should | pass | **fail** | the second |");
	free(text);
}

/* A case that one of them has not is a difference, in whichever of them it is missing. */
static void a_case_that_is_missing_differs(void **state)
{
	static const enum verdict all_pass[N_CASES] = { VERDICT_PASS };

	(void)state;
	for (unsigned lacking = 0; lacking < 2; lacking++) {
		struct comparison two = { .n = 2 };
		char *text;
		int result;

		if (!write_json(&two.files[lacking], all_pass, "b.four", "part"))
			skip();
		write_json(&two.files[!lacking], all_pass, NULL, "whole");
		text = output_of(compare, &two, &result);
		assert_int_equal(result, 1);
		expect_line(text,
		            lacking ? "a.one                                            must    "
		                      "  pass            -               "
		                    : "a.one                                            must    "
		                      "  -               pass            ");
		assert_null(strstr(text, "b.four"));
		free(text);
		unlink(two.files[0].path);
		unlink(two.files[1].path);
	}
}

static void what_is_no_report_is_compared_with_nothing(void **state)
{
	static const char *const texts[] = { "{}", "[]", "{ \"format\": 7 }",
		                             "{ \"format\": \"other\", \"cases\": [] }" };
	struct comparison two = { .n = 2 };
	char *text;
	int result;

	(void)state;
	if (!write_json(&two.files[0], of_each_kind, NULL, "old"))
		skip();
	two.files[1] = new_file();
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		FILE *to = fopen(two.files[1].path, "we");

		assert_non_null(to);
		fputs(texts[i], to);
		fclose(to);
		text = output_of(compare, &two, &result);
		assert_int_equal(result, -EINVAL);
		free(text);
	}
	unlink(two.files[0].path);
	unlink(two.files[1].path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_that_agree_do_not_differ),
		cmocka_unit_test(each_verdict_that_differs_is_a_row),
		cmocka_unit_test(a_case_that_is_missing_differs),
		cmocka_unit_test(what_is_no_report_is_compared_with_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
