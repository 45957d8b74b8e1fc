/* SPDX-License-Identifier: BSD-3-Clause */
/* What vhu conform says of a run: each form of the report, and the exit status. */
#include "some_run.h"

#include <signal.h>

#include "cli.h"
#include "options.h"
#include "side.h"

/* A report as text. */
static char *text_of(void (*report)(FILE *to, const struct suite *suite,
                                    const struct report_head *head),
                     const struct suite *suite, const struct report_head *of)
{
	char *text = calloc(1, TEXT_MAX);
	FILE *to = fmemopen(text, TEXT_MAX - 1, "w");

	assert_true(text && to);
	report(to, suite, of);
	fclose(to);
	return text;
}

static void tap_excuses_what_does_not_count(void **state)
{
	struct report_head strict = head;
	struct suite suite;
	char *text;

	(void)state;
	make_run(&suite, of_each_kind);
	text = text_of(report_tap, &suite, &head);
	expect_line(text, "1..4");
	expect_line(text, "not ok 1 - a.one: the first");
	expect_line(text, "not ok 2 - a.two: the second # Todo should");
	expect_line(text, "not ok 3 - a.three: the third # Todo contract");
	expect_line(text, "ok 4 - b.four: the fourth # SKIP because");
	expect_line(text, "# R1, must: expected because");
	free(text);
	strict.strict = true;
	text = text_of(report_tap, &suite, &strict);
	expect_line(text, "not ok 2 - a.two: the second # Todo should");
	expect_line(text, "not ok 3 - a.three: the third");
	free(text);
	/* Who has died of it has failed a must. */
	suite.trials[1].level = LEVEL_MUST;
	text = text_of(report_tap, &suite, &head);
	expect_line(text, "not ok 2 - a.two: the second");
	free(text);
	suite_done(&suite);
	make_run(&suite,
	         (enum verdict[]){ VERDICT_ERROR, VERDICT_PASS, VERDICT_ERROR, VERDICT_PASS });
	text = text_of(report_tap, &suite, &head);
	expect_line(text, "not ok 1 - a.one: the first");
	expect_line(text, "ok 2 - a.two: the second");
	expect_line(text, "not ok 3 - a.three: the third # Todo contract");
	free(text);
	suite_done(&suite);
}

/* The verdict on area a. */
static void expect_word(const char *text, const char *word)
{
	const char *row = strstr(text, "\na   ");
	char end[80];

	assert_non_null(row);
	snprintf(end, sizeof(end), "  %-16s what a is", word);
	if (strncmp(strchr(row + 1, '\n') - strlen(end), end, strlen(end)) != 0)
		fail_msg("not \"%s\": %s", word, row);
}

static void an_area_is_as_good_as_its_worst_case(void **state)
{
	static const struct {
		enum verdict verdicts[N_CASES];
		const char *word;
		bool fine;
	} table[] = {
		{ { VERDICT_PASS, VERDICT_PASS, VERDICT_PASS, VERDICT_PASS }, "conforms", true },
		{ { VERDICT_PASS, VERDICT_NOT_APPLICABLE, VERDICT_NOT_APPLICABLE, VERDICT_PASS },
		  "conforms",
		  true },
		{ { VERDICT_NOT_APPLICABLE, VERDICT_NOT_APPLICABLE, VERDICT_NOT_APPLICABLE,
		    VERDICT_PASS },
		  "not applicable",
		  true },
		{ { VERDICT_PASS, VERDICT_FAIL, VERDICT_PASS, VERDICT_PASS },
		  "should do better",
		  true },
		{ { VERDICT_PASS, VERDICT_FAIL, VERDICT_FAIL, VERDICT_PASS },
		  "breaks contract",
		  true },
		{ { VERDICT_ERROR, VERDICT_FAIL, VERDICT_PASS, VERDICT_PASS },
		  "not judged",
		  false },
		{ { VERDICT_PASS, VERDICT_ERROR, VERDICT_PASS, VERDICT_PASS }, "not judged", true },
		{ { VERDICT_FAIL, VERDICT_ERROR, VERDICT_FAIL, VERDICT_PASS }, "FAILS", false },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct suite suite;
		char *text;

		make_run(&suite, table[i].verdicts);
		text = text_of(report_text, &suite, &head);
		expect_word(text, table[i].word);
		assert_int_equal(!!strstr(text, "back-end it at /s: nothing fails that must not"),
		                 table[i].fine);
		free(text);
		suite_done(&suite);
	}
}

/* What is wrong, whether asked for more or not; what is fine only then. */
static void failures_are_told_with_their_reason(void **state)
{
	struct report_head verbose = head;
	struct suite suite;
	char *text;

	(void)state;
	make_run(&suite, (enum verdict[]){ VERDICT_FAIL, VERDICT_PASS, VERDICT_ERROR,
	                                   VERDICT_NOT_APPLICABLE });
	text = text_of(report_text, &suite, &head);
	expect_line(text, "FAIL  a.one (must)");
	expect_line(text, "    expected because");
	expect_line(text, "error  a.three (contract)");
	expect_line(text, "    because");
	assert_null(strstr(text, "a.two"));
	assert_null(strstr(text, "b.four"));
	expect_line(text, "not applicable: 1; --verbose tells why");
	free(text);
	verbose.verbose = true;
	text = text_of(report_text, &suite, &verbose);
	expect_line(text, "pass  a.two (should)");
	expect_line(text, "not applicable  b.four: because");
	free(text);
	suite_done(&suite);
}

