/* SPDX-License-Identifier: BSD-3-Clause */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

int record_init(struct record *record)
{
	*record = (struct record){ .thinned = RECORD_MAX };
	record->seen = calloc(RECORD_MAX, sizeof(*record->seen));
	return record->seen ? 0 : -ENOMEM;
}

void record_done(struct record *record)
{
	free(record->seen);
	*record = (struct record){ 0 };
}

void record_start(struct record *record, uint64_t features, uint64_t protocol)
{
	record->start_ns = clock_ns();
	record->features = features;
	record->protocol = protocol;
	record->n = 0;
	record->thinned = RECORD_MAX;
	record->ended = false;
	record->stop_us = 0;
}

void record_stop(struct record *record)
{
	record->stop_us = (clock_ns() - record->start_ns) / 1000;
}

uint64_t record_end_us(const struct record *record)
{
	return record->thinned == RECORD_MAX ? record->stop_us
	                                     : record->seen[record->thinned - 1].us;
}

static bool is_eventfd(int fd)
{
	char path[64], text[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, text, sizeof(text) - 1) < 0)
		return false;
	return !strcmp(text, "anon_inode:[eventfd]");
}

static struct seen_fd look_at(int fd)
{
	struct seen_fd ret = { .kind = SEEN_OTHER };
	int mode = fcntl(fd, F_GETFL);
	struct stat status;

	if (mode >= 0) {
		ret.readable = (mode & O_ACCMODE) != O_WRONLY;
		ret.writable = (mode & O_ACCMODE) != O_RDONLY;
	}
	if (is_eventfd(fd)) {
		ret.kind = SEEN_EVENTFD;
	} else if (!fstat(fd, &status)) {
		ret.size = (uint64_t)status.st_size;
		ret.kind = S_ISSOCK(status.st_mode)                             ? SEEN_SOCKET
		           : S_ISREG(status.st_mode) || S_ISCHR(status.st_mode) ? SEEN_FILE
		           : S_ISFIFO(status.st_mode)                           ? SEEN_PIPE
		                                                                : SEEN_OTHER;
	}
	return ret;
}

static bool is_translation(enum message_channel channel, const struct message *message)
{
	return channel == MESSAGE_BACK || message->header.request == VHU_FE_IOTLB_MSG;
}

/* Translations come by the thousand; what matters of the rest must not be lost. */
static bool has_room(struct record *record, enum message_channel channel,
                     const struct message *message)
{
	if (record->n == RECORD_MAX)
		return false;
	if (!is_translation(channel, message))
		return true;
	if (record->thinned == RECORD_MAX && record->n >= RECORD_MAX - RECORD_ROOM)
		record->thinned = record->n;
	return record->thinned == RECORD_MAX;
}

void record_add(struct record *record, enum message_channel channel, bool ours,
                const struct message *message)
{
	size_t size = message->header.size < SEEN_BYTES ? message->header.size : SEEN_BYTES;
	struct seen *seen;

	if (!has_room(record, channel, message))
		return;
	seen = &record->seen[record->n++];
	*seen = (struct seen){ .us = (clock_ns() - record->start_ns) / 1000,
		               .channel = channel,
		               .ours = ours,
		               .header = message->header,
		               .n_fds = message->n_fds };
	memcpy(seen->bytes, &message->payload, size);
	for (unsigned i = 0; i < message->n_fds && !ours; i++)
		seen->fds[i] = look_at(message->fds[i]);
}

void seen_message(const struct seen *seen, struct message *ret)
{
	message_init(ret, seen->header.request);
	ret->header = seen->header;
	memcpy(&ret->payload, seen->bytes, sizeof(seen->bytes));
	ret->n_fds = seen->n_fds;
	for (unsigned i = 0; i < seen->n_fds; i++)
		ret->fds[i] = -1;
}

bool seen_is_reply(const struct seen *seen)
{
	return seen->header.flags & VHU_FLAG_REPLY;
}

bool seen_request(const struct seen *seen, uint32_t request)
{
	return !seen->ours && seen->channel == MESSAGE_MAIN && seen->header.request == request;
}

const char *seen_kind_name(enum seen_kind kind)
{
	static const char *const names[] = { "an eventfd", "a socket", "a file", "a pipe",
		                             "something else" };

	return names[kind];
}
