/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for what comes next. */
#include <errno.h>
#include <poll.h>

#include "back.h"
#include "base/clock.h"

#define GOES_ON 2u /* requests that show it */
#define PACE_MS 5

bool back_is_open(const struct back *b)
{
	return b->main.fd >= 0;
}

static void end(struct back *b)
{
	b->left = !told_any_started(&b->told);
	if (b->recording) {
		b->record.ended = true;
		record_stop(&b->record);
	}
	back_forget(b);
}

static void take_main(struct back *b)
{
	struct message message;
	int error = link_recv(&b->main, &message, (int)b->patience_ms);

	if (!error) {
		back_take(b, &message);
		message_close_fds(&message);
		return;
	}
	/* A header that nobody can read on from. */
	if (error == -EPROTO && b->recording)
		record_add(&b->record, MESSAGE_MAIN, false, &message);
	end(b);
}

void back_drain(struct back *b)
{
	while (back_is_open(b) && link_readable(&b->main, 0))
		take_main(b);
}

/* What was sent on the main channel before the reply is taken before it. */
static void take_back(struct back *b)
{
	struct message message;
	int error = link_recv(&b->back, &message, (int)b->patience_ms);

	if (error) {
		link_close(&b->back);
		return;
	}
	back_drain(b);
	if (b->recording)
		record_add(&b->record, MESSAGE_BACK, false, &message);
	if (message.header.flags & VHU_FLAG_REPLY)
		back_take_answer(b, &message);
	message_close_fds(&message);
}

/* Without rings: index 0 main, 1 back, then kicks. */
static bool turn(struct back *b, int ms, bool with_rings)
{
	struct pollfd fds[2 + BACK_RINGS];
	int n;

	if (!back_is_open(b))
		return false;
	fds[0] = (struct pollfd){ .fd = b->main.fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = b->deaf ? -1 : b->back.fd, .events = POLLIN };
	for (unsigned i = 0; i < BACK_RINGS; i++) {
		bool runs = with_rings && told_runs(&b->told, i);

		fds[2 + i] = (struct pollfd){ .fd = runs ? b->rings[i].kick : -1,
			                      .events = POLLIN };
		if (runs && b->rings[i].owed)
			ms = 0;
	}
	n = poll(fds, 2 + BACK_RINGS, trial_left(b->trial, ms));
	if (n < 0)
		return false;
	if (fds[1].revents)
		take_back(b);
	else if (fds[0].revents)
		take_main(b);
	for (unsigned i = 0; with_rings && i < BACK_RINGS; i++) {
		if (fds[2 + i].revents && b->rings[i].kick == fds[2 + i].fd)
			back_ring_kicked(b, i);
		if (b->rings[i].owed && back_is_open(b)) {
			back_ring_serve(b, i);
			n++;
		}
	}
	return n > 0;
}

bool back_listen(struct back *b, int ms)
{
	return turn(b, ms, false);
}

/* A record that fills up is made last by serving less. */
static void pace(struct back *b)
{
	uint64_t end_ns = clock_ns() + PACE_MS * UINT64_C(1000000);

	if (!b->recording || b->record.n < RECORD_MAX / 4)
		return;
	while (back_is_open(b) && clock_ns() < end_ns)
		back_listen(b, PACE_MS);
}

bool back_turn(struct back *b, int ms)
{
	bool came;

	if (b->paused)
		return turn(b, ms, false);
	trial_mute(b->trial);
	pace(b);
	came = turn(b, ms, true);
	trial_unmute(b->trial);
	return came;
}

void back_serve(struct back *b, int ms)
{
	uint64_t now = clock_ns(), end_ns = now + (uint64_t)ms * 1000000;

	for (; now < end_ns && back_is_open(b); now = clock_ns()) {
		if (!trial_left(b->trial, 1))
			return;
		back_turn(b, (int)((end_ns - now) / 1000000) + 1);
	}
}

static bool goes_on(struct back *b, int ms)
{
	uint64_t end_ns = clock_ns() + (uint64_t)ms * 1000000;
	unsigned before = b->served;

	b->paused = false;
	NOTE(b, "serves requests again");
	if (b->device == DEVICE_ANY) {
		back_serve(b, BACK_QUIET);
		return back_is_open(b);
	}
	while (b->served - before < GOES_ON) {
		if (!back_is_open(b) || clock_ns() >= end_ns || !trial_left(b->trial, 1))
			return false;
		back_turn(b, 20);
	}
	return true;
}

void back_expect_goes_on(struct back *b)
{
	int ms = 2 * (int)b->patience_ms;

	if (!goes_on(b, ms))
		trial_fail(b->trial, "the front-end to go on using its device: %s",
		           back_is_open(b) ? "no request came, or none could be served"
		                           : "it closed the connection");
	NOTE(b, "requests are served");
}

void back_expect_survives(struct back *b)
{
	if (goes_on(b, BACK_SURVIVES))
		return;
	NOTE(b, back_is_open(b) ? "the front-end does not go on" : "the front-end hung up");
	back_hang_up(b);
}