static char *read_file(const char *path)
{
	char *text = calloc(1, TEXT_MAX);
	FILE *from = fopen(path, "re");

	assert_true(text && from);
	assert_true(fread(text, 1, TEXT_MAX - 1, from) > 0);
	fclose(from);
	return text;
}

static void junit_counts_what_it_tells(void **state)
{
	struct file file = new_file();
	struct suite suite;
	char *text;

	(void)state;
	make_run(&suite, (enum verdict[]){ VERDICT_FAIL, VERDICT_PASS, VERDICT_ERROR,
	                                   VERDICT_NOT_APPLICABLE });
	assert_int_equal(report_junit(file.path, &suite, &head), 0);
	text = read_file(file.path);
	expect_line(text, "  <testsuite name=\"a\" tests=\"3\" failures=\"1\" errors=\"1\" "
	                  "skipped=\"0\">");
	expect_line(text, "  <testsuite name=\"b\" tests=\"1\" failures=\"0\" errors=\"0\" "
	                  "skipped=\"1\">");
	assert_non_null(strstr(text, "<failure type=\"must\" message=\"because\">"));
	assert_non_null(strstr(text, "<error type=\"contract\" message=\"because\">"));
	assert_non_null(strstr(text, "<skipped message=\"because\"/>"));
	free(text);
	unlink(file.path);
	suite_done(&suite);
}

static const struct side side = { .name = "backend", .title = "back-end" };

struct telling {
	struct suite suite;
	struct options options;
};

static int tell(void *opaque)
{
	struct telling *telling = opaque;

	return side_tell(&side, &telling->suite, &telling->options, "it");
}

static void the_exit_status_is_the_verdict(void **state)
{
	static const struct {
		enum verdict must, contract;
		bool strict, interrupted, nowhere;
		int status;
	} table[] = {
		{ VERDICT_PASS, VERDICT_PASS, true, false, false, EXIT_FINE },
		{ VERDICT_NOT_APPLICABLE, VERDICT_PASS, true, false, false, EXIT_FINE },
		{ VERDICT_PASS, VERDICT_FAIL, false, false, false, EXIT_FINE },
		{ VERDICT_PASS, VERDICT_FAIL, true, false, false, EXIT_DIFFERENT },
		{ VERDICT_FAIL, VERDICT_PASS, false, false, false, EXIT_DIFFERENT },
		{ VERDICT_ERROR, VERDICT_PASS, false, false, false, EXIT_DIFFERENT },
		{ VERDICT_PASS, VERDICT_PASS, false, true, false, EXIT_INTERRUPTED },
		/* A report that can't be written is none. */
		{ VERDICT_PASS, VERDICT_PASS, false, false, true, EXIT_DIFFERENT },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct telling telling = { .options = { .path = "/s", .strict = table[i].strict } };
		int status;

		if (table[i].nowhere)
			telling.options.junit = "/nonexistent/file";
		make_run(&telling.suite, (enum verdict[]){ table[i].must, VERDICT_PASS,
		                                           table[i].contract, VERDICT_PASS });
		telling.suite.interrupted = table[i].interrupted;
		free(output_of(tell, &telling, &status));
		assert_int_equal(status, table[i].status);
		suite_done(&telling.suite);
	}
}

static bool passes_until_the_second(struct trial *trial, void *opaque)
{
	trial_set(trial, VERDICT_PASS, "%s", "");
	return trial->which != &some_cases[1];
}

static bool is_interrupted_in_the_first(struct trial *trial, void *opaque)
{
	trial_set(trial, VERDICT_PASS, "%s", "");
	raise(SIGINT);
	return true;
}

/* A run that was cut short never looks like one that passed. */
static void what_was_not_tried_is_an_error(void **state)
{
	struct suite suite;

	(void)state;
	assert_int_equal(suite_choose(&suite, areas, 2, &(struct suite_choice){ 0 }), 0);
	assert_int_equal(suite_count(&suite, NULL, -1, VERDICT_ERROR), N_CASES);
	suite_run(&suite, passes_until_the_second, NULL);
	assert_int_equal(suite_count(&suite, NULL, -1, VERDICT_PASS), 2);
	assert_int_equal(suite.trials[2].verdict, VERDICT_ERROR);
	assert_string_equal(suite.trials[3].reason, "not tried: the peer is gone");
	assert_false(suite_is_fine(&suite, false));
	suite_done(&suite);
	assert_int_equal(suite_choose(&suite, areas, 2, &(struct suite_choice){ 0 }), 0);
	suite_run(&suite, is_interrupted_in_the_first, NULL);
	assert_true(suite.interrupted);
	assert_int_equal(suite.n_done, 1);
	assert_string_equal(suite.trials[1].reason, "not tried: interrupted");
	assert_false(suite_is_fine(&suite, false));
	suite_done(&suite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tap_excuses_what_does_not_count),
		cmocka_unit_test(an_area_is_as_good_as_its_worst_case),
		cmocka_unit_test(failures_are_told_with_their_reason),
		cmocka_unit_test(junit_counts_what_it_tells),
		cmocka_unit_test(the_exit_status_is_the_verdict),
		cmocka_unit_test(what_was_not_tried_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
