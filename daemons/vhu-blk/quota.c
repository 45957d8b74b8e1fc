/* SPDX-License-Identifier: BSD-3-Clause */
#include "quota.h"

#include <ctype.h>
#include <string.h>

/* "blk/s17/q3" is "blk/q3". */
static void strip_session(const char *subject, char ret[QUOTA_SUBJECT_MAX])
{
	size_t n = 0;

	while (*subject && n < QUOTA_SUBJECT_MAX - 1) {
		if (subject[0] == '/' && subject[1] == 's' && isdigit((unsigned char)subject[2])) {
			subject += 2;
			while (isdigit((unsigned char)*subject))
				subject++;
			continue;
		}
		ret[n++] = *subject++;
	}
	ret[n] = '\0';
}

static struct quota_subject *find(struct quota *quota, enum vhu_log_level level,
                                  const char *subject)
{
	char name[QUOTA_SUBJECT_MAX];
	struct quota_subject *found;

	strip_session(subject, name);
	for (unsigned i = 0; i < quota->n; i++) {
		found = &quota->subjects[i];
		if (found->level == level && !strcmp(found->name, name))
			return found;
	}
	if (quota->n == QUOTA_SUBJECTS)
		return &quota->subjects[QUOTA_SUBJECTS - 1];
	found = &quota->subjects[quota->n++];
	found->level = level;
	strcpy(found->name, name);
	return found;
}

bool quota_take(struct quota *quota, enum vhu_log_level level, const char *subject, uint64_t now_ms)
{
	struct quota_subject *its;

	if (level == VHU_LOG_DEBUG)
		return true;
	its = find(quota, level, subject);
	/* What was suppressed is told first, or nothing would say what is missing here. */
	if (now_ms - its->since_ms >= QUOTA_PERIOD_MS && !its->suppressed) {
		its->since_ms = now_ms;
		its->said = 0;
	}
	if (its->said < QUOTA_LINES) {
		its->said++;
		return true;
	}
	its->suppressed++;
	return false;
}

const struct quota_subject *quota_settle(struct quota *quota, uint64_t now_ms,
                                         uint64_t *ret_suppressed)
{
	for (unsigned i = 0; i < quota->n; i++) {
		struct quota_subject *its = &quota->subjects[i];

		if (!its->suppressed || now_ms - its->since_ms < QUOTA_PERIOD_MS)
			continue;
		*ret_suppressed = its->suppressed;
		its->suppressed = 0;
		its->said = 0;
		its->since_ms = now_ms;
		return its;
	}
	return NULL;
}

bool quota_owes(const struct quota *quota)
{
	for (unsigned i = 0; i < quota->n; i++)
		if (quota->subjects[i].suppressed)
			return true;
	return false;
}
