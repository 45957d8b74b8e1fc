/* SPDX-License-Identifier: BSD-3-Clause */
/* What all cases of vhu conform rest on: verdicts, evidence, choices, memory, rings. */
#include "support/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "messages.h"
#include "options.h"
#include "ram.h"
#include "report.h"
#include "ring.h"
#include "suite.h"
#include "suite_backend.h"
#include "suite_frontend.h"

static const struct conform_case some_cases[] = {
	{ .id = "fruit.apple", .title = "an apple", .rule = "-", .level = LEVEL_MUST },
	{ .id = "fruit.pear", .title = "a pear", .rule = "-", .level = LEVEL_SHOULD },
	{ .id = "tree.apple", .title = "a tree", .rule = "-", .level = LEVEL_CONTRACT },
};

static const struct conform_area fruit = { "fruit", "what is eaten", some_cases, 2 };
static const struct conform_area tree = { "tree", "what stands", some_cases + 2, 1 };
static const struct conform_area *const areas[] = { &fruit, &tree };

static struct trial *new_trial(void)
{
	struct trial *trial = calloc(1, sizeof(*trial));

	assert_non_null(trial);
	trial->which = &some_cases[0];
	trial->patience_ms = 50;
	trial->random = 1;
	return trial;
}

static void free_trial(struct trial *trial)
{
	evidence_done(&trial->evidence);
	free(trial);
}

static void passes(void *rig)
{
}

static void fails(void *rig)
{
	trial_fail(rig, "%u of %u", 1u, 2u);
}

static void skips(void *rig)
{
	trial_skip(rig, "no such thing");
}

static void errs(void *rig)
{
	trial_error(rig, "no memory");
}

static void a_trial_ends_where_an_expectation_does_not_hold(void **state)
{
	static const struct {
		void (*act)(void *rig);
		enum verdict verdict;
		const char *reason;
	} table[] = {
		{ passes, VERDICT_PASS, "" },
		{ fails, VERDICT_FAIL, "1 of 2" },
		{ skips, VERDICT_NOT_APPLICABLE, "no such thing" },
		{ errs, VERDICT_ERROR, "no memory" },
	};
	struct trial *trial = new_trial();

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		trial_run(trial, table[i].act, trial);
		assert_int_equal(trial->verdict, table[i].verdict);
		assert_string_equal(trial->reason, table[i].reason);
		assert_int_equal(trial->evidence.total, table[i].verdict == VERDICT_FAIL);
	}
	free_trial(trial);
}

static void waits_for_ever(void *rig)
{
	struct trial *trial = rig;

	while (trial_left(trial, 20))
		usleep(10000);
	trial_fail(trial, "it is over");
}

static void nothing_waits_beyond_the_deadline(void **state)
{
	static const struct conform_case brief = { .id = "a.b", .seconds = 1 };
	struct trial *trial = new_trial();

	trial->which = &brief;
	trial_run(trial, waits_for_ever, trial);
	assert_int_equal(trial->verdict, VERDICT_FAIL);
	assert_in_range(trial->ns, 1000000000, 3000000000);
	free_trial(trial);
}

static void evidence_keeps_the_first_and_the_last_lines(void **state)
{
	struct evidence *evidence = calloc(1, sizeof(*evidence));
	const struct evidence_line *line;
	unsigned missing, n = EVIDENCE_MAX + 1000;
	char text[16];

	evidence_start(evidence);
	for (unsigned i = 0; i < n; i++)
		evidence_add(evidence, EVIDENCE_NOTE, "%u", i);
	assert_int_equal(evidence_count(evidence), EVIDENCE_MAX);
	for (unsigned i = 0; i < EVIDENCE_MAX; i++) {
		line = evidence_line(evidence, i, &missing);
		assert_int_equal(missing, i == EVIDENCE_FIRST ? 1000 : 0);
		snprintf(text, sizeof(text), "%u", i < EVIDENCE_FIRST ? i : i + 1000);
		assert_string_equal(line->text, text);
	}
	evidence_done(evidence);
	free(evidence);
}

