/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of a vhost-user socket, many messages at a time: those to send are
 * collected and go out in one call, those that have come are taken from one
 * call's bytes. Never blocks. For messages without fds.
 *
 * Thread: the front-end's.
 */
#ifndef TRAP_LINE_H
#define TRAP_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/protocol.h"

#define LINE_BYTES (64u << 10)

/* What is said while rings run; memory tables go another way. */
struct note {
	struct vhu_header header;
	union {
		uint64_t u64;
		struct vhu_iotlb iotlb;
		struct vhu_memory_single single;
	} payload;
};

struct line {
	int fd;
	size_t in_at, in_end;
	size_t out_end;
	char in[LINE_BYTES];
	char out[LINE_BYTES];
};

/* Reads what is there. 0; -EAGAIN: nothing; -ENOTCONN: the end; -errno. */
int line_pull(struct line *line);
/* The next whole message; 0: there is none yet; 1; -EPROTO: longer than any there should be. */
int line_next(struct line *line, struct note *ret);
/* To be sent. -ENOBUFS: too much waits already. */
int line_push(struct line *line, const struct note *note);
/* Sends what can be sent now. 0 or -errno. */
int line_flush(struct line *line);

#endif
