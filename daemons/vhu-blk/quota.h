/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many lines a subject may have. Peers can make us say things as often as they
 * like, so of each subject and level a few lines a second are let through and
 * the rest is counted. Sessions of the same queue are one subject: a peer that
 * connects anew gets no new quota. Debug lines have none, they are asked for.
 *
 * Pure: time is told. Its caller sees to threads.
 */
#ifndef VHU_BLK_QUOTA_H
#define VHU_BLK_QUOTA_H

#include <stdbool.h>
#include <stdint.h>
#include <vhu/log.h>

#define QUOTA_LINES       20
#define QUOTA_PERIOD_MS   1000
#define QUOTA_SUBJECTS    128 /* more than there are queues; beyond that they share one */
#define QUOTA_SUBJECT_MAX 24

struct quota_subject {
	char name[QUOTA_SUBJECT_MAX]; /* without the session */
	enum vhu_log_level level;
	uint64_t since_ms; /* the period began */
	unsigned said;     /* in it */
	uint64_t suppressed;
};

struct quota {
	struct quota_subject subjects[QUOTA_SUBJECTS];
	unsigned n;
};

/* Whether the line may go out; if not it is counted. */
bool quota_take(struct quota *quota, enum vhu_log_level level, const char *subject,
                uint64_t now_ms);

/* A subject whose period is over and that has lines to account for; its count is
 * taken. NULL: there is none. */
const struct quota_subject *quota_settle(struct quota *quota, uint64_t now_ms,
                                         uint64_t *ret_suppressed);

/* Whether anything was suppressed that is not accounted for. */
bool quota_owes(const struct quota *quota);

#endif