static void cases_are_chosen_by_globs_and_areas(void **state)
{
	static const struct {
		const char *only;
		unsigned n;
		const char *first;
	} table[] = {
		{ NULL, 3, "fruit.apple" },
		{ "fruit", 2, "fruit.apple" },
		{ "*.apple", 2, "fruit.apple" },
		{ "tree.apple", 1, "tree.apple" },
		{ "nothing,tree", 1, "tree.apple" },
		{ "fruit.p*", 1, "fruit.pear" },
		{ "fru", 0, NULL },
		{ "", 0, NULL },
		{ "apple", 0, NULL },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct suite_choice choice = { .only = table[i].only };
		struct suite suite;
		int error = suite_choose(&suite, areas, 2, &choice);

		assert_int_equal(error, table[i].n ? 0 : -ENOENT);
		assert_int_equal(suite.n_trials, table[i].n);
		if (table[i].first)
			assert_string_equal(suite.trials[0].which->id, table[i].first);
		suite_done(&suite);
	}
}

static void only_what_must_not_fail_makes_a_run_fail(void **state)
{
	static const struct {
		enum verdict verdicts[3]; /* of a must, a should, a contract */
		bool fine, strictly;
	} table[] = {
		{ { VERDICT_PASS, VERDICT_PASS, VERDICT_PASS }, true, true },
		{ { VERDICT_NOT_APPLICABLE, VERDICT_FAIL, VERDICT_PASS }, true, true },
		{ { VERDICT_PASS, VERDICT_PASS, VERDICT_FAIL }, true, false },
		{ { VERDICT_FAIL, VERDICT_PASS, VERDICT_PASS }, false, false },
		{ { VERDICT_ERROR, VERDICT_PASS, VERDICT_PASS }, false, false },
	};
	struct suite suite;

	assert_int_equal(suite_choose(&suite, areas, 2, &(struct suite_choice){ 0 }), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		for (unsigned j = 0; j < 3; j++)
			suite.trials[j].verdict = table[i].verdicts[j];
		assert_int_equal(suite_is_fine(&suite, false), table[i].fine);
		assert_int_equal(suite_is_fine(&suite, true), table[i].strictly);
	}
	/* A peer that has died of a should has failed a must. */
	suite.trials[0].verdict = VERDICT_PASS;
	suite.trials[1].verdict = VERDICT_FAIL;
	suite.trials[1].level = LEVEL_MUST;
	assert_false(suite_is_fine(&suite, false));
	suite_done(&suite);
}

static void random_numbers_depend_on_seed_and_case_alone(void **state)
{
	struct suite all, one;
	uint64_t number;

	suite_choose(&all, areas, 2, &(struct suite_choice){ .seed = 7 });
	suite_choose(&one, areas, 2, &(struct suite_choice){ .seed = 7, .only = "tree.apple" });
	number = trial_random(&all.trials[2]);
	assert_true(number == trial_random(&one.trials[0]));
	assert_true(number != trial_random(&all.trials[0]));
	suite_done(&one);
	suite_choose(&one, areas, 2, &(struct suite_choice){ .seed = 8, .only = "tree.apple" });
	assert_true(number != trial_random(&one.trials[0]));
	suite_done(&one);
	suite_done(&all);
}

/* Every case has what a report says of it, one to judge, and an id of its own in its area's name.
 */
static void check_case(const struct conform_area *const *of, unsigned n,
                       const struct conform_area *area, const struct conform_case *which)
{
	const struct conform_area *found;
	size_t len = strlen(area->name);

	assert_non_null(which->title);
	assert_non_null(which->rule);
	assert_true(!which->backend != !which->frontend);
	assert_memory_equal(which->id, area->name, len);
	assert_int_equal(which->id[len], '.');
	assert_ptr_equal(suite_find(of, n, which->id, &found), which);
	assert_ptr_equal(found, area);
	if (strlen(which->id) > 48)
		fail_msg("%s: the id is too long for a table", which->id);
}

