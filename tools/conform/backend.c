/* SPDX-License-Identifier: BSD-3-Clause */
/* vhu conform backend: probes a back-end, tries the cases on it, and reports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "front.h"
#include "io.h"
#include "process.h"
#include "side.h"
#include "subject.h"
#include "suite_backend.h"

#define PROBE_ECHO_MS 4000

static void act(void *rig)
{
	struct front *f = rig;

	f->trial->which->backend(f);
}

static void try_case(struct trial *trial, struct subject *subject)
{
	struct front *f = calloc(1, sizeof(*f));

	if (!f || front_init(f, trial, subject))
		trial_set(trial, VERDICT_ERROR, "out of memory");
	else
		trial_run(trial, act, f);
	if (f)
		front_done(f);
	free(f);
}

static bool is_gone(const struct subject *subject)
{
	return subject->pid && !process_is_there(subject->pid);
}

/* A back-end that does not outlive a case has failed it, whatever the case says. */
static bool check_life(struct trial *trial, struct subject *subject)
{
	char reason[sizeof(trial->reason)];

	if (subject_answers(subject, (int)subject->patience_ms))
		return true;
	trial->level = LEVEL_MUST;
	memcpy(reason, trial->reason, sizeof(reason));
	trial_set(trial, VERDICT_FAIL, "the back-end to live on: afterwards %s%s%.300s",
	          is_gone(subject) ? "its process is gone" : "it answers no new connection",
	          reason[0] ? "; besides: " : "", reason);
	return subject_revive(subject);
}

static bool perform(struct trial *trial, void *opaque)
{
	struct subject *subject = opaque;
	char text[200];
	const char *lacks = subject_lacks(subject, &trial->which->needs, text, sizeof(text));

	if (lacks) {
		trial_set(trial, VERDICT_NOT_APPLICABLE, "%s", lacks);
		return true;
	}
	try_case(trial, subject);
	return check_life(trial, subject);
}

/* A frame that is not the one that was sent may come, too: that is no echo. */
static void find_echo(struct front *f)
{
	struct span frame;

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	frame = front_alloc(f, 512);
	front_pattern(&frame, 1);
	io_out(f, &frame, 1);
	EXPECT(f, front_wait_used(f, io_in_ring(f), 1, PROBE_ECHO_MS), "it to come back");
	io_expect_saw(f, &frame, 1);
}

/* Well or not: whoever serves no request at all is no disk, or can't be judged as one. */
static void find_disk(struct front *f)
{
	struct span data;

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	data = front_alloc(f, 512);
	io_in(f, &data, 1);
	expect_used(f, 0);
}

static enum verdict probe(struct subject *subject, void (*find)(struct front *f), char *why,
                          size_t size)
{
	const struct conform_case which = { .id = "probe", .backend = find };
	struct trial trial = { .which = &which, .patience_ms = subject->patience_ms, .random = 1 };

	try_case(&trial, subject);
	snprintf(why, size, "%s", trial.reason);
	evidence_done(&trial.evidence);
	return trial.verdict;
}

/* What it does beside messages. False: it is not what --type says. */
static bool probe_device(struct subject *subject, char *why, size_t size)
{
	char text[sizeof(((struct trial *)NULL)->reason)];

	if (subject->device == DEVICE_NET)
		subject->echo = probe(subject, find_echo, text, sizeof(text)) == VERDICT_PASS;
	if (subject->device != DEVICE_BLK ||
	    probe(subject, find_disk, text, sizeof(text)) != VERDICT_FAIL)
		return true;
	snprintf(
		why, size,
		"no disk serves the read of a sector there: expected %.300s; --type=any judges the "
		"messages of whatever it is",
		text);
	return false;
}

static int judge(struct suite *suite, const struct options *options)
{
	struct subject subject = { .path = options->path,
		                   .restart_cmd = options->restart_cmd,
		                   .device = options->device,
		                   .pid = options->pid,
		                   .patience_ms = options->timeout_ms };
	char why[600];

	if (subject_probe(&subject, why, sizeof(why)) ||
	    !probe_device(&subject, why, sizeof(why))) {
		fprintf(stderr, "vhu conform backend: %s\n", why);
		return EXIT_NO_PEER;
	}
	suite_run(suite, perform, &subject);
	return side_tell(&side_backend, suite, options, subject.name);
}

const struct side side_backend = {
	.name = "backend",
	.title = "back-end",
	.summary = "judge a back-end: be its front-end, rightly and wrongly",
	.about = "Judge a vhost-user back-end: be its front-end, rightly and wrongly, and say what "
		 "it does wrong, with the evidence."
		 "\vWith --type=blk the disk is written to: what is on it is destroyed.\n"
		 "\n"
		 "Examples:\n"
		 "  vhu conform backend --socket-path=/tmp/disk --type=blk\n"
		 "  vhu conform backend --socket-path=/tmp/disk --type=blk --only='iotlb*' "
		 "--strict\n"
		 "  vhu conform backend --list\n"
		 "\n"
		 "Exit status: 0 nothing fails that must not, 1 something does, 2 a command line "
		 "that makes no sense, 3 there is no back-end, 130 interrupted.",
	.areas = backend_areas,
	.n_areas = &n_backend_areas,
	.judge = judge,
};
