/* SPDX-License-Identifier: BSD-3-Clause */
/* vhu conform backend: probes a back-end, tries the cases on it, and reports. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "front.h"
#include "io.h"
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
	return subject->pid && kill(subject->pid, 0) < 0 && errno == ESRCH;
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

/* Whether frames come back is seen by sending one. */
static void find_echo(struct front *f)
{
	struct span frame;

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	frame = front_alloc(f, 512);
	io_out(f, &frame, 1);
	f->subject->echo = front_wait_used(f, io_in_ring(f), 1, PROBE_ECHO_MS);
}

static void probe_echo(struct subject *subject, unsigned patience_ms)
{
	const struct conform_case which = { .id = "probe", .backend = find_echo };
	struct trial trial = { .which = &which, .patience_ms = patience_ms, .random = 1 };

	if (subject->device == DEVICE_NET)
		try_case(&trial, subject);
	evidence_done(&trial.evidence);
}

static int judge(struct suite *suite, const struct options *options)
{
	struct subject subject = { .path = options->path,
		                   .restart_cmd = options->restart_cmd,
		                   .device = options->device,
		                   .pid = options->pid,
		                   .patience_ms = options->timeout_ms };
	char why[300];

	if (subject_probe(&subject, why, sizeof(why))) {
		fprintf(stderr, "vhu conform backend: %s\n", why);
		return EXIT_NO_PEER;
	}
	probe_echo(&subject, options->timeout_ms);
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