static void check_areas(const struct conform_area *const *of, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; area_case(of[i], j); j++)
			check_case(of, n, of[i], area_case(of[i], j));
}

static void the_tables_of_cases_are_complete(void **state)
{
	check_areas(backend_areas, n_backend_areas);
	check_areas(frontend_areas, n_frontend_areas);
}

static void memory_has_canaries_around_it(void **state)
{
	struct ram ram;
	unsigned region;
	int64_t offset;
	uint64_t at;

	assert_int_equal(ram_make(&ram), 0);
	at = ram_take(&ram, 1, 100);
	memset(ram.regions[1].ptr + at, 0, RAM_PAGE);
	assert_true(ram_untouched(&ram, &region, &offset));
	for (unsigned i = 0; i < 4; i++) {
		char *const places[] = { ram.regions[1].ptr + at + RAM_PAGE,
			                 ram.regions[1].ptr + at - 1,
			                 ram.regions[1].ptr + ram.regions[1].size,
			                 ram.regions[1].ptr - 1 };

		(*places[i])++;
		assert_false(ram_untouched(&ram, &region, &offset));
		assert_int_equal(region, 1);
		assert_int_equal(offset, places[i] - ram.regions[1].ptr);
		(*places[i])--;
	}
	assert_true(ram_untouched(&ram, &region, &offset));
	ram_done(&ram);
}

static void scattered_pages_are_adjacent_to_us_alone(void **state)
{
	uint64_t uvas[8];
	struct ram ram;
	char *view;

	assert_int_equal(ram_make(&ram), 0);
	view = ram_take_scattered(&ram, 8, uvas);
	assert_non_null(view);
	for (unsigned i = 0; i < 8; i++) {
		view[i * RAM_PAGE + 17] = (char)(i + 1);
		assert_int_equal(*ram_at_uva(&ram, uvas[i] + 17, 1), i + 1);
		if (i)
			assert_true(uvas[i] != uvas[i - 1] + RAM_PAGE);
	}
	ram_done(&ram);
}

static void memory_that_is_full_says_so(void **state)
{
	struct ram ram;

	assert_int_equal(ram_make(&ram), 0);
	assert_true(ram_take(&ram, 1, ram.regions[1].size) == UINT64_MAX);
	assert_true(ram_take(&ram, 1, ram.regions[1].size - 3 * RAM_PAGE) != UINT64_MAX);
	assert_true(ram_take(&ram, 1, RAM_PAGE) == UINT64_MAX);
	ram_done(&ram);
}

static void rings_are_what_the_specification_has(void **state)
{
	struct ring_shape shape = ring_shape(4, true);
	char *memory = aligned_alloc(4096, shape.size);
	struct ring ring = { .num = 4,
		             .desc = (struct ring_desc *)memory,
		             .avail = (uint16_t *)(memory + shape.avail),
		             .used = (uint16_t *)(memory + shape.used) };
	struct seg segs[2] = { { 0x1000, 16, false }, { 0x2000, 512, true } };
	struct ring_used_elem elem;

	memset(memory, 0, shape.size);
	for (unsigned i = 0; i < 5; i++)
		ring_show(&ring, ring_add(&ring, segs, 2, false));
	assert_int_equal(ring_avail_index(&ring), 5);
	/* The fifth chain took the first place again. */
	assert_int_equal(ring.avail[2], 0);
	assert_int_equal(ring.avail[3], 2);
	assert_int_equal(ring.desc[0].flags, DESC_NEXT);
	assert_int_equal(ring.desc[0].next, 1);
	assert_int_equal(ring.desc[1].flags, DESC_WRITE);
	assert_false(ring_take(&ring, &elem));
	((struct ring_used_elem *)(ring.used + 2))[0] = (struct ring_used_elem){ 2, 9 };
	ring.used[1] = 1;
	assert_true(ring_take(&ring, &elem));
	assert_int_equal(elem.id, 2);
	free(memory);
}

