/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was said on both channels of one connection, in order, for cases that
 * judge a front-end by what it does unasked. A reply on the back-channel stands
 * behind whatever was sent on the main channel before it, which is how it was
 * read. Judges nothing.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_RECORD_H
#define CONFORM_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

#define RECORD_MAX  65536u
#define RECORD_ROOM 4096u /* of it for everything but translations */
#define SEEN_BYTES  272u

enum seen_kind {
	SEEN_EVENTFD,
	SEEN_SOCKET,
	SEEN_FILE, /* with a size: files, memfds */
	SEEN_PIPE,
	SEEN_OTHER,
};

struct seen_fd {
	enum seen_kind kind;
	uint64_t size; /* of a file */
	bool readable, writable;
};

struct seen {
	uint64_t us; /* since the connection */
	enum message_channel channel;
	bool ours; /* sent by the suite */
	struct vhu_header header;
	unsigned char bytes[SEEN_BYTES]; /* of the payload */
	struct seen_fd fds[MESSAGE_FDS_MAX];
	unsigned n_fds;
};

struct record {
	uint64_t start_ns;
	uint64_t features, protocol; /* that were offered */
	struct seen *seen;
	unsigned n;
	unsigned thinned; /* from here on there are no translations; RECORD_MAX: there are all */
	bool ended;       /* the front-end closed the connection */
	uint64_t stop_us; /* since when it was not looked at any more */
};

/* 0 or -ENOMEM; record_done() in any case. */
int record_init(struct record *record);
void record_done(struct record *record);

void record_start(struct record *record, uint64_t features, uint64_t protocol);
/* Nothing comes any more. */
void record_stop(struct record *record);
/* Until when what has to do with translations was recorded, if it came. */
uint64_t record_end_us(const struct record *record);
void record_add(struct record *record, enum message_channel channel, bool ours,
                const struct message *message);

/* As it came; its fds are -1. */
void seen_message(const struct seen *seen, struct message *ret);
/* A request of the front-end. */
bool seen_request(const struct seen *seen, uint32_t request);
bool seen_is_reply(const struct seen *seen);
const char *seen_kind_name(enum seen_kind kind);

#endif
