/* SPDX-License-Identifier: BSD-3-Clause */
#include "trial.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

void trial_run(struct trial *trial, void (*act)(void *rig), void *rig)
{
	unsigned seconds = trial->which->seconds ? trial->which->seconds : TRIAL_SECONDS;
	uint64_t start = clock_ns();

	evidence_start(&trial->evidence);
	trial->deadline_ns = start + seconds * UINT64_C(1000000000);
	trial->verdict = VERDICT_PASS;
	trial->reason[0] = 0;
	trial->muted = 0;
	trial->running = true;
	if (!setjmp(trial->end))
		act(rig);
	trial->running = false;
	trial->ns = clock_ns() - start;
}

static void judge(struct trial *trial, enum verdict verdict, const char *format, va_list args)
{
	vsnprintf(trial->reason, sizeof(trial->reason), format, args);
	trial->verdict = verdict;
	if (verdict == VERDICT_FAIL)
		evidence_add(&trial->evidence, EVIDENCE_EXPECTED, "%s", trial->reason);
}

void trial_set(struct trial *trial, enum verdict verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	judge(trial, verdict, format, args);
	va_end(args);
}

#define JUDGE_AND_END(trial, verdict, format)              \
	do {                                               \
		va_list args;                              \
                                                           \
		va_start(args, format);                    \
		judge((trial), (verdict), (format), args); \
		va_end(args);                              \
		longjmp((trial)->end, 1);                  \
	} while (0)

void trial_fail(struct trial *trial, const char *format, ...)
{
	JUDGE_AND_END(trial, VERDICT_FAIL, format);
}

void trial_skip(struct trial *trial, const char *format, ...)
{
	JUDGE_AND_END(trial, VERDICT_NOT_APPLICABLE, format);
}

void trial_error(struct trial *trial, const char *format, ...)
{
	JUDGE_AND_END(trial, VERDICT_ERROR, format);
}

int trial_left(const struct trial *trial, int ms)
{
	uint64_t now = clock_ns(), left;

	if (now >= trial->deadline_ns)
		return 0;
	left = (trial->deadline_ns - now + 999999) / 1000000;
	return left < (uint64_t)ms ? (int)left : ms;
}

void trial_mute(struct trial *trial)
{
	trial->muted++;
}

void trial_unmute(struct trial *trial)
{
	trial->muted--;
}

/* An xorshift; the state is never 0. */
uint64_t trial_random(struct trial *trial)
{
	trial->random ^= trial->random << 13;
	trial->random ^= trial->random >> 7;
	trial->random ^= trial->random << 17;
	return trial->random;
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = { "pass", "fail", "not applicable", "error" };

	return names[verdict];
}

const char *level_name(enum case_level level)
{
	static const char *const names[] = { "must", "should", "contract" };

	return names[level];
}

void trial_expect_equal(struct trial *trial, uint64_t got, uint64_t wanted, const char *what)
{
	if (got != wanted)
		trial_fail(trial,
		           "%s: expected %" PRIu64 " (0x%" PRIx64 "), got %" PRIu64 " (0x%" PRIx64
		           ")",
		           what, wanted, wanted, got, got);
}

void trial_note(struct trial *trial, enum evidence_kind kind, const char *format, ...)
{
	char text[600];
	va_list args;

	if (trial->muted)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	evidence_add(&trial->evidence, kind, "%s", text);
}
