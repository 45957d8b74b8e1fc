/* SPDX-License-Identifier: BSD-3-Clause */
/* vhu conform frontend: observes a front-end, tries the cases on it, and reports. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "back.h"
#include "cli.h"
#include "side.h"
#include "suite_frontend.h"

/* A case that fails while the front-end stops its rings, or leaves, is tried again. */
#define TRIES 3

static void act(void *rig)
{
	struct back *b = rig;

	b->trial->which->frontend(b);
}

static bool was_disturbed(const struct back *b, const struct trial *trial)
{
	return trial->verdict == VERDICT_FAIL && (b->left || b->stops != b->case_stops);
}

static void try_case(struct trial *trial, struct back *b)
{
	for (unsigned i = 0; i < TRIES; i++) {
		bool again;

		back_begin(b, trial);
		trial_run(trial, act, b);
		if (trial->verdict == VERDICT_PASS && b->walked && !b->found)
			trial_set(trial, VERDICT_NOT_APPLICABLE,
			          "the front-end has sent nothing of what it is about");
		again = was_disturbed(b, trial);
		back_end(b);
		if (!again)
			return;
	}
}

/* One that has come back before, and does not after this, has failed it. */
static void check_life(struct trial *trial, struct back *b)
{
	bool was_away = b->away;
	char reason[sizeof(trial->reason)];

	memcpy(reason, trial->reason, sizeof(reason));
	if (back_is_dead(b)) {
		trial->level = LEVEL_MUST;
		trial_set(trial, VERDICT_FAIL,
		          "the front-end to live on: afterwards its process is gone%s%.300s",
		          reason[0] ? "; besides: " : "", reason);
	} else if (b->returns && !was_away && !back_come_back(b)) {
		trial_set(trial, VERDICT_FAIL,
		          "the front-end to come back, as it did before: it does not%s%.300s",
		          reason[0] ? "; besides: " : "", reason);
	}
}

static bool perform(struct trial *trial, void *opaque)
{
	const struct case_needs *needs = &trial->which->needs;
	struct back *b = opaque;
	bool was_dead = back_is_dead(b);

	if (needs->device && !(needs->device & b->device)) {
		trial_set(trial, VERDICT_NOT_APPLICABLE, "needs --type=blk or net");
		return true;
	}
	if (needs->pid && !b->pid) {
		trial_set(trial, VERDICT_NOT_APPLICABLE, "needs --pid");
		return true;
	}
	try_case(trial, b);
	if (!was_dead)
		check_life(trial, b);
	return true;
}

static int run(struct suite *suite, struct back *b, const struct options *options)
{
	char why[300];

	if (back_init(b, why, sizeof(why))) {
		fprintf(stderr, "vhu conform frontend: %s\n", why);
		return EXIT_NO_PEER;
	}
	if (!back_observe(b)) {
		fprintf(stderr, "vhu conform frontend: no front-end has connected to %s\n",
		        options->path);
		return EXIT_NO_PEER;
	}
	suite_run(suite, perform, b);
	return side_tell(&side_frontend, suite, options, b->name);
}

static int judge(struct suite *suite, const struct options *options)
{
	struct back *b = calloc(1, sizeof(*b));
	int status;

	if (!b)
		return EXIT_DIFFERENT;
	b->path = options->path;
	b->restart_cmd = options->restart_cmd;
	b->device = options->device;
	b->pid = options->pid;
	b->patience_ms = options->timeout_ms;
	b->observe_ms = options->observe_ms;
	status = run(suite, b, options);
	back_done(b);
	free(b);
	return status;
}

const struct side side_frontend = {
	.name = "frontend",
	.title = "front-end",
	.summary = "judge a front-end: be its back-end, rightly and wrongly",
	.about = "Judge a vhost-user front-end: be its back-end, rightly and wrongly, and say what "
		 "it does wrong, with the evidence."
		 "\vListens at --socket-path, is a disk of 256 MiB in memory (--type=blk), a "
		 "network "
		 "that swallows frames (--type=net), or a device that does nothing. The front-end "
		 "is "
		 "to use it all the time. It is observed for a few seconds, then provoked; where "
		 "its "
		 "connection ends by that it is to come back by itself, or is started by "
		 "--restart-cmd, which also starts it first.\n"
		 "\n"
		 "Examples:\n"
		 "  vhu conform frontend --socket-path=/tmp/disk --type=blk\n"
		 "  vhu conform frontend --socket-path=/tmp/disk --type=blk \\\n"
		 "    --restart-cmd='vhu bench blk --socket-path=/tmp/disk --time=3 >/dev/null "
		 "2>&1 &'\n"
		 "  vhu conform frontend --list\n"
		 "\n"
		 "Exit status: 0 nothing fails that must not, 1 something does, 2 a command line "
		 "that makes no sense, 3 there is no front-end, 130 interrupted.",
	.areas = frontend_areas,
	.n_areas = &n_frontend_areas,
	.judge = judge,
};
