/* SPDX-License-Identifier: BSD-3-Clause */
/* Which lines reach the hook, and in what state. */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/check.h"

static struct {
	unsigned lines;
	enum vhu_log_level level;
	char subject[32];
	char text[1024];
	void *opaque;
} heard;

static void hear(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	heard.lines++;
	heard.level = level;
	snprintf(heard.subject, sizeof(heard.subject), "%s", subject);
	snprintf(heard.text, sizeof(heard.text), "%s", text);
	heard.opaque = opaque;
	errno = EXDEV;
}

static int be_silent(void **state)
{
	(void)state;
	vhu_log_set(NULL, NULL, VHU_LOG_ERROR);
	memset(&heard, 0, sizeof(heard));
	return 0;
}

static void say(enum vhu_log_level level)
{
	switch (level) {
	case VHU_LOG_ERROR: log_error("s", "error"); break;
	case VHU_LOG_WARNING: log_warning("s", "warning"); break;
	case VHU_LOG_INFO: log_info("s", "info"); break;
	case VHU_LOG_DEBUG: log_debug("s", "debug"); break;
	}
}

static void lines_as_urgent_as_wanted_are_heard(void **state)
{
	(void)state;
	for (int most = VHU_LOG_ERROR; most <= VHU_LOG_DEBUG; most++) {
		vhu_log_set(hear, &heard, (enum vhu_log_level)most);
		for (int level = VHU_LOG_ERROR; level <= VHU_LOG_DEBUG; level++) {
			heard.lines = 0;
			say((enum vhu_log_level)level);
			assert_int_equal(log_wanted((enum vhu_log_level)level), level <= most);
			assert_int_equal(heard.lines, level <= most);
			if (heard.lines)
				assert_int_equal(heard.level, level);
		}
	}
}

static void a_line_brings_subject_text_and_pointer(void **state)
{
	(void)state;
	vhu_log_set(hear, state, VHU_LOG_DEBUG);
	log_warning("blk/s3/q1", "%d of %s", 7, "them");
	assert_string_equal(heard.subject, "blk/s3/q1");
	assert_string_equal(heard.text, "7 of them");
	assert_ptr_equal(heard.opaque, state);
}

static void without_a_hook_nothing_is_wanted(void **state)
{
	(void)state;
	assert_false(log_wanted(VHU_LOG_ERROR));
	log_error("s", "nobody");
	log_line(VHU_LOG_ERROR, "s", "nobody either");
	assert_int_equal(heard.lines, 0);
}

static unsigned evaluated;

static unsigned evaluate(void)
{
	return ++evaluated;
}

static void what_is_not_wanted_is_not_formatted(void **state)
{
	(void)state;
	vhu_log_set(hear, NULL, VHU_LOG_WARNING);
	log_info("s", "%u", evaluate());
	assert_int_equal(evaluated, 0);
	log_warning("s", "%u", evaluate());
	assert_int_equal(evaluated, 1);
}

static void errno_survives_hook_and_formatting(void **state)
{
	(void)state;
	vhu_log_set(hear, NULL, VHU_LOG_DEBUG);
	errno = ENOSPC;
	log_error("s", "why: %m");
	assert_int_equal(errno, ENOSPC);
	assert_string_equal(heard.text, "why: No space left on device");
}

static void a_long_line_is_cut(void **state)
{
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	vhu_log_set(hear, NULL, VHU_LOG_DEBUG);
	log_info("s", "%s", text);
	assert_int_equal(strlen(heard.text), 511);
	assert_int_equal(strspn(heard.text, "x"), 511);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lines_as_urgent_as_wanted_are_heard, be_silent),
		cmocka_unit_test_setup(a_line_brings_subject_text_and_pointer, be_silent),
		cmocka_unit_test_setup(without_a_hook_nothing_is_wanted, be_silent),
		cmocka_unit_test_setup(what_is_not_wanted_is_not_formatted, be_silent),
		cmocka_unit_test_setup(errno_survives_hook_and_formatting, be_silent),
		cmocka_unit_test_setup(a_long_line_is_cut, be_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
