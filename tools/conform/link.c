/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

void link_close(struct link *link)
{
	if (link->fd >= 0 && link->trial->running)
		trial_note(link->trial, EVIDENCE_NOTE, "closes the %s",
		           link->channel == MESSAGE_MAIN ? "connection" : "back-channel");
	fd_close(&link->fd);
}

static int wait_for(const struct link *link, short events, int ms)
{
	return fd_wait(link->fd, events, trial_left(link->trial, ms));
}

bool link_readable(const struct link *link, int ms)
{
	return wait_for(link, POLLIN, ms) == 0;
}

static void note(struct link *link, enum evidence_kind kind, const struct message *message)
{
	bool is_reply = message->header.flags & VHU_FLAG_REPLY;
	char text[512];

	if (link->trial->muted)
		return;
	message_describe(message, link->channel, is_reply, text, sizeof(text));
	trial_note(link->trial, kind, "%s%s", link->channel == MESSAGE_BACK ? "back-channel: " : "",
	           text);
}

struct bytes {
	const char *at;
	size_t len;
	const int *fds; /* go with the first byte */
	unsigned n_fds;
};

static int send_some(int fd, const struct bytes *bytes)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes->at, .iov_len = bytes->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (bytes->n_fds) {
		msg.msg_control = control.bytes;
		fd_put_rights(&msg, bytes->fds, bytes->n_fds);
	}
	n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n < 0 ? -errno : (int)n;
}

static int send_all(struct link *link, struct bytes bytes)
{
	while (bytes.len) {
		int n = send_some(link->fd, &bytes);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			n = wait_for(link, POLLOUT, (int)link->trial->patience_ms);
		if (n < 0)
			return n;
		if (n > 0)
			bytes.n_fds = 0;
		bytes.at += n;
		bytes.len -= (size_t)n;
	}
	return 0;
}

struct encoded {
	char bytes[sizeof(struct vhu_header) + VHU_PAYLOAD_MAX];
	struct bytes out;
};

static void encode(const struct message *message, struct encoded *ret)
{
	size_t size = message->header.size;

	if (size > VHU_PAYLOAD_MAX)
		size = VHU_PAYLOAD_MAX;
	memcpy(ret->bytes, &message->header, sizeof(message->header));
	memcpy(ret->bytes + sizeof(message->header), &message->payload, size);
	ret->out = (struct bytes){ ret->bytes, sizeof(message->header) + size, message->fds,
		                   message->n_fds };
}

int link_send(struct link *link, const struct message *message)
{
	struct encoded encoded;
	int error;

	encode(message, &encoded);
	note(link, EVIDENCE_SENT, message);
	error = send_all(link, encoded.out);
	if (error)
		trial_note(link->trial, EVIDENCE_NOTE, "it can't be sent: %s", strerror(-error));
	return error;
}

int link_send_bytes(struct link *link, const void *bytes, size_t len, const char *what)
{
	trial_note(link->trial, EVIDENCE_SENT, "%s (%zu bytes)", what, len);
	return send_all(link, (struct bytes){ bytes, len, NULL, 0 });
}

/* A message goes whole or not at all: these sockets buffer by the packet. */
int link_try_send(struct link *link, const struct message *message)
{
	struct encoded encoded;
	int n;

	encode(message, &encoded);
	n = send_some(link->fd, &encoded.out);
	if (n < 0)
		return n;
	note(link, EVIDENCE_SENT, message);
	return 0;
}

static int recv_some(int fd, void *to, size_t len, struct message *ret)
{
	char control[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX)];
	struct iovec iov = { .iov_base = to, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control,
		              .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n > 0)
		fd_take_rights(&msg, ret->fds, &ret->n_fds, MESSAGE_FDS_MAX);
	return n < 0 ? -errno : n ? (int)n : -ENOTCONN;
}

static int recv_all(struct link *link, void *to, size_t len, struct message *ret, int ms)
{
	char *at = to;

	while (len) {
		int n = recv_some(link->fd, at, len, ret);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			n = wait_for(link, POLLIN, ms);
		if (n == -ECONNRESET)
			n = -ENOTCONN;
		if (n < 0)
			return n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int link_recv(struct link *link, struct message *ret, int ms)
{
	int error;

	if (link->fd < 0)
		return -ENOTCONN;
	message_init(ret, 0);
	error = recv_all(link, &ret->header, sizeof(ret->header), ret, ms);
	if (error == -ENOTCONN)
		trial_note(link->trial, EVIDENCE_CAME, "end of the %s",
		           link->channel == MESSAGE_MAIN ? "connection" : "back-channel");
	if (!error && ret->header.size > VHU_PAYLOAD_MAX) {
		trial_note(link->trial, EVIDENCE_CAME, "a header of request %u, size %u",
		           ret->header.request, ret->header.size);
		error = -EPROTO;
	}
	if (!error)
		error = recv_all(link, &ret->payload, ret->header.size, ret,
		                 (int)link->trial->patience_ms);
	if (error)
		message_close_fds(ret);
	else
		note(link, EVIDENCE_CAME, ret);
	return error;
}

int link_reply(struct link *link, const struct message *request, const void *payload, size_t size)
{
	struct message message;

	message_init(&message, request->header.request);
	message.header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	message.header.size = (uint32_t)size;
	memcpy(&message.payload, payload, size);
	return link_send(link, &message);
}

int link_reply_u64(struct link *link, const struct message *request, uint64_t value)
{
	return link_reply(link, request, &value, sizeof(value));
}
