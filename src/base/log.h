/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines for the embedder's hook (vhu/log.h); costs one compare when unwanted. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <vhu/log.h>

bool log_wanted(enum vhu_log_level level);

/* Formats and hands over; lines are cut at 512 bytes. Keeps errno. */
void log_line(enum vhu_log_level level, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_at(level, subject, ...)                            \
	do {                                                   \
		if (log_wanted(level))                         \
			log_line(level, subject, __VA_ARGS__); \
	} while (0)

#define log_error(subject, ...)   log_at(VHU_LOG_ERROR, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_at(VHU_LOG_WARNING, subject, __VA_ARGS__)
#define log_info(subject, ...)    log_at(VHU_LOG_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...)   log_at(VHU_LOG_DEBUG, subject, __VA_ARGS__)

#endif