/* What is sent wrongly must arrive wrongly. */
static void links_send_what_they_are_told(void **state)
{
	struct trial *trial = new_trial();
	struct link link = { trial, MESSAGE_MAIN, true, -1 }, other = link;
	struct message message = msg_u64(VHU_FE_SET_FEATURES, 5), got;
	int pair[2];

	trial->deadline_ns = UINT64_MAX;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	link.fd = pair[0];
	other.fd = pair[1];
	message.header.flags = 0xffffffff;
	message.header.size = 3;
	message.fds[message.n_fds++] = STDIN_FILENO;
	assert_int_equal(link_send(&link, &message), 0);
	assert_int_equal(link_recv(&other, &got, 100), 0);
	assert_int_equal(got.header.flags, 0xffffffff);
	assert_int_equal(got.header.size, 3);
	assert_int_equal(got.n_fds, 1);
	message_close_fds(&got);
	assert_int_equal(link_recv(&other, &got, 10), -ETIMEDOUT);
	link_close(&link);
	assert_int_equal(link_recv(&other, &got, 100), -ENOTCONN);
	link_close(&other);
	assert_int_equal(trial->evidence.total, 3);
	free_trial(trial);
}

static void messages_without_room_are_no_hang(void **state)
{
	struct trial *trial = new_trial();
	struct link link = { trial, MESSAGE_MAIN, true, -1 };
	struct message message = msg_empty(VHU_FE_GET_FEATURES);
	int pair[2], error = 0;

	trial->deadline_ns = UINT64_MAX;
	trial_mute(trial);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	link.fd = pair[0];
	for (unsigned i = 0; i < 100000 && !error; i++)
		error = link_send(&link, &message);
	assert_int_equal(error, -ETIMEDOUT);
	link_close(&link);
	close(pair[1]);
	free_trial(trial);
}

static void reports_escape_what_peers_say(void **state)
{
	struct report_head head = {
		.side = "back-end", .name = "a<b", .path = "/s", .type = "any"
	};
	char path[] = "/tmp/vhu-report-XXXXXX", text[4096] = "";
	struct suite suite;
	FILE *file;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	suite_choose(&suite, areas, 2, &(struct suite_choice){ .only = "fruit.apple" });
	trial_set(&suite.trials[0], VERDICT_FAIL, "<&\"\001");
	assert_int_equal(report_junit(path, &suite, &head), 0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_non_null(strstr(text, "a&lt;b"));
	assert_non_null(strstr(text, "&lt;&amp;&quot;?"));
	assert_null(strchr(text, '\001'));
	assert_int_equal(report_junit("/nonexistent/file", &suite, &head), -ENOENT);
	suite_done(&suite);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trial_ends_where_an_expectation_does_not_hold),
		cmocka_unit_test(nothing_waits_beyond_the_deadline),
		cmocka_unit_test(evidence_keeps_the_first_and_the_last_lines),
		cmocka_unit_test(cases_are_chosen_by_globs_and_areas),
		cmocka_unit_test(only_what_must_not_fail_makes_a_run_fail),
		cmocka_unit_test(random_numbers_depend_on_seed_and_case_alone),
		cmocka_unit_test(the_tables_of_cases_are_complete),
		cmocka_unit_test(memory_has_canaries_around_it),
		cmocka_unit_test(scattered_pages_are_adjacent_to_us_alone),
		cmocka_unit_test(memory_that_is_full_says_so),
		cmocka_unit_test(rings_are_what_the_specification_has),
		cmocka_unit_test(links_send_what_they_are_told),
		cmocka_unit_test(messages_without_room_are_no_hang),
		cmocka_unit_test(reports_escape_what_peers_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
