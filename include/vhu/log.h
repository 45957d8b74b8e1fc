/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the library's messages go. The library prints nothing by itself: it
 * hands finished lines to one hook per process, which a daemon points at its
 * log. Without a hook nothing is formatted and nothing is lost but words.
 */
#ifndef VHU_LOG_H
#define VHU_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

/** enum vhu_log_level - how much a line matters, most urgent first. */
enum vhu_log_level {
	VHU_LOG_ERROR,   /* a session, a ring or a request was lost */
	VHU_LOG_WARNING, /* something is wrong, work goes on */
	VHU_LOG_INFO,    /* life cycle: connected, started, stopped */
	VHU_LOG_DEBUG,   /* each message on the sockets */
};

/**
 * typedef vhu_log_fn - receives one line.
 * @level: how much it matters
 * @subject: what it is about, such as "blk/s3/q1" (device, session, queue); never NULL
 * @text: the line, without line feed
 * @opaque: as given to vhu_log_set()
 *
 * Context: any thread, several at once; must not call back into the library.
 * Ownership: both strings are valid during the call only.
 */
typedef void vhu_log_fn(enum vhu_log_level level, const char *subject, const char *text,
                        void *opaque);

/**
 * vhu_log_set - choose where lines go.
 * @fn: the hook, or NULL for silence (the default)
 * @opaque: passed to @fn
 * @most: the least urgent level that is still wanted
 *
 * Context: call before any other function of the library, or while no other
 * thread is in it; does not block.
 */
void vhu_log_set(vhu_log_fn *fn, void *opaque, enum vhu_log_level most);

#ifdef __cplusplus
}
#endif
#endif
