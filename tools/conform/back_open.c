/* SPDX-License-Identifier: BSD-3-Clause */
/* Until a connection is in use: for the observation of the first, and for cases. */
#include <stdio.h>

#include "back.h"
#include "base/clock.h"

#define START_MS 60000 /* until its rings run: a machine may have to boot */
#define AGAIN_MS 10000 /* likewise, of one that ran before */

static bool is_busy(const struct back *b)
{
	if (b->device != DEVICE_ANY && !b->served)
		return false;
	for (unsigned i = 0; i < BACK_RINGS; i++)
		if (told_runs(&b->told, i))
			return true;
	return false;
}

/* How far a front-end comes with its connection. */
enum stage {
	STAGE_NOTHING,
	STAGE_FEATURES,
	STAGE_RINGS,
};

static enum stage stage_of(const struct back *b)
{
	if (told_any_started(&b->told))
		return STAGE_RINGS;
	return b->told.has_features ? STAGE_FEATURES : STAGE_NOTHING;
}

/* @ret_stage: raised to the farthest that is seen. */
static bool serve_until_busy(struct back *b, int ms, enum stage *ret_stage)
{
	uint64_t end = clock_ns() + (uint64_t)ms * 1000000;

	while (!is_busy(b) && back_is_open(b) && clock_ns() < end) {
		back_turn(b, 50);
		if (stage_of(b) > *ret_stage)
			*ret_stage = stage_of(b);
	}
	return is_busy(b);
}

/* What was set last while it was recorded, be the connection there or not. */
static uint64_t last_set(const struct record *record, uint32_t request)
{
	struct message message;

	for (unsigned i = record->n; i-- > 0;) {
		if (!seen_request(&record->seen[i], request))
			continue;
		seen_message(&record->seen[i], &message);
		return message.payload.u64;
	}
	return 0;
}

bool back_observe(struct back *b)
{
	uint64_t end = clock_ns() + START_MS * UINT64_C(1000000);
	enum stage stage = STAGE_NOTHING;

	if (!back_meet(b))
		return false;
	b->recording = true;
	do {
		if (!back_meet_again(b))
			break;
		record_start(&b->record, b->told.offered, b->told.offered_protocol);
	} while (!serve_until_busy(b, START_MS, &stage) && clock_ns() < end);
	back_serve(b, (int)b->observe_ms);
	if (!b->record.ended)
		record_stop(&b->record);
	b->features = last_set(&b->record, VHU_FE_SET_FEATURES);
	b->recording = false;
	return true;
}

/* What the front-end takes for its start is not the case's. */
static void extend(struct trial *trial, uint64_t since_ns)
{
	if (trial->deadline_ns != UINT64_MAX)
		trial->deadline_ns += clock_ns() - since_ns;
}

static void come_back_or_skip(struct back *b)
{
	if (!back_come_back(b))
		trial_skip(b->trial, "%s", b->away);
}

void back_open_new(struct back *b)
{
	uint64_t start = clock_ns();
	struct trial *trial = b->trial;

	back_set_trial(b, b->idle);
	back_forget(b);
	back_come_back(b);
	back_set_trial(b, trial);
	extend(trial, start);
	come_back_or_skip(b);
	NOTE(b, "a connection is accepted");
}

static const char *stage_name(const struct back *b, enum stage stage)
{
	switch (stage) {
	case STAGE_NOTHING:
		return back_is_open(b) ? "there is a connection, on which no features are set"
		                       : "each connection is closed before features are set";
	case STAGE_FEATURES: return "features are set, and no ring is started";
	case STAGE_RINGS: break;
	}
	return b->device == DEVICE_BLK   ? "rings are started, and no request of a disk comes"
	       : b->device == DEVICE_NET ? "rings are started, and no frame comes to be sent"
	                                 : "rings were started, and the connection is closed again";
}

/* One that is stuck is left, and may do better with the next. */
static bool make_busy(struct back *b, enum stage *ret_stage)
{
	bool busy = false;

	for (unsigned i = 0; i < 3 && !busy && back_come_back(b); i++) {
		busy = serve_until_busy(b, b->restart_cmd ? START_MS : AGAIN_MS, ret_stage);
		if (!busy && i == 0)
			back_forget(b);
		else if (back_is_open(b))
			break;
	}
	return busy;
}

void back_open(struct back *b, enum back_want want)
{
	uint64_t start = clock_ns();
	struct trial *trial = b->trial;
	enum stage stage = STAGE_NOTHING;
	bool busy;

	back_set_trial(b, b->idle);
	b->paused = false;
	busy = make_busy(b, &stage);
	back_set_trial(b, trial);
	extend(trial, start);
	come_back_or_skip(b);
	if (!busy) {
		b->away = "the front-end does not use its device; the case before that failed of "
			  "it says more";
		trial_fail(trial,
		           "rings to be started, and requests to come: %s (is --type right?)",
		           stage_name(b, stage));
	}
	if (want == BACK_IOMMU && (!told_iommu(&b->told) || b->back.fd < 0))
		trial_skip(trial, "the front-end has not negotiated an IOMMU");
	if (want == BACK_IOMMU && b->held.full)
		trial_skip(trial, "more than %u translations are held: they can't be told apart",
		           HELD_MAX);
	b->paused = true;
	b->left = false;
	b->case_stops = b->stops;
	NOTE(b, "rings run; requests wait from here on");
}
