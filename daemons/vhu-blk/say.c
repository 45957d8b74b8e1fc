/* SPDX-License-Identifier: BSD-3-Clause */
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "options.h"
#include "quota.h"

static enum vhu_log_level wanted = VHU_LOG_INFO;

static const char *const names[] = {
	[VHU_LOG_ERROR] = "error",
	[VHU_LOG_WARNING] = "warning",
	[VHU_LOG_INFO] = "info",
	[VHU_LOG_DEBUG] = "debug",
};

/* Under the lock. */
static struct {
	pthread_mutex_t lock;
	struct quota quota;
	bool alarm_is_set;
} limit = { .lock = PTHREAD_MUTEX_INITIALIZER };

void complain(const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	/* Whole, for the reason comes behind what may be a long path. */
	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		return;
	fprintf(stderr, "vhu-blk: %s\n", text);
	free(text);
}

void say_check_output(void)
{
	int error = fflush(stdout) ? errno : ferror(stdout) ? EIO : 0;

	if (!error)
		return;
	complain("standard output can't be written: %s", strerror(error));
	_exit(EXIT_FAULT);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Accounts for what was suppressed until @now; under the lock. */
static void settle(uint64_t now)
{
	const struct quota_subject *subject;
	uint64_t n;

	while ((subject = quota_settle(&limit.quota, now, &n)))
		fprintf(stderr, "vhu-blk: %s: %s: ... %" PRIu64 " more lines suppressed\n",
		        names[subject->level], subject->name, n);
}

/* What was suppressed is told even if nothing follows it; under the lock. */
static void set_alarm(void)
{
	if (!limit.alarm_is_set)
		alarm(1 + QUOTA_PERIOD_MS / 1000);
	limit.alarm_is_set = true;
}

static void line(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	uint64_t now = now_ms();

	(void)opaque;
	pthread_mutex_lock(&limit.lock);
	settle(now);
	if (quota_take(&limit.quota, level, subject, now))
		fprintf(stderr, "vhu-blk: %s: %s: %s\n", names[level], subject, text);
	else
		set_alarm();
	pthread_mutex_unlock(&limit.lock);
}

void say(enum vhu_log_level level, const char *format, ...)
{
	char text[600];
	va_list args;

	if (level > wanted)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line(level, "blk", text, NULL);
}

void say_start(enum vhu_log_level most)
{
	wanted = most;
	vhu_log_set(line, NULL, most);
}

void say_settle(void)
{
	pthread_mutex_lock(&limit.lock);
	limit.alarm_is_set = false;
	settle(now_ms());
	if (quota_owes(&limit.quota))
		set_alarm();
	pthread_mutex_unlock(&limit.lock);
}

void say_end(void)
{
	pthread_mutex_lock(&limit.lock);
	settle(UINT64_MAX);
	pthread_mutex_unlock(&limit.lock);
}
