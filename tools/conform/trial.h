/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases, and one run of one of them: a *trial*, with its verdict and evidence.
 * The same for both directions; what a case acts with is a rig, front.h against
 * back-ends and back.h against front-ends.
 *
 * Where a line belongs:
 *
 *	a case, its id, rule and words        cases_*.c, by area
 *	that an area exists                   suite_backend.c, suite_frontend.c
 *	how bytes get to a socket             link.c
 *	negotiation, memory, rings, misses    front_*.c
 *	what makes a disk or a net move data  io_*.c
 *	what is known of the peer beforehand  subject.c
 *	how verdicts read                     report_*.c
 *
 * A case is a function that does something and expects something. An
 * expectation that does not hold ends it, by a long jump back to the runner: a
 * case therefore owns nothing, all it uses belongs to its rig, and returning is
 * passing. So does a wait that is over: nothing here waits beyond the trial's
 * deadline.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_TRIAL_H
#define CONFORM_TRIAL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "evidence.h"

struct front;
struct back;

/* How a failure is to be taken. */
enum case_level {
	LEVEL_MUST,     /* the specification demands it, or nobody can live without */
	LEVEL_SHOULD,   /* the specification asks for it */
	LEVEL_CONTRACT, /* it is silent; docs/iotlb.md and docs/conformance.md are not */
};

enum case_device {
	DEVICE_ANY = 0,
	DEVICE_BLK = 1,
	DEVICE_NET = 2,
	DEVICE_IO = DEVICE_BLK | DEVICE_NET, /* either: the case uses io.h */
};

/* What a case can't do without; where it is missing the case is not applicable. */
struct case_needs {
	uint64_t features; /* virtio feature bits, offered by the peer */
	uint64_t protocol; /* protocol feature bits, offered by the peer */
	unsigned device;   /* one of a set of enum case_device */
	unsigned queues;   /* as many at least */
	bool pid;          /* --pid */
	bool restart;      /* --restart-cmd */
	bool echo;         /* a net device that sends frames back */
};

struct conform_case {
	const char *id;    /* "area.what-must-hold" */
	const char *title; /* one line: what must hold */
	const char *rule;  /* section of the specification, or number of our contract */
	enum case_level level;
	struct case_needs needs;
	unsigned seconds;                 /* deadline; 0: TRIAL_SECONDS */
	void (*backend)(struct front *f); /* one of both: whom it judges */
	void (*frontend)(struct back *b);
	uint32_t request;    /* what the row is about, where rows share a function */
	const char *explain; /* for --explain: why it matters, what usually goes wrong */
};

#define TRIAL_SECONDS 5u

struct conform_area {
	const char *name; /* what ids of its cases begin with */
	const char *title;
	const struct conform_case *cases;
	unsigned n_cases;
	const struct conform_area
		*more; /* the rest of it, in a file of its own; NULL: that is all */
};

/* What may follow is @more. */
#define AREA(area_name, area_title, table, ...)                               \
	{                                                                     \
		.name = (area_name), .title = (area_title), .cases = (table), \
		.n_cases = sizeof(table) / sizeof((table)[0]), __VA_ARGS__    \
	}

/* The rest of an area, which names it. */
#define MORE(table)                                                              \
	{                                                                        \
		.cases = (table), .n_cases = sizeof(table) / sizeof((table)[0]), \
	}

enum verdict {
	VERDICT_PASS,
	VERDICT_FAIL,
	VERDICT_NOT_APPLICABLE,
	VERDICT_ERROR, /* it could not be judged */
	VERDICT_END,
};

struct trial {
	const struct conform_case *which;
	const struct conform_area *area;
	enum case_level level; /* the case's, but a must where the peer has not outlived it */
	enum verdict verdict;
	char reason[400]; /* of everything but a pass */
	struct evidence evidence;
	uint64_t ns; /* how long it took */

	uint64_t deadline_ns;
	unsigned patience_ms; /* how long what must come may take */
	unsigned muted;       /* while above 0 messages are no evidence */
	uint64_t random;      /* state of trial_random() */
	bool running;         /* @end is a place to jump to */
	jmp_buf end;
};

/* Runs @act as the trial: it ends by returning, or by one of the functions below. */
void trial_run(struct trial *trial, void (*act)(void *rig), void *rig);
/* What a verdict from outside a run says: the peer died afterwards, say. */
void trial_set(struct trial *trial, enum verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void trial_fail(struct trial *trial, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
void trial_skip(struct trial *trial, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
void trial_error(struct trial *trial, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

/* What waits may still take: @ms, or less where the deadline is nearer; 0 behind it. */
int trial_left(const struct trial *trial, int ms);

/* Thousands of the same message are no evidence: nothing is noted until the unmute. */
void trial_mute(struct trial *trial);
void trial_unmute(struct trial *trial);

/* From --seed and the case's id: the same in each run. */
uint64_t trial_random(struct trial *trial);

/* "pass", "fail", ...; "must", ... */
const char *verdict_name(enum verdict verdict);
const char *level_name(enum case_level level);

/*
 * The one-liners of cases. @rig: what the case was given. What is expected is
 * said in words; it is evidence only where it does not hold.
 */
#define EXPECT(rig, condition, ...)                            \
	do {                                                   \
		if (!(condition))                              \
			trial_fail((rig)->trial, __VA_ARGS__); \
	} while (0)

#define EXPECT_EQUAL(rig, got, wanted, what) \
	trial_expect_equal((rig)->trial, (uint64_t)(got), (uint64_t)(wanted), (what))

/* Beside messages, what a case did or saw. */
#define NOTE(rig, ...) trial_note((rig)->trial, EVIDENCE_NOTE, __VA_ARGS__)

void trial_expect_equal(struct trial *trial, uint64_t got, uint64_t wanted, const char *what);
/* Nothing while the trial is muted. */
void trial_note(struct trial *trial, enum evidence_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
