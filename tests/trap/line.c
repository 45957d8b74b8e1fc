/* SPDX-License-Identifier: BSD-3-Clause */
#include "line.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int line_pull(struct line *line)
{
	ssize_t n;

	memmove(line->in, line->in + line->in_at, line->in_end - line->in_at);
	line->in_end -= line->in_at;
	line->in_at = 0;
	n = recv(line->fd, line->in + line->in_end, sizeof(line->in) - line->in_end, MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return -ENOTCONN;
	line->in_end += (size_t)n;
	return 0;
}

int line_next(struct line *line, struct note *ret)
{
	size_t have = line->in_end - line->in_at;

	if (have < sizeof(ret->header))
		return 0;
	memcpy(&ret->header, line->in + line->in_at, sizeof(ret->header));
	if (ret->header.size > sizeof(ret->payload))
		return -EPROTO;
	if (have < sizeof(ret->header) + ret->header.size)
		return 0;
	line->in_at += sizeof(ret->header);
	memcpy(&ret->payload, line->in + line->in_at, ret->header.size);
	line->in_at += ret->header.size;
	return 1;
}

int line_push(struct line *line, const struct note *note)
{
	size_t size = sizeof(note->header) + note->header.size;

	if (size > sizeof(line->out) - line->out_end)
		return -ENOBUFS;
	memcpy(line->out + line->out_end, &note->header, sizeof(note->header));
	memcpy(line->out + line->out_end + sizeof(note->header), &note->payload, note->header.size);
	line->out_end += size;
	return 0;
}

int line_flush(struct line *line)
{
	ssize_t n;

	if (!line->out_end)
		return 0;
	n = send(line->fd, line->out, line->out_end, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	memmove(line->out, line->out + n, line->out_end - (size_t)n);
	line->out_end -= (size_t)n;
	return 0;
}
