/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end that is judged, as far as it is known before and between trials:
 * where it listens, what it offers, whether it is alive, what its process holds,
 * and how it is started again. Judges nothing.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_SUBJECT_H
#define CONFORM_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "trial.h"

struct subject {
	const char *path;
	const char *restart_cmd; /* NULL: none */
	enum case_device device;
	pid_t pid; /* 0: not told */
	unsigned patience_ms;

	/* Found by subject_probe(). */
	uint64_t features;
	uint64_t protocol;
	unsigned queues; /* by GET_QUEUE_NUM; else what the type has at least */
	bool echo;       /* a net device sends back what it is sent */
	char name[64];   /* of the process that listens; empty: not known */

	/*
	 * It ends when its first connection does, which nothing forbids, and is started
	 * for each. Whether it has died of a case can't be told then.
	 */
	bool one_shot;
	bool used_up; /* it has had its connection */
};

/* What a process holds; -1 where that can't be read. */
struct holdings {
	int fds, threads, maps;
};

/* Connects within @ms, having started what serves one connection only; the fd, or -errno. */
int subject_connect(struct subject *subject, int ms);

/* Asks it what it offers. 0; -errno with @why: it can't be reached, or does not answer. */
int subject_probe(struct subject *subject, char *why, unsigned long size);

/*
 * Whether it accepts a connection and answers GET_FEATURES within @ms; not tried of
 * what serves one connection only.
 */
bool subject_answers(struct subject *subject, int ms);

/* After its death: runs --restart-cmd, if there is one, and waits. False: it stays dead. */
bool subject_revive(struct subject *subject);

struct holdings subject_holdings(const struct subject *subject);
/* The same once it holds no more than @fds, for which it has @ms: an end takes its time. */
struct holdings subject_holdings_of(const struct subject *subject, int fds, int ms);

/* Why @needs can't be met; NULL: they can. */
const char *subject_lacks(const struct subject *subject, const struct case_needs *needs, char *text,
                          unsigned long size);

#endif
